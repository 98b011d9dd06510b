/** Where files are kept, by what names it: a directory, or an S3 bucket. */
import { resolve } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import type { BlobStreams } from './blob-streams.ts';
import { DirectoryBlobStreams } from './blobs/directory-blob-streams.ts';
import { parseS3Url, s3Credentials, shownS3 } from './blobs/s3-address.ts';

export interface OpenBlobs {
  readonly blobs: BlobStreams;
  /** For people: where it is, without a secret. */
  readonly shown: string;
}

/**
 * @param place a directory, or `s3://bucket/prefix?endpoint=…`. Nothing is made or asked yet.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export async function openBlobStreams(
  place: string,
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<OpenBlobs> {
  if (place.toLowerCase().startsWith('s3:')) {
    const address = parseS3Url(place, env);
    const { S3Blobs } = await import('./blobs/s3-blobs.ts');
    return { blobs: await S3Blobs.open(address, s3Credentials(env)), shown: shownS3(address) };
  }
  if (place === '' || place.includes('\0') || /^[a-z][a-z0-9+.-]*:\/\//i.test(place))
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      'files are kept in a directory or below s3://bucket/prefix',
      {
        field: 'artifacts',
      },
    );
  const root = resolve(cwd, place);
  return { blobs: new DirectoryBlobStreams(root), shown: root };
}
