import { HINT, NAMED, PEM_BEGIN, PEM_END, PEM_LINE, PLAIN, PLAIN_TYPES, type SecretType } from './secrets.ts';

/** A line longer than this is redacted piece by piece, bytes. */
const LINE_BYTES_MAX = 64 * 1024;
/** Held back at each cut of such a line, so that a secret is seen whole in one of the pieces. */
const OVERLAP_BYTES = 8 * 1024;
/** After that much without an end a private key is none, bytes. */
const PEM_BYTES_MAX = 64 * 1024;
/** Goes on with a secret that is longer than a piece. */
const SECRET_BYTES = /^[^ \t\r\n\v\f"'`,;&<>(){}[\]|]*/;

/** Longer than any `-----END … PRIVATE KEY-----`. */
const PEM_MARK_CHARS_MAX = 100;

/** How many of each type were replaced. */
export type RedactionCounts = Readonly<Partial<Record<SecretType, number>>>;

/**
 * Replaces secrets in a stream of bytes by `[REDACTED:<TYPE>]`, whatever the pieces it comes in (I9). Lines stay lines.
 * What is clean comes out as it went in. Memory: one line, at most 64 KiB and one chunk.
 */
export class SecretRedactor {
  readonly #counts: Partial<Record<SecretType, number>> = {};
  /** The line that has no end yet, as Latin-1. */
  #pending = '';
  /** Bytes of a private key so far; undefined outside of one. */
  #pemBytes: number | undefined;
  #isInLongSecret = false;

  get counts(): RedactionCounts {
    return this.#counts;
  }

  get hasRedacted(): boolean {
    return Object.keys(this.#counts).length > 0;
  }

  /** What may be passed on by now; an unfinished line is held back. */
  push(chunk: Uint8Array): Buffer {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    const lines = text.lastIndexOf('\n') + 1;
    let out = '';
    if (lines === 0) {
      this.#pending += text;
    } else {
      out = this.#lines(this.#pending + text.slice(0, lines));
      this.#pending = text.slice(lines);
    }
    while (this.#pending.length > LINE_BYTES_MAX) out += this.#piece();
    return Buffer.from(out, 'latin1');
  }

  end(): Buffer {
    const rest = this.#pending;
    this.#pending = '';
    return Buffer.from(rest === '' ? '' : this.#lines(rest), 'latin1');
  }

  /** Whole lines; the last one may lack its newline. */
  #lines(text: string): string {
    if (this.#pemBytes === undefined && !this.#isInLongSecret) {
      if (!HINT.test(text)) return text;
      if (!PEM_BEGIN.test(text)) return this.#plain(text);
    }
    let out = '';
    for (let from = 0; from < text.length; ) {
      const end = text.indexOf('\n', from) + 1 || text.length;
      out += this.#line(text.slice(from, end));
      from = end;
    }
    return out;
  }

  #line(line: string): string {
    let rest = line;
    if (this.#isInLongSecret) {
      rest = rest.slice(SECRET_BYTES.exec(rest)?.[0].length ?? 0);
      this.#isInLongSecret = false;
    }
    let out = '';
    for (;;) {
      if (this.#pemBytes !== undefined) {
        const after = this.#inPem(rest);
        if (this.#pemBytes !== undefined) return out + after;
        rest = after;
      }
      const begin = PEM_BEGIN.exec(rest);
      if (begin === null) return out + this.#plain(rest);
      out += `${this.#plain(rest.slice(0, begin.index))}[REDACTED:PRIVATE_KEY]`;
      this.#count('PRIVATE_KEY');
      this.#pemBytes = 0;
      rest = rest.slice(begin.index + begin[0].length);
    }
  }

  /** Drops what belongs to a private key, and sets `#pemBytes` undefined behind it. @returns what is left of the line. */
  #inPem(line: string): string {
    const end = PEM_END.exec(line);
    if (end !== null) {
      this.#pemBytes = undefined;
      return line.slice(end.index + end[0].length);
    }
    const text = line.endsWith('\n') ? line.slice(0, -1) : line;
    this.#pemBytes = (this.#pemBytes ?? 0) + line.length;
    if (this.#pemBytes <= PEM_BYTES_MAX && PEM_LINE.test(text)) {
      return `${text.endsWith('\r') ? '\r' : ''}${line.slice(text.length)}`;
    }
    this.#pemBytes = undefined;
    return line;
  }

  /** Secrets that lie within one line. */
  #plain(text: string): string {
    if (!HINT.test(text)) return text;
    const known = text.replace(PLAIN, (...found: (string | undefined)[]) => {
      const at = PLAIN_TYPES.findIndex((_, index) => found[2 * index + 2] !== undefined);
      const type = PLAIN_TYPES[at] ?? 'API_KEY';
      this.#count(type);
      return `${found[2 * at + 1] ?? ''}[REDACTED:${type}]`;
    });
    return known.replace(NAMED, (_, name: string, value: string) => {
      this.#count('PASSWORD');
      const quote = /^(?:\\?["'])?/.exec(value)?.[0] ?? '';
      const isClosed = value.length > quote.length && value.endsWith(quote);
      return `${name}${quote}[REDACTED:PASSWORD]${isClosed ? quote : ''}`;
    });
  }

  /** The front of a very long line, cut where no secret lies. */
  #piece(): string {
    const text = this.#pending;
    if (this.#isInLongSecret) {
      const dropped = SECRET_BYTES.exec(text)?.[0].length ?? 0;
      this.#pending = text.slice(dropped);
      this.#isInLongSecret = this.#pending === '';
      return '';
    }
    if (this.#pemBytes !== undefined) return this.#pemPiece(text, this.#pemBytes);
    const begin = PEM_BEGIN.exec(text);
    const span = begin === null ? secretAcross(text, text.length - OVERLAP_BYTES) : undefined;
    const cut = begin?.index ?? span?.from ?? text.length - OVERLAP_BYTES;
    if (cut > 0) {
      this.#pending = text.slice(cut);
      return this.#plain(text.slice(0, cut));
    }
    if (begin !== null) {
      this.#pending = text.slice(begin[0].length);
      this.#pemBytes = 0;
      this.#count('PRIVATE_KEY');
      return '[REDACTED:PRIVATE_KEY]';
    }
    // One secret that fills the piece. When it goes on behind it, that is dropped too.
    const to = span?.to ?? text.length;
    this.#pending = text.slice(to);
    this.#isInLongSecret = to === text.length;
    return this.#plain(text.slice(0, to));
  }

  /** The same within a private key: drops all but a last part, in which its end may have begun. */
  #pemPiece(text: string, before: number): string {
    const end = PEM_END.exec(text);
    const dropped = end === null ? text.length - 2 * PEM_MARK_CHARS_MAX : end.index + end[0].length;
    const isPem = end !== null || PEM_LINE.test(text.slice(0, dropped));
    if (isPem) this.#pending = text.slice(dropped);
    this.#pemBytes = end === null && isPem && before <= PEM_BYTES_MAX ? before + dropped : undefined;
    return '';
  }

  #count(type: SecretType): void {
    this.#counts[type] = (this.#counts[type] ?? 0) + 1;
  }
}

/** The first of the secrets that a cut at `at` would cut, or that overlap such a one. */
function secretAcross(text: string, at: number): { readonly from: number; readonly to: number } | undefined {
  let across: { readonly from: number; readonly to: number } | undefined;
  const spans = [PLAIN, NAMED]
    .flatMap((shape) => [...text.matchAll(shape)])
    .map(({ index, 0: match }) => ({ from: index, to: index + match.length }))
    .toSorted((a, b) => b.from - a.from);
  for (const span of spans) {
    const cut = across?.from ?? at;
    if (span.from < cut && span.to > cut)
      across = { from: span.from, to: Math.max(span.to, across?.to ?? 0) };
  }
  return across;
}

/** The same for a text that is there as a whole. */
export function redactSecrets(text: string): string {
  if (!HINT.test(text)) return text;
  const redactor = new SecretRedactor();
  return Buffer.concat([redactor.push(Buffer.from(text)), redactor.end()]).toString();
}
