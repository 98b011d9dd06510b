/** Headers of uploads: which bytes these are, and what the whole file is. */
import { invalidField } from '../../wire/errors.ts';

/** Of the whole file: bytes `from` to `to`, inclusive, of `total`. */
export interface Chunk {
  readonly from: number;
  readonly to: number;
  readonly total: number;
}

type Header = string | readonly string[] | undefined;

/**
 * SHA-256 of the whole file, of `Digest: sha-256=<64 hex digits, or base64>`; other algorithms beside it are passed over.
 * @returns 64 hex digits
 * @throws AgentsFailure 422
 */
export function digestOf(header: Header): string {
  const values = textOf(header)
    .split(',')
    .map((part) => /^\s*sha-256\s*=\s*(\S+)\s*$/i.exec(part)?.[1])
    .filter((value) => value !== undefined);
  const [value, ...more] = values;
  if (value === undefined) throw invalidField('Digest', 'is missing; it looks like sha-256=<hex or base64>');
  if (more.length > 0) throw invalidField('Digest', 'names sha-256 more than once');
  if (/^[0-9a-f]{64}$/i.test(value)) return value.toLowerCase();
  const bytes = Buffer.from(value, 'base64');
  // The decoder passes over what it does not know: only what comes out as it went in is base64.
  if (bytes.length === 32 && bytes.toString('base64').replace('=', '') === value.replace('=', ''))
    return bytes.toString('hex');
  throw invalidField('Digest', 'is no SHA-256 in hex or base64');
}

/**
 * `Content-Range: bytes 0-99/1000`. `bytes` with a star in place of the two numbers asks how much is there already.
 * @returns undefined without the header
 * @throws AgentsFailure 422
 */
export function chunkOf(header: Header): Chunk | { readonly total: number } | undefined {
  if (header === undefined) return undefined;
  const [, span, first, last, whole] =
    /^bytes ((\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/.exec(textOf(header)) ?? [];
  if (span === undefined)
    throw invalidField('Content-Range', 'is not of the form bytes <first>-<last>/<size>');
  const total = Number(whole);
  if (span === '*') return { total };
  const [from, to] = [Number(first), Number(last)];
  if (from > to || to >= total)
    throw invalidField('Content-Range', 'ends before it begins, or behind the file', { from, to, total });
  return { from, to, total };
}

export function textOf(header: Header): string {
  return typeof header === 'string' ? header : (header?.join(', ') ?? '');
}
