/** What is kept of a command's output, in bounded memory however much there is. Pure. */
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
