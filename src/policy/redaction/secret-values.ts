import { formsOf, type ValueForm } from './value-forms.ts';

/** A part of a text, from and to in characters. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Characters by which forms that could begin at a place are told apart. Every form has that many. */
const KEY_CHARS = 6;
const BASE64 = /[A-Za-z0-9+/_-]/;

/**
 * Finds known values in text, many at once: the algorithm of Wu and Manber. A look at two characters says how far on the
 * next form can end, so that most of a text is never looked at.
 */
export class SecretValues {
  /** Of the longest form, characters. */
  readonly longest: number;
  readonly #forms = new Map<string, readonly ValueForm[]>();
  /** By two characters: how many places no form can end at. */
  readonly #shifts: Uint8Array;
  /** Where in a window those two stand: windows are as long as the shortest form. */
  readonly #last: number;

  /** @param values those of less than 6 characters are left out. */
  constructor(values: readonly string[]) {
    const forms = new Map(values.flatMap(formsOf).map((form) => [form.text, form]));
    const lengths = [...forms.keys()].map(({ length }) => length);
    this.longest = Math.max(0, ...lengths) + 2;
    this.#last = Math.min(...lengths, 255) - 2;
    this.#shifts = new Uint8Array(65_536).fill(this.#last + 1);
    // Longest first: at one place, that is the one to hide.
    for (const form of [...forms.values()].toSorted((a, b) => b.text.length - a.text.length)) {
      const key = form.text.slice(0, KEY_CHARS);
      this.#forms.set(key, [...(this.#forms.get(key) ?? []), form]);
      for (let at = 0; at <= this.#last; at += 1) {
        const pair = (form.text.charCodeAt(at) << 8) | form.text.charCodeAt(at + 1);
        this.#shifts[pair] = Math.min(this.#shifts[pair] as number, this.#last - at);
      }
    }
  }

  /** Where values stand, merged and in order. @param text Latin-1. */
  spans(text: string): readonly Span[] {
    const found: Span[] = [];
    if (this.#forms.size === 0) return found;
    const shifts = this.#shifts;
    const last = this.#last;
    const end = text.length - 1;
    for (let at = last; at < end; ) {
      const shift = shifts[(text.charCodeAt(at) << 8) | text.charCodeAt(at + 1)] as number;
      if (shift > 0) {
        at += shift;
        continue;
      }
      const span = this.#at(text, at - last);
      if (span !== undefined) add(found, span);
      at += 1;
    }
    return found;
  }

  #at(text: string, from: number): Span | undefined {
    const form = this.#forms
      .get(text.slice(from, from + KEY_CHARS))
      ?.find((each) => text.startsWith(each.text, from));
    if (form === undefined) return undefined;
    const to = from + form.text.length;
    return {
      from: form.before === true && BASE64.test(text[from - 1] ?? '') ? from - 1 : from,
      to: form.after === true && BASE64.test(text[to] ?? '') ? to + 1 : to,
    };
  }
}

/** Spans come in the order of their beginnings, but for one character. */
function add(spans: Span[], span: Span): void {
  const before = spans.at(-1);
  if (before === undefined || before.to < span.from) spans.push(span);
  else spans[spans.length - 1] = { from: Math.min(before.from, span.from), to: Math.max(before.to, span.to) };
}
