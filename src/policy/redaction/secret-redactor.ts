import { HINT, NAMED, PEM_BEGIN, PEM_END, PEM_LINE, PLAIN, PLAIN_TYPES } from './secrets.ts';
import type { SecretValues, Span } from './secret-values.ts';

/** A line longer than this is redacted piece by piece, bytes. */
const LINE_BYTES_MAX = 64 * 1024;
/** Of that, at least so many bytes are held back: contract agents §6. */
const OVERLAP_BYTES = 8 * 1024;
/** After that much without an end a private key is none, bytes. */
const PEM_BYTES_MAX = 64 * 1024;
/** Goes on with a secret that is longer than a piece. */
const SECRET_BYTES = /^[^ \t\r\n\v\f"'`,;&<>(){}[\]|]*/;

/** Lines with hints that are no farther apart are looked at together, which is faster. */
const NEAR_BYTES = 512;
/** Longer than any `-----END … PRIVATE KEY-----`. */
const PEM_MARK_CHARS_MAX = 100;

/** How many of each type were replaced. */
export type RedactionCounts = Readonly<Record<string, number>>;

/** What one knows beside the forms of secrets. Made once, for all streams of a run. */
export interface KnownValues {
  /** Replaced wherever they stand, as `ENV_SECRET`. */
  readonly secrets: SecretValues;
  /** Latin-1 of the bytes of values that are no secrets, whatever they look like; never of one of `secrets`. */
  readonly exceptions: ReadonlySet<string>;
  /** Told of each replacement. */
  readonly count: (type: string) => void;
}

const HINTS = new RegExp(HINT, 'g');

/**
 * Replaces secrets in a stream of bytes by `[REDACTED:<TYPE>]`, whatever the pieces it comes in (I9). Lines stay lines.
 * What is clean comes out as it went in. Memory: one line, at most 64 KiB, or twice the longest known value, and one chunk.
 */
export class SecretRedactor {
  readonly #counts: Record<string, number> = {};
  readonly #known: KnownValues | undefined;
  /** Held back at each cut of a very long line, so that a secret is seen whole in one of the pieces. */
  readonly #overlap: number;
  /** The line that has no end yet, as Latin-1. */
  #pending = '';
  /** Bytes of a private key so far; undefined outside of one. */
  #pemBytes: number | undefined;
  #isInLongSecret = false;

  constructor(known?: KnownValues) {
    this.#known = known;
    this.#overlap = Math.max(OVERLAP_BYTES, known?.secrets.longest ?? 0);
  }

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
    const most = Math.max(LINE_BYTES_MAX, 2 * this.#overlap);
    while (this.#pending.length > most) out += this.#piece();
    return Buffer.from(out, 'latin1');
  }

  end(): Buffer {
    const rest = this.#pending;
    this.#pending = '';
    return Buffer.from(rest === '' ? '' : this.#lines(rest), 'latin1');
  }

  /** Whole lines; the last one may lack its newline. */
  #lines(whole: string): string {
    let text = whole;
    if (this.#isInLongSecret) {
      text = text.slice(SECRET_BYTES.exec(text)?.[0].length ?? 0);
      this.#isInLongSecret = false;
    }
    text = this.#withoutValues(text);
    if (this.#pemBytes === undefined) {
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

  /** Known values, each with all of the secret that it is a part of. */
  #withoutValues(text: string): string {
    let out = '';
    let at = 0;
    for (const { from, to } of widened(text, this.#known?.secrets.spans(text) ?? [])) {
      out += `${text.slice(at, from)}[REDACTED:ENV_SECRET]`;
      at = to;
      this.#count('ENV_SECRET');
    }
    return at === 0 ? text : out + text.slice(at);
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

  /** Secrets that lie within one line. Lines without hints are passed over, but for a few between others. */
  #plain(text: string): string {
    let out = '';
    let done = 0;
    let from = -1;
    let to = 0;
    HINTS.lastIndex = 0;
    for (let hint = HINTS.exec(text); hint !== null; hint = HINTS.exec(text)) {
      if (from >= 0 && hint.index > to + NEAR_BYTES) {
        out += text.slice(done, from) + this.#hinted(text.slice(from, to));
        done = to;
        from = -1;
      }
      if (from < 0) from = text.lastIndexOf('\n', hint.index) + 1;
      to = text.indexOf('\n', hint.index) + 1 || text.length;
      HINTS.lastIndex = to;
    }
    if (from < 0) return text;
    return out + text.slice(done, from) + this.#hinted(text.slice(from, to)) + text.slice(to);
  }

  #hinted(lines: string): string {
    const known = lines.replace(PLAIN, (match: string, ...found: (string | undefined)[]) => {
      const at = PLAIN_TYPES.findIndex((_, index) => found[2 * index + 1] !== undefined);
      const type = PLAIN_TYPES[at] ?? 'API_KEY';
      if (this.#known?.exceptions.has(found[2 * at + 1] ?? '') === true) return match;
      this.#count(type);
      return `${found[2 * at] ?? ''}[REDACTED:${type}]`;
    });
    return known.replace(NAMED, (match, name: string, value: string) => {
      const { before, secret, after } = unquoted(value);
      if (this.#known?.exceptions.has(secret) === true) return match;
      this.#count('PASSWORD');
      return `${name}${before}[REDACTED:PASSWORD]${after}`;
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
    const hasHint = HINT.test(text);
    const begin = hasHint ? PEM_BEGIN.exec(text) : null;
    const at = begin?.index ?? text.length - this.#overlap;
    const shapes = hasHint && begin === null ? [...text.matchAll(PLAIN), ...text.matchAll(NAMED)] : [];
    const span = across(at, [...(this.#known?.secrets.spans(text) ?? []), ...shapes.map(spanOf)]);
    const cut = span?.from ?? at;
    if (cut > 0) {
      this.#pending = text.slice(cut);
      return this.#plain(this.#withoutValues(text.slice(0, cut)));
    }
    if (span === undefined) {
      this.#pending = text.slice(begin?.[0].length ?? 0);
      this.#pemBytes = 0;
      this.#count('PRIVATE_KEY');
      return '[REDACTED:PRIVATE_KEY]';
    }
    // One secret that fills the piece. When it goes on behind it, that is dropped too.
    this.#pending = text.slice(span.to);
    this.#isInLongSecret = span.to === text.length;
    return this.#plain(this.#withoutValues(text.slice(0, span.to)));
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

  #count(type: string): void {
    this.#counts[type] = (this.#counts[type] ?? 0) + 1;
    this.#known?.count(type);
  }
}

/** The first of the secrets that a cut at `at` would cut, or that overlap such a one. */
function across(at: number, spans: readonly Span[]): Span | undefined {
  let found: Span | undefined;
  for (const span of spans.toSorted((a, b) => b.from - a.from)) {
    if (span.from < (found?.from ?? at) && span.to > (found?.from ?? at))
      found = { from: span.from, to: Math.max(span.to, found?.to ?? 0) };
  }
  return found;
}

function spanOf({ index, 0: match }: RegExpExecArray): Span {
  return { from: index, to: index + match.length };
}

/**
 * Known values with what they are a part of: one within a longer secret must not let the rest of that stand. Each line is
 * looked at once, however many there are in it. @param values in order, apart from each other; so is the result.
 */
function widened(text: string, values: readonly Span[]): readonly Span[] {
  const wide: Span[] = [];
  let secrets: readonly Span[] = [];
  let [next, lineEnd] = [0, 0];
  for (const value of values) {
    if (value.from >= lineEnd) {
      const start = text.lastIndexOf('\n', value.from) + 1;
      lineEnd = text.indexOf('\n', value.to) + 1 || text.length;
      secrets = secretsIn(text.slice(start, lineEnd), start);
      next = 0;
    }
    let { from, to } = value;
    for (let secret = secrets[next]; secret !== undefined && secret.from < to; secret = secrets[next]) {
      if (secret.to > from) [from, to] = [Math.min(secret.from, from), Math.max(secret.to, to)];
      next += 1;
    }
    merge(wide, { from, to });
  }
  return wide;
}

/** Of one line, in order and apart from each other. */
function secretsIn(line: string, start: number): readonly Span[] {
  const found = [...line.matchAll(PLAIN), ...line.matchAll(NAMED)].map((match): Span => {
    const secret = match.findLast((group) => group !== undefined) ?? '';
    const { before, after } = unquoted(secret);
    const end = start + match.index + match[0].length;
    return { from: end - secret.length + before.length, to: end - after.length };
  });
  const apart: Span[] = [];
  for (const span of found.toSorted((a, b) => a.from - b.from)) merge(apart, span);
  return apart;
}

/** Adds a span that does not begin before the last one does, or becomes one with it. */
function merge(spans: Span[], span: Span): void {
  const last = spans.at(-1);
  if (last === undefined || last.to <= span.from) spans.push(span);
  else spans[spans.length - 1] = { from: Math.min(last.from, span.from), to: Math.max(last.to, span.to) };
}

/** A value without its quotes, which may be escaped, and may lack the second. */
function unquoted(value: string): {
  readonly before: string;
  readonly secret: string;
  readonly after: string;
} {
  const before = /^(?:\\?["'])?/.exec(value)?.[0] ?? '';
  const isClosed = value.length > before.length && value.endsWith(before);
  const after = isClosed ? before : '';
  return { before, secret: value.slice(before.length, value.length - after.length), after };
}

/** The same for a text that is there as a whole. */
export function redactSecrets(text: string): string {
  if (!HINT.test(text)) return text;
  const redactor = new SecretRedactor();
  return Buffer.concat([redactor.push(Buffer.from(text)), redactor.end()]).toString();
}
