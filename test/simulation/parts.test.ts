/** A fake that does not keep its contract may not be used. */
import { blobStoreContract } from '../contracts/blob-store.ts';
import { runStoreContract } from '../contracts/run-store.ts';
import { MemoryBlobs } from './memory-blobs.ts';
import { MemoryDb, MemoryRunStore } from './memory-store.ts';

runStoreContract('MemoryRunStore', () => {
  const db = new MemoryDb();
  const handles = [new MemoryRunStore(db)];
  const another = (): Promise<MemoryRunStore> => {
    const handle = new MemoryRunStore(db);
    handles.push(handle);
    return Promise.resolve(handle);
  };
  return Promise.resolve({
    store: handles[0] as MemoryRunStore,
    another,
    close: async () => {
      for (const handle of handles) await handle.close();
    },
  });
});

blobStoreContract('MemoryBlobs', () => {
  const stored = new Map<string, Uint8Array>();
  return Promise.resolve({
    blobs: new MemoryBlobs(stored),
    another: () => Promise.resolve(new MemoryBlobs(stored)),
    damage: (sha256, bytes) => Promise.resolve(void stored.set(sha256, bytes)),
    count: () => Promise.resolve(stored.size),
    close: () => Promise.resolve(),
  });
});
