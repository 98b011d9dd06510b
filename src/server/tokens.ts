/** Who may ask. Tokens are compared by their hashes, in constant time and without stopping at the first match. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { HttpFailure } from '../doors/http.ts';

export interface KnownToken {
  /** SHA-256 of the token, 32 bytes. */
  readonly sha256: Buffer;
  /** Undefined: the shared token, which says nothing about who uses it. */
  readonly name: string | undefined;
}

export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/**
 * Whose token the header carries: `Bearer <token>`, or the bare token (contract wrkr §i).
 * @returns the name of its owner; undefined for the shared token, and for anybody where no token is known.
 * @throws HttpFailure 401
 */
export function authenticate(tokens: readonly KnownToken[], header: string | undefined): string | undefined {
  if (tokens.length === 0) return undefined;
  const given = hashOf((header ?? '').replace(/^bearer +/i, ''));
  let found: KnownToken | undefined;
  for (const token of tokens) if (timingSafeEqual(token.sha256, given)) found ??= token;
  if (found !== undefined && header !== undefined) return found.name;
  throw new HttpFailure(
    401,
    'E_UNSAFE_OPERATION',
    header === undefined
      ? 'this server asks for a token: Authorization: Bearer <token>'
      : 'the token is not known here',
    { header: 'authorization' },
    { 'www-authenticate': 'Bearer' },
  );
}
