/** Lists a page at a time (contract arp §2, Run Store): a token names the place at which the next page begins. */
import type { HttpRequest, QueryParameter } from '../http.ts';
import { cursorPlace, cursorText } from './wire/cursor.ts';

const PAGE_DEFAULT = 100;
const PAGE_MAX = 500;

export interface PageQuery {
  /** Insertion number after which it begins. */
  readonly after: number;
  readonly limit: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Insertion number of the last item, when there may be more. */
  readonly next?: number;
}

export const PAGING: Readonly<Record<string, QueryParameter>> = {
  limit: {
    description: `How many at most; default ${PAGE_DEFAULT}`,
    schema: { type: 'integer', minimum: 1, maximum: PAGE_MAX },
  },
  page_token: { description: '`next_token` of the page before', schema: { type: 'string' } },
};

/** @throws ArpError 422 for a token of somebody else */
export function pageQuery({ limit = PAGE_DEFAULT, page_token: token }: HttpRequest['query']): PageQuery {
  const after = token === undefined ? 0 : cursorPlace(token as string, 'page_token');
  return { after, limit: limit as number };
}

/** A token only where the page is full (contract arp §2). */
export function pageOf<R extends { readonly no: number }, T>(
  rows: readonly R[],
  { limit }: PageQuery,
  item: (row: R) => T,
): Page<T> {
  const items = rows.map(item);
  const last = rows.at(-1);
  return last !== undefined && rows.length === limit ? { items, next: last.no } : { items };
}

export function pageDocument<T>({ items, next }: Page<T>) {
  return { items, ...(next === undefined ? {} : { next_token: cursorText(next) }) };
}
