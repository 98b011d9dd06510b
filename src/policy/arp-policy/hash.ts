/**
 * The hash of a policy file (contract arp §6): SHA-256 of its JSON with keys in order, without blanks, and with what is
 * not ASCII escaped. Numbers count as they are written, except for forms that name the same number.
 */
import { createHash } from 'node:crypto';

/** A number of the file, with its digits as they stand there. */
class Digits {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** @param text JSON that parses.  @returns 64 hex digits. */
export function policyHash(text: string): string {
  const document: unknown = JSON.parse(text, keepDigits);
  return createHash('sha256').update(write(document), 'ascii').digest('hex');
}

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'number' ? new Digits(context?.source ?? String(value)) : value;
}

function write(value: unknown): string {
  if (value instanceof Digits) return number(value.text);
  if (typeof value === 'string') return ascii(value);
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).toSorted(([a], [b]) => byCodePoint(a, b));
    return `{${entries.map(([key, item]) => `${ascii(key)}:${write(item)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Whole numbers keep every digit; others are written shortest, and are seen to be no whole ones. */
function number(text: string): string {
  if (/^-?\d+$/.test(text)) return BigInt(text).toString();
  const value = Number(text);
  const [digits = '', exponent] = value.toString().split('e');
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [mantissa = '', power = '0'] =
      exponent === undefined ? value.toExponential().split('e') : [digits, exponent];
    return `${mantissa}e${power.startsWith('-') ? '-' : '+'}${power.replace(/^[+-]/, '').padStart(2, '0')}`;
  }
  const plain = Object.is(value, -0) ? '-0' : digits;
  return plain.includes('.') ? plain : `${plain}.0`;
}

function ascii(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Not the order of UTF-16 units: characters beyond U+FFFF come last. */
function byCodePoint(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (const [at, char] of left.entries()) {
    const difference = (char.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? -1);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
