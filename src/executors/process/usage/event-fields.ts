// Reading lines that another program wrote: nothing here throws, whatever the line holds, and every number that comes
// out is a whole number in [0, Number.MAX_SAFE_INTEGER].

export type Fields = Readonly<Record<string, unknown>>;

const NO_FIELDS: Fields = {};

/** The object on a line of JSON; undefined when the line is anything else. */
export function parseEvent(line: string): Fields | undefined {
  if (!line.trimStart().startsWith('{')) return undefined;
  try {
    return fieldsOf(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** The value as an object; empty when it is not one. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : NO_FIELDS;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text that says something, cut to a length that is safe to keep. */
export function textOf(value: unknown, lengthMax = 200): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, lengthMax) : undefined;
}

/** A count as a stream gives it: 0 for what is no count, the largest safe integer for what is beyond it. */
export function countOf(value: unknown): number {
  if (typeof value !== 'number' || !(value > 0)) return 0;
  return Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER);
}

/** A sum of counts; it stops at the largest safe integer. */
export function sumOf(counts: Iterable<number>): number {
  let sum = 0;
  for (const count of counts) sum = Math.min(sum + count, Number.MAX_SAFE_INTEGER);
  return sum;
}

/** Millionths of a dollar as a whole number. Sums are kept unrounded until here, so that small calls are not free. */
function wholeMicros(micros: number): number {
  return Math.min(Math.round(micros), Number.MAX_SAFE_INTEGER);
}

/**
 * The last `sizeMax` keys and what was noted under each. A stream may name any number of messages and calls, but
 * repeats one only near itself; a key that was forgotten and comes again counts again, which errs on the dear side.
 */
export class Recent<V> {
  readonly #notes = new Map<string, V>();
  readonly #sizeMax: number;

  constructor(sizeMax = 10_000) {
    this.#sizeMax = sizeMax;
  }

  get(key: string): V | undefined {
    return this.#notes.get(key);
  }

  set(key: string, note: V): void {
    this.#notes.delete(key);
    this.#notes.set(key, note);
    if (this.#notes.size <= this.#sizeMax) return;
    for (const oldest of this.#notes.keys()) {
      this.#notes.delete(oldest);
      return;
    }
  }

  /** True the first time a key is seen. */
  isNew(key: string, note: V): boolean {
    const seen = this.#notes.has(key);
    this.set(key, note);
    return !seen;
  }
}

/** What each session or thread of a stream has used. Neither number of an account ever falls, nor do their sums. */
export class Accounts {
  readonly #accounts = new Map<string, { tokens: number; micros: number }>();

  add(name: string, tokens: number, micros: number): void {
    const account = this.#account(name);
    account.tokens = sumOf([account.tokens, Math.max(0, tokens)]);
    account.micros += Math.max(0, micros);
  }

  raiseTo(name: string, tokens: number, micros: number): void {
    const account = this.#account(name);
    account.tokens = Math.max(account.tokens, tokens);
    account.micros = Math.max(account.micros, micros);
  }

  totals(): { readonly tokens: number; readonly costMicros: number } {
    let micros = 0;
    for (const account of this.#accounts.values()) micros += account.micros;
    return {
      tokens: sumOf(this.#accounts.values().map((account) => account.tokens)),
      costMicros: wholeMicros(micros),
    };
  }

  #account(name: string): { tokens: number; micros: number } {
    // One stream holds a handful; whoever invents more shares the account of the unnamed.
    const key = this.#accounts.has(name) || this.#accounts.size < 1000 ? name : '';
    const account = this.#accounts.get(key) ?? { tokens: 0, micros: 0 };
    this.#accounts.set(key, account);
    return account;
  }
}
