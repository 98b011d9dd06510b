/** What is kept of a command's output, in bounded memory however much there is. Pure. */
import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';

/** Most that is kept of each stream for the record, in bytes. */
export const TAIL_BYTES = 64 * 1024;

/** The last 64 KiB that went by, in a ring: a list of chunks would cost 100 times that for a writer of single bytes. */
export class Tail {
  totalBytes = 0;
  readonly #ring = Buffer.alloc(TAIL_BYTES);
  #at = 0;

  push(chunk: Buffer): void {
    this.totalBytes += chunk.length;
    const kept = chunk.length > TAIL_BYTES ? chunk.subarray(chunk.length - TAIL_BYTES) : chunk;
    const first = Math.min(kept.length, TAIL_BYTES - this.#at);
    kept.copy(this.#ring, this.#at, 0, first);
    kept.copy(this.#ring, 0, first);
    this.#at = (this.#at + kept.length) % TAIL_BYTES;
  }

  /** A copy; where older bytes were dropped it begins with a whole UTF-8 character. */
  bytes(): Buffer {
    if (this.totalBytes <= TAIL_BYTES) return Buffer.from(this.#ring.subarray(0, this.totalBytes));
    const all = Buffer.concat([this.#ring.subarray(this.#at), this.#ring.subarray(0, this.#at)]);
    return all.subarray(characterStart(all, 0));
  }
}

/**
 * Bytes as text of at most 64 KiB of UTF-8: what is not UTF-8 becomes U+FFFD, which can triple the size, so the
 * front is cut again. NUL becomes U+FFFD too: PostgreSQL stores no text that holds it.
 */
export function tailText(bytes: Buffer): string {
  const text = bytes.toString('utf8').replaceAll('\0', '\uFFFD');
  const encoded = Buffer.from(text);
  if (encoded.length <= TAIL_BYTES) return text;
  return encoded.toString('utf8', characterStart(encoded, encoded.length - TAIL_BYTES));
}

/** First position from `at` on that is not inside a UTF-8 character; in binary data at most 3 further. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at;
  while (start < at + 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return start;
}

/** Room for a line to begin with, in bytes. */
const LINE_BYTES = 64 * 1024;

/** Cuts a stream into lines. Lines longer than `bytesMax` are skipped and counted, so that memory stays bounded. */
export class LineSplitter {
  skipped = 0;
  readonly #bytesMax: number;
  readonly #onLine: (line: string) => void;
  /** Grows by doubling; holding on to the chunks instead would cost a hundred times their bytes when they are tiny. */
  #line = Buffer.alloc(LINE_BYTES);
  #bytes = 0;
  #skipping = false;

  constructor(bytesMax: number, onLine: (line: string) => void) {
    this.#bytesMax = bytesMax;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let newline = chunk.indexOf(10); newline >= 0; newline = chunk.indexOf(10, from)) {
      this.#add(chunk.subarray(from, newline));
      this.end();
      from = newline + 1;
    }
    this.#add(chunk.subarray(from));
  }

  /** Ends the line begun last, if there is one. */
  end(): void {
    if (this.#bytes > 0) this.#onLine(this.#line.toString('utf8', 0, this.#bytes));
    this.#forget();
    this.#skipping = false;
  }

  #add(part: Buffer): void {
    if (this.#skipping) return;
    const bytes = this.#bytes + part.length;
    if (bytes > this.#bytesMax) {
      this.skipped += 1;
      this.#skipping = true;
      this.#forget();
      return;
    }
    if (bytes > this.#line.length) {
      const larger = Buffer.alloc(Math.max(bytes, 2 * this.#line.length));
      this.#line.copy(larger, 0, 0, this.#bytes);
      this.#line = larger;
    }
    part.copy(this.#line, this.#bytes);
    this.#bytes = bytes;
  }

  #forget(): void {
    this.#bytes = 0;
    if (this.#line.length > 16 * LINE_BYTES) this.#line = Buffer.alloc(LINE_BYTES);
  }
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

/** A line longer than this is redacted piece by piece. */
const PIECE_BYTES = 64 * 1024;
/** Held back at each cut, so that a secret of up to this many characters is seen whole in one of the pieces. */
const OVERLAP_CHARS = 4 * 1024;

/**
 * Replaces what the patterns match by [REDACTED], line by line. Text is matched as UTF-8; a piece that is not UTF-8
 * is matched byte by byte as Latin-1, which keeps binary data as it is.
 */
export class Redactor {
  readonly #patterns: readonly RegExp[];
  #pending: Buffer = Buffer.alloc(0);

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
    const replace = (match: string): string => (match === '' ? '' : '[REDACTED]');
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
