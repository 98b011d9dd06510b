/**
 * Chunks wait on disk, or in a bucket, until the last one is there; only then are secrets in them replaced, which may lie
 * across two of them. Until then nobody may read them there: each upload has a key, which goes with its row (I9).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const ALGORITHM = 'aes-256-ctr';

export function newChunkKey(): Buffer {
  return randomBytes(32);
}
export function newChunkIv(): Buffer {
  return randomBytes(16);
}

export async function* sealed(
  bytes: AsyncIterable<Uint8Array>,
  key: Buffer,
  iv: Buffer,
): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv(ALGORITHM, key, iv);
  for await (const piece of bytes) yield cipher.update(piece);
}

export async function* unsealed(
  bytes: AsyncIterable<Uint8Array>,
  key: Buffer,
  iv: Buffer,
): AsyncGenerator<Uint8Array> {
  const decipher = createDecipheriv(ALGORITHM, key, iv);
  for await (const piece of bytes) yield decipher.update(piece);
}
