import { ReeveError } from '../../model/errors.ts';
import type { Json } from '../../model/json.ts';
import { Redactor } from './redactor.ts';
import { SecretValues } from './secret-values.ts';
import type { TextPattern } from './pattern-redactor.ts';
import type { KnownValues, RedactionCounts } from './secret-redactor.ts';
import { tenantPattern, type TenantPattern } from './tenant-patterns.ts';

export interface RedactionRules {
  /** Secrets that are known by value: those of `env_refs`, tokens. Of less than 6 characters they are not looked for. */
  readonly values?: readonly string[];
  readonly patterns?: readonly TenantPattern[];
  /** Values that are no secrets, whatever they look like. A known value is one all the same. */
  readonly exceptions?: readonly string[];
}

/** Bytes that a part of a path may have. */
const NAME_BYTES_MAX = 255;
const DEPTH_MAX = 200;
const MARK = /\[REDACTED:[A-Z0-9_]+\]/g;

/**
 * All redaction of one run, or of one tenant (contract agents §6): rules that are prepared once, for as many streams, texts,
 * documents and names as there are, with one count of what was replaced.
 */
export class Redaction {
  readonly #known: KnownValues;
  readonly #patterns: readonly TextPattern[];
  readonly #counts = new Map<string, number>();

  /** @throws ReeveError E_INVALID_INPUT_SCHEMA {field, value}: a pattern of the tenant cannot be taken. */
  constructor({ values = [], patterns = [], exceptions = [] }: RedactionRules = {}) {
    const texts = new Set(exceptions);
    this.#known = {
      secrets: new SecretValues(values),
      exceptions: new Set(exceptions.map((text) => Buffer.from(text).toString('latin1'))),
      count: (type) => void this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1),
    };
    this.#patterns = patterns.map((pattern, at) => tenantPattern(pattern, `/patterns/${at}`, texts));
  }

  /** How many of each type were replaced so far, in the order of the types. */
  get counts(): RedactionCounts {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** For one stream of bytes. */
  stream(): Redactor {
    return new Redactor(this.#patterns, this.#known);
  }

  text(text: string): string {
    const stream = this.stream();
    const bytes = Buffer.from(text);
    const kept = Buffer.concat([stream.push(bytes), stream.end()]);
    return kept.equals(bytes) ? text : kept.toString();
  }

  /**
   * Of a document: names, texts, and what is secret by its name, so that it stays a document.
   * @throws ReeveError E_INVALID_INPUT_SCHEMA {limit}: it is nested deeper than 200.
   */
  json(value: Json): Json {
    return this.#member('', value, 0);
  }

  /** Names of files, part by part and then as one, since a value may hold a slash. A part has at most 255 bytes. */
  path(path: string): string {
    const parts = path.split('/').map((part) => fitting(part, this.text(part)));
    return this.text(parts.join('/'));
  }

  /** A command line: the value of a flag such as `--password` is secret whatever it is, behind `=` or as the next one. */
  argv(argv: readonly string[]): readonly string[] {
    return argv.map((argument, at) => {
      const { flag, value } = /^(?<flag>-[^=\s]*)=(?<value>[^]*)$/.exec(argument)?.groups ?? {};
      if (flag !== undefined && value !== undefined) return `${this.text(flag)}=${this.#named(flag, value)}`;
      const before = argv[at - 1] ?? '';
      return /^-[^=\s]*$/.test(before) ? this.#named(before, argument) : this.text(argument);
    });
  }

  #member(name: string, value: Json, depth: number): Json {
    if (depth > DEPTH_MAX) {
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the document is nested deeper than ${DEPTH_MAX}`, {
        limit: DEPTH_MAX,
      });
    }
    if (typeof value === 'string') return this.#named(name, value);
    if (typeof value === 'number') {
      const text = `${JSON.stringify(name)}:${value}`;
      const kept = this.text(text);
      return kept === text ? value : (kept.match(MARK)?.at(-1) ?? null);
    }
    if (typeof value !== 'object' || value === null) return value;
    if (isList(value)) return value.map((item) => this.#member(name, item, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [this.text(key), this.#member(key, item, depth + 1)]),
    );
  }

  /** A text that its name may give away, by the rules for JSON. */
  #named(name: string, value: string): string {
    const kept = this.text(value);
    const quoted = `${JSON.stringify(this.text(name))}:${JSON.stringify(kept)}`;
    const redacted = this.text(quoted);
    return redacted === quoted ? kept : (redacted.match(MARK)?.at(-1) ?? kept);
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** What was put in must not make a name too long to be one. */
function fitting(before: string, after: string): string {
  if (before === after || Buffer.byteLength(after) <= NAME_BYTES_MAX) return after;
  return Buffer.from(after).subarray(0, NAME_BYTES_MAX).toString().replaceAll('\uFFFD', '');
}
