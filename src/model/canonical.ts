import canonicalize from 'canonicalize';

/** SHA-256 of the UTF-8 bytes of a text, as 64 lower-case hex digits. Passed in, so that the model needs no `node:`. */
export type Sha256 = (text: string) => string;

/**
 * RFC 8785 (JCS) text of a JSON value. Keys whose value is undefined are dropped.
 *
 * Every event passes here, so the common case is done by the engine's own JSON writer on a value with its keys in
 * order, three times as fast as the library; both write numbers and strings as RFC 8785 wants them. What that writer
 * would do otherwise goes to the library: keys that look like array indices, which objects keep in an order of their
 * own, and whatever may be a lone surrogate.
 * @throws Error for what JSON cannot say (NaN, Infinity, lone surrogates, undefined itself).
 */
export function canonicalJson(value: unknown): string {
  const ordered = inOrder(value);
  if (ordered !== ODD) {
    const text = JSON.stringify(ordered) as string | undefined;
    if (text !== undefined && !text.includes('\\ud')) return text;
  }
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('not a JSON value');
  return text;
}

/** Stands for a value that the fast way does not fit. */
const ODD = Symbol('odd');

/** The same value with the keys of every object in UTF-16 order; itself where they are already. */
function inOrder(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : ODD;
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? itemsInOrder(value) : keysInOrder(value as Record<string, unknown>);
}

function itemsInOrder(items: readonly unknown[]): unknown {
  let copy: unknown[] | undefined;
  for (const [at, item] of items.entries()) {
    const ordered = inOrder(item);
    if (ordered === ODD) return ODD;
    if (ordered === item) continue;
    copy ??= [...items];
    copy[at] = ordered;
  }
  return copy ?? items;
}

function keysInOrder(object: Record<string, unknown>): unknown {
  if (typeof object['toJSON'] === 'function' || Object.getPrototypeOf(object) !== Object.prototype)
    return ODD;
  const keys = Object.keys(object);
  let isSorted = true;
  let before = '';
  for (const key of keys) {
    if (key < before) isSorted = false;
    before = key;
  }
  // Index-like keys come first in every object, whatever order they are written in.
  if (/^\d/.test(keys[0] ?? '') || Object.hasOwn(object, '__proto__')) return ODD;
  let copy: Record<string, unknown> | undefined = isSorted ? undefined : {};
  for (const key of isSorted ? keys : keys.toSorted()) {
    const ordered = inOrder(object[key]);
    if (ordered === ODD) return ODD;
    if (copy === undefined && ordered !== object[key]) copy = { ...object };
    if (copy !== undefined) copy[key] = ordered;
  }
  return copy ?? object;
}
