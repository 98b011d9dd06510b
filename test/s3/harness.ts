/** A fresh place on a server that speaks S3, for the contract suite. */
import { randomUUID } from 'node:crypto';
import { S3mini } from 's3mini';
import { S3Blobs } from '../../src/store/blobs/s3-blobs.ts';
import { parseS3Url } from '../../src/store/blobs/s3-address.ts';
import type { BlobStreamsHarness } from '../contracts/blob-streams.ts';
import type { Account } from './signature.ts';

export interface S3Place {
  readonly endpoint: string;
  readonly bucket: string;
  readonly account: Account;
}

export async function s3Harness({
  endpoint,
  bucket,
  account,
}: S3Place): Promise<Omit<BlobStreamsHarness, 'close'>> {
  const prefix = `suite/${randomUUID()}`;
  const address = parseS3Url(`s3://${bucket}/${prefix}?endpoint=${endpoint}&region=us-east-1`, {});
  const another = (): Promise<S3Blobs> => S3Blobs.open(address, account, { retryMs: 1 });
  const direct = new S3mini({ ...account, endpoint: `${endpoint}/${bucket}`, region: 'us-east-1' });
  return {
    blobs: await another(),
    another,
    damage: async (sha256, bytes) => {
      await direct.putObject(`${prefix}/${sha256.slice(0, 2)}/${sha256}`, Buffer.from(bytes));
    },
    count: async () => (await direct.listObjects('/', `${prefix}/`))?.length ?? 0,
  };
}
