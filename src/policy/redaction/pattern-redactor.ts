import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import type { RedactionCounts } from './secret-redactor.ts';
import type { Span } from './secret-values.ts';

/** What is replaced, and by what. */
export interface TextPattern {
  /** Such as `[REDACTED]`. */
  readonly mark: string;
  /** Under which it is counted; replacements without are only noted. */
  readonly type?: string;
  /** In one line without its end: what matches, in order, nothing empty. */
  spans(line: string): readonly Span[];
  /** Of several lines: false when none of them matches. */
  mayMatch?(lines: string): boolean;
}

/** Unicode mode where the pattern allows it; patterns written for older engines (`\-`) still work. @throws TypeError */
export function compilePattern(pattern: string): RegExp {
  for (const flags of ['gu', 'g']) {
    try {
      return new RegExp(pattern, flags);
    } catch {}
  }
  throw new TypeError(`redact: ${JSON.stringify(pattern)} is not a regular expression`);
}

function textPattern(pattern: RegExp): TextPattern {
  return {
    mark: '[REDACTED]',
    spans: (line) =>
      [...line.matchAll(pattern)]
        .map(({ index, 0: match }) => ({ from: index, to: index + match.length }))
        .filter(({ from, to }) => to > from),
  };
}

/** A line longer than this is redacted piece by piece. */
const PIECE_BYTES = 64 * 1024;
/** Held back at each cut, so that a secret of up to this many characters is seen whole in one of the pieces. */
const OVERLAP_CHARS = 8 * 1024;

/**
 * Replaces what the patterns match by their marks, line by line. Text is matched as UTF-8; a piece that is not UTF-8
 * is matched byte by byte as Latin-1, which keeps binary data as it is.
 */
export class PatternRedactor {
  readonly #patterns: readonly TextPattern[];
  readonly #counts: Record<string, number> = {};
  #pending: Buffer = Buffer.alloc(0);
  hasRedacted = false;

  readonly #count: ((type: string) => void) | undefined;

  /** @param patterns expressions with the `g` flag; what they match becomes `[REDACTED]`. @param count told of types. */
  constructor(patterns: readonly (RegExp | TextPattern)[], count?: (type: string) => void) {
    this.#count = count;
    this.#patterns = patterns.map((each) => (each instanceof RegExp ? textPattern(each) : each));
  }

  /** By type, of the patterns that have one. */
  get counts(): RedactionCounts {
    return this.#counts;
  }

  /** What may be kept by now; an unfinished line is held back. */
  push(chunk: Buffer): Buffer {
    const all = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const lines = all.lastIndexOf(10) + 1;
    const done = lines === 0 ? [] : [this.#lines(all.subarray(0, lines))];
    this.#pending = Buffer.from(all.subarray(lines));
    if (this.#pending.length > PIECE_BYTES) done.push(this.#piece());
    return Buffer.concat(done);
  }

  end(): Buffer {
    const rest = this.#lines(this.#pending);
    this.#pending = Buffer.alloc(0);
    return rest;
  }

  /** @param line or lines; patterns are held to each of them alone. */
  redact(text: string): string {
    const patterns = this.#patterns.filter(({ mayMatch }) => mayMatch === undefined || mayMatch(text));
    if (patterns.length === 0) return text;
    return text
      .split('\n')
      .map((line) => patterns.reduce((kept, pattern) => this.#replaced(kept, pattern), line))
      .join('\n');
  }

  #replaced(line: string, { mark, type, spans }: TextPattern): string {
    let out = '';
    let at = 0;
    for (const { from, to } of spans(line)) {
      out += line.slice(at, from) + mark;
      at = to;
      this.hasRedacted = true;
      if (type === undefined) continue;
      this.#counts[type] = (this.#counts[type] ?? 0) + 1;
      this.#count?.(type);
    }
    return at === 0 ? line : out + line.slice(at);
  }

  #lines(bytes: Buffer): Buffer {
    if (isUtf8(bytes)) return Buffer.from(this.redact(bytes.toString('utf8')), 'utf8');
    // Line by line, so that one line's encoding does not depend on the others that came with it.
    const lines: Buffer[] = [];
    for (let from = 0, to = 0; from < bytes.length; from = to) {
      to = bytes.indexOf(10, from) + 1 || bytes.length;
      const line = bytes.subarray(from, to);
      const encoding = isUtf8(line) ? 'utf8' : 'latin1';
      lines.push(Buffer.from(this.redact(line.toString(encoding)), encoding));
    }
    return Buffer.concat(lines);
  }

  /** The front of a very long line, cut so that no match is cut in two. */
  #piece(): Buffer {
    const decoder = new StringDecoder('utf8');
    const whole = decoder.write(this.#pending);
    const encoding =
      Buffer.byteLength(whole) <= this.#pending.length && !whole.includes('\uFFFD') ? 'utf8' : 'latin1';
    const unfinished =
      encoding === 'utf8' ? this.#pending.subarray(Buffer.byteLength(whole)) : Buffer.alloc(0);
    const text = encoding === 'utf8' ? whole : this.#pending.toString('latin1');
    const cut = this.#cut(text);
    this.#pending = Buffer.concat([Buffer.from(text.slice(cut), encoding), unfinished]);
    return Buffer.from(this.redact(text.slice(0, cut)), encoding);
  }

  /** A place near the end of `text` that lies in no match and splits no surrogate pair; one match too long for it is taken whole. */
  #cut(text: string): number {
    const matches = this.#patterns.flatMap(({ spans }) => spans(text));
    let cut = text.length - OVERLAP_CHARS;
    if (/[\uDC00-\uDFFF]/.test(text[cut] ?? '')) cut -= 1;
    for (let moved = true; moved; ) {
      moved = false;
      for (const { from, to } of matches) {
        if (from >= cut || to <= cut) continue;
        cut = from;
        moved = true;
      }
    }
    return cut > 0
      ? cut
      : Math.max(...matches.filter((match) => match.from === 0).map((match) => match.to), 1);
  }
}
