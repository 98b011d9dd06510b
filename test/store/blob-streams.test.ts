// Blob streams on directories, and on our own little S3.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DirectoryBlobStreams } from '../../src/store/blobs/directory-blob-streams.ts';
import { blobStreamsContract } from '../contracts/blob-streams.ts';
import { s3Harness } from '../s3/harness.ts';
import { ACCOUNT, BUCKET, S3Server } from '../s3/s3-server.ts';
import { StoreRig } from './rig.ts';

blobStreamsContract('DirectoryBlobStreams', async () => {
  const rig = await StoreRig.open();
  const root = join(rig.root, 'files');
  return {
    blobs: new DirectoryBlobStreams(root),
    another: () => Promise.resolve(new DirectoryBlobStreams(root)),
    damage: (sha256, bytes) => writeFile(join(root, sha256.slice(0, 2), sha256), bytes),
    count: async () => {
      const entries = await readdir(root, { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).length;
    },
    close: () => rig.close(),
  };
});

blobStreamsContract('S3Blobs', async () => {
  const server = await S3Server.start();
  const harness = await s3Harness({ endpoint: server.endpoint, bucket: BUCKET, account: ACCOUNT });
  return { ...harness, close: () => server.close() };
});
