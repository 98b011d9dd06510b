// S3Blobs on a real S3 server. It keeps the server of the fast suite honest: both run one contract.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { S3Blobs } from '../../src/store/blobs/s3-blobs.ts';
import { parseS3Url } from '../../src/store/blobs/s3-address.ts';
import { blobStreamsContract, pieces } from '../contracts/blob-streams.ts';
import { Ceph, missingPrograms } from '../s3/ceph.ts';
import { s3Harness } from '../s3/harness.ts';

const missing = missingPrograms();
if (missing.length > 0)
  process.stderr.write(
    `SKIPPED: S3 on Ceph's RGW. Not installed: ${missing.join(', ')} (apt-get install ceph-mon ceph-osd ceph-mgr radosgw)\n`,
  );

describe.skipIf(missing.length > 0)('RGW', () => {
  let ceph: Ceph;
  beforeAll(async () => {
    ceph = await Ceph.start();
  });
  afterAll(() => ceph?.close());

  blobStreamsContract('S3Blobs on RGW', async () => ({
    ...(await s3Harness(ceph.place)),
    close: () => Promise.resolve(),
  }));

  test('a wrong secret is refused', async () => {
    const { endpoint, bucket, account } = ceph.place;
    const address = parseS3Url(`s3://${bucket}/suite?endpoint=${endpoint}`, {});
    const blobs = await S3Blobs.open(address, { ...account, secretAccessKey: 'another' }, { retryMs: 1 });
    const received = await blobs.receive(pieces(Buffer.from('never there'), 3));
    await expect(received.keep()).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      details: { status: 403 },
    });
  });
});
