import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DirectoryBlobs } from '../../src/store/blobs/directory-blobs.ts';
import { SqliteRunStore } from '../../src/store/sqlite/sqlite-run-store.ts';
import { blobStoreContract } from '../contracts/blob-store.ts';
import { runStoreContract } from '../contracts/run-store.ts';
import { settledAs, StoreRig } from './rig.ts';

runStoreContract('SqliteRunStore', async () => {
  const rig = await StoreRig.open();
  const handle = (): SqliteRunStore => rig.keep(new SqliteRunStore(join(rig.root, 'reeve.sqlite')));
  return { store: handle(), another: () => Promise.resolve(handle()), close: () => rig.close() };
});

runStoreContract('SharedRunStore as the writer', async () => {
  const rig = await StoreRig.open();
  const store = await settledAs('writer', rig.shared());
  return { store, another: () => Promise.resolve(rig.shared()), close: () => rig.close() };
});

runStoreContract('SharedRunStore as a client', async () => {
  const rig = await StoreRig.open();
  await settledAs('writer', rig.shared());
  const store = await settledAs('client', rig.shared());
  return { store, another: () => Promise.resolve(rig.shared()), close: () => rig.close() };
});

blobStoreContract('DirectoryBlobs', async () => {
  const rig = await StoreRig.open();
  const handle = (): DirectoryBlobs => new DirectoryBlobs(join(rig.root, 'blobs'));
  return {
    blobs: handle(),
    another: () => Promise.resolve(handle()),
    damage: (sha256, bytes) => writeFile(join(rig.root, 'blobs', sha256.slice(0, 2), sha256), bytes),
    count: async () => {
      const entries = await readdir(join(rig.root, 'blobs'), { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).length;
    },
    close: () => rig.close(),
  };
});
