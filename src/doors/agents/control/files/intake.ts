/** Bytes on their way in: counted, hashed, and held to a limit. */
import { createHash } from 'node:crypto';
import { AgentsFailure, invalidField } from '../../wire/errors.ts';

export interface Intake {
  /** May be read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Once they have been read. */
  sizeBytes(): number;
  sha256(): string;
}

/** @param limit bytes; more fail the reading with 413. */
export function intake(from: AsyncIterable<Uint8Array>, limit: number): Intake {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of from) {
        sizeBytes += piece.length;
        if (sizeBytes > limit) throw tooLarge(limit);
        hash.update(piece);
        yield piece;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET')
        throw new AgentsFailure(400, 'upload_incomplete', 'the upload broke off');
      throw error;
    }
  }
  return { bytes: counted(), sizeBytes: () => sizeBytes, sha256: () => hash.digest('hex') };
}

export function tooLarge(limit: number, what = 'a file'): AgentsFailure {
  return new AgentsFailure(413, 'too_large', `${what} may have ${limit} bytes`, { limit });
}

/** @throws AgentsFailure 422 */
export function requireDigest(found: string, digest: string): void {
  if (found === digest) return;
  throw new AgentsFailure(422, 'digest_mismatch', 'the bytes do not have the SHA-256 that Digest says', {
    field: 'Digest',
    expected: digest,
    found,
  });
}

/** A chunk has as many bytes as its Content-Range says. @throws AgentsFailure 422 */
export function requireSize(found: number, wanted: number): void {
  if (found !== wanted)
    throw invalidField('Content-Range', 'does not fit the body', { expected: wanted, found });
}
