/** What a request for bytes asks for: all, a part, or nothing because it has them (RFC 9110 §13, §14). */
import type { ByteRange } from '../../../../store/blob-streams.ts';
import { textOf } from './headers.ts';

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export type Wanted =
  | { readonly what: 'all' }
  | { readonly what: 'part'; readonly range: ByteRange }
  | { readonly what: 'nothing' }
  /** The part that is asked for does not exist. */
  | { readonly what: 'outside' };

/** @param etag as in the header, with its quotes. @param size of the file, bytes. */
export function wantedOf(headers: Headers, etag: string, size: number): Wanted {
  if (headers['if-none-match'] !== undefined && names(textOf(headers['if-none-match']), etag))
    return { what: 'nothing' };
  const range = headers['range'];
  // A date says nothing here: what is stored never changes, and its name is the hash.
  const isCurrent = headers['if-range'] === undefined || textOf(headers['if-range']).trim() === etag;
  return range === undefined || !isCurrent ? { what: 'all' } : rangeOf(textOf(range), size);
}

/** One range; several, or what is none, are answered with all of the file, as the RFC allows. */
export function rangeOf(text: string, size: number): Wanted {
  const [, first = '', last = ''] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(text) ?? [];
  if (first === '' && last === '') return { what: 'all' };
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0
      ? { what: 'outside' }
      : { what: 'part', range: { from: size - length, to: size - 1 } };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return { what: 'all' };
  if (from >= size) return { what: 'outside' };
  return { what: 'part', range: { from, to: last === '' ? size - 1 : Math.min(Number(last), size - 1) } };
}

/** Weak comparison. */
function names(header: string, etag: string): boolean {
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}
