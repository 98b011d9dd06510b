import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';

/** Unicode mode where the pattern allows it; patterns written for older engines (`\-`) still work. @throws TypeError */
export function compilePattern(pattern: string): RegExp {
  for (const flags of ['gu', 'g']) {
    try {
      return new RegExp(pattern, flags);
    } catch {}
  }
  throw new TypeError(`redact: ${JSON.stringify(pattern)} is not a regular expression`);
}

/** A line longer than this is redacted piece by piece. */
const PIECE_BYTES = 64 * 1024;
/** Held back at each cut, so that a secret of up to this many characters is seen whole in one of the pieces. */
const OVERLAP_CHARS = 4 * 1024;

/**
 * Replaces what the patterns match by [REDACTED], line by line. Text is matched as UTF-8; a piece that is not UTF-8
 * is matched byte by byte as Latin-1, which keeps binary data as it is.
 */
export class PatternRedactor {
  readonly #patterns: readonly RegExp[];
  #pending: Buffer = Buffer.alloc(0);
  hasRedacted = false;

  /** @param patterns with the `g` flag. */
  constructor(patterns: readonly RegExp[]) {
    this.#patterns = patterns;
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

  redact(text: string): string {
    const replace = (match: string): string => {
      if (match === '') return '';
      this.hasRedacted = true;
      return '[REDACTED]';
    };
    return this.#patterns.reduce((kept, pattern) => kept.replace(pattern, replace), text);
  }

  #lines(bytes: Buffer): Buffer {
    if (isUtf8(bytes)) return Buffer.from(this.#eachLine(bytes.toString('utf8')), 'utf8');
    // Line by line, so that one line's encoding does not depend on the others that came with it.
    const lines: Buffer[] = [];
    for (let from = 0, to = 0; from < bytes.length; from = to) {
      to = bytes.indexOf(10, from) + 1 || bytes.length;
      const line = bytes.subarray(from, to);
      const encoding = isUtf8(line) ? 'utf8' : 'latin1';
      lines.push(Buffer.from(this.#eachLine(line.toString(encoding)), encoding));
    }
    return Buffer.concat(lines);
  }

  #eachLine(text: string): string {
    const lines = text.split('\n');
    return lines.map((line) => this.redact(line)).join('\n');
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
    const matches = this.#patterns.flatMap((pattern) =>
      [...text.matchAll(pattern)].map((match) => ({ from: match.index, to: match.index + match[0].length })),
    );
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
