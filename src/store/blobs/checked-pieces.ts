import { createHash } from 'node:crypto';
import { ReeveError } from '../../model/errors.ts';
import type { ByteRange } from '../blob-streams.ts';

/**
 * Hands pieces on, one behind: the last one comes only once the whole is known to be what its name says, or the part to
 * be as long as it must be. So nobody has all of something else.
 * @throws ReeveError E_STORE_CORRUPT in place of the last piece
 */
export async function* checkedPieces(
  pieces: AsyncIterable<Uint8Array>,
  sha256: string,
  range: ByteRange | undefined,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let held: Uint8Array | undefined;
  for await (const piece of pieces) {
    if (held !== undefined) yield held;
    held = piece;
    sizeBytes += piece.length;
    if (range === undefined) hash.update(piece);
  }
  const isRight =
    range === undefined ? hash.digest('hex') === sha256 : sizeBytes === range.to - range.from + 1;
  if (!isRight)
    throw new ReeveError('E_STORE_CORRUPT', `blob ${sha256} does not have the bytes its name says`, {
      blob: sha256,
    });
  if (held !== undefined) yield held;
}

export function missingBlob(sha256: string): ReeveError {
  return new ReeveError('E_STORE_CORRUPT', `blob ${sha256} cannot be read`, { blob: sha256 });
}
