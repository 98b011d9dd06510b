import canonicalize from 'canonicalize';

/** SHA-256 of the UTF-8 bytes of a text, as 64 lower-case hex digits. Passed in, so that the model needs no `node:`. */
export type Sha256 = (text: string) => string;

/**
 * RFC 8785 (JCS) text of a JSON value. Keys whose value is undefined are dropped.
 *
 * Every event passes here, so the common case is written here, five times as fast as the library, which gets what is
 * rare and delicate: whatever may be a lone surrogate, and objects of a class.
 * @throws Error for what JSON cannot say (NaN, Infinity, lone surrogates, undefined itself).
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return textOf(value);
    case 'number':
      return Number.isFinite(value) ? String(value) : byLibrary(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return itemsOf(value);
      return isPlain(value) ? membersOf(value) : byLibrary(value);
    default:
      return byLibrary(value);
  }
}

/** Printable ASCII without quotes and backslashes: as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

function textOf(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  const written = JSON.stringify(text);
  // An escape of a surrogate, or a text that looks like one.
  return written.includes('\\ud') ? byLibrary(text) : written;
}

function itemsOf(items: readonly unknown[]): string {
  let text = '[';
  for (const item of items) {
    if (text !== '[') text += ',';
    text += item === undefined ? 'null' : canonicalJson(item);
  }
  return `${text}]`;
}

function membersOf(object: Readonly<Record<string, unknown>>): string {
  let text = '{';
  for (const key of inOrder(Object.keys(object))) {
    const value = object[key];
    if (value === undefined) continue;
    text += (text === '{' ? '' : ',') + nameOf(key) + canonicalJson(value);
  }
  return `${text}}`;
}

/** Keys as they are written. Events have few; those of people's own data must not fill the memory. */
const names = new Map<string, string>();
const NAMES_MAX = 1000;

function nameOf(key: string): string {
  const known = names.get(key);
  if (known !== undefined) return known;
  const name = `${textOf(key)}:`;
  if (names.size < NAMES_MAX && key.length <= 64) names.set(key, name);
  return name;
}

/** Sorts by UTF-16 units, in place. A handful is sorted faster by insertion than by calling the engine. */
function inOrder(keys: string[]): string[] {
  if (keys.length > 16) return keys.sort(); // oxlint-disable-line unicorn/no-array-sort
  for (let at = 1; at < keys.length; at += 1) {
    const key = keys[at] as string;
    let to = at;
    for (; to > 0 && (keys[to - 1] as string) > key; to -= 1) keys[to] = keys[to - 1] as string;
    keys[to] = key;
  }
  return keys;
}

function isPlain(value: object): value is Record<string, unknown> {
  return Object.getPrototypeOf(value) === Object.prototype;
}

function byLibrary(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('not a JSON value');
  return text;
}
