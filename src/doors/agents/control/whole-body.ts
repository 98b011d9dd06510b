import type { HttpRequest } from '../../http.ts';
import { AgentsFailure } from '../wire/errors.ts';

/** A body of any bytes that is small enough to be held. @throws AgentsFailure 413 */
export async function wholeBody({ bytes }: Pick<HttpRequest, 'bytes'>, bytesMax: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bytes) {
    size += piece.length;
    if (size > bytesMax)
      throw new AgentsFailure(413, 'too_large', `the body is larger than ${bytesMax} bytes`, {
        limit: bytesMax,
      });
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
