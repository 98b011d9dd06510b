/** Documents and lines of a pack, checked against their schemas one at a time. */
import { ReeveError } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { AmbiguousJson, parseStrict } from '../model/strict-json.ts';
import { TEXT_BYTES_MAX } from './limits.ts';
import { MANIFEST, type Manifest } from './manifest.ts';
import { SCHEMAS, type KnownEntry } from './schemas.ts';
import { compile, type Check } from './shape.ts';
import type { ZipEntry, ZipReader } from './zip-reader.ts';

const NEWLINE = 0x0a;

const compiled = new Map<KnownEntry, Check>();

function checkOf(entry: KnownEntry): Check {
  let check = compiled.get(entry);
  if (check === undefined) {
    check = compile(SCHEMAS[entry]);
    compiled.set(entry, check);
  }
  return check;
}

/** Whether a document may stand in a pack under this name. */
export function fitsSchema(path: KnownEntry, value: unknown): value is JsonObject {
  return checkOf(path)(value) === undefined;
}

/** A refusal for what is not as it was recorded. */
export function mismatch(
  message: string,
  details: Readonly<Record<string, unknown>>,
  cause?: unknown,
): ReeveError {
  return new ReeveError('E_VERIFY_HASH_MISMATCH', message, details, { cause });
}

/** @throws ReeveError E_VERIFY_HASH_MISMATCH when there is none. */
export function requireEntry(reader: ZipReader, path: string): ZipEntry {
  const entry = reader.entries.get(path);
  if (entry === undefined) throw mismatch(`the pack has no ${path}`, { path });
  return entry;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for what is no JSON, E_VERIFY_HASH_MISMATCH for what is ambiguous. */
export async function readJson(reader: ZipReader, path: string): Promise<Json> {
  const bytes = await reader.read(requireEntry(reader, path), TEXT_BYTES_MAX);
  return parse(path, bytes);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for what does not fit its schema. */
export async function readDocument(reader: ZipReader, path: KnownEntry): Promise<JsonObject> {
  const value = await readJson(reader, path);
  const problem = checkOf(path)(value);
  if (problem === undefined) return value as JsonObject;
  throw invalid(path, `${problem.field || 'the document'} ${problem.problem}`);
}

export async function readManifest(reader: ZipReader): Promise<Manifest> {
  return (await readDocument(reader, MANIFEST)) as unknown as Manifest;
}

/** The lines of an entry, one after the other. Blank ones are passed over, and counted. */
export class LineCursor {
  readonly #path: string;
  readonly #check: Check | undefined;
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** Whole lines that were read, as far as `#at` already given out. */
  #block = '';
  #at = 0;
  /** What stands behind the last newline. */
  #rest: Buffer = Buffer.alloc(0);
  #ended = false;
  #count = 0;
  /** What is to be said of the line behind the block. */
  #failure: ReeveError | undefined;

  /** @param checked against the schema of that entry. */
  constructor(reader: ZipReader, path: string, checked?: KnownEntry) {
    this.#path = path;
    this.#check = checked === undefined ? undefined : checkOf(checked);
    const entry = reader.entries.get(path);
    this.#chunks = (entry === undefined ? nothing() : reader.chunks(entry))[Symbol.asyncIterator]();
  }

  /** Number of the last line, from 1. */
  get count(): number {
    return this.#count;
  }

  /** The next line as it stands; undefined after the last. */
  async text(): Promise<string | undefined> {
    for (;;) {
      if (this.#at >= this.#block.length) {
        if (this.#failure !== undefined) throw this.#failure;
        if (!(await this.#fill())) return undefined;
        continue;
      }
      const end = this.#block.indexOf('\n', this.#at);
      const line = this.#block.slice(this.#at, end === -1 ? undefined : end);
      this.#at = end === -1 ? this.#block.length : end + 1;
      this.#count += 1;
      if (line.startsWith('{') || !/^[ \t\r]*$/.test(line)) return line;
    }
  }

  /** The next line as a document. @throws ReeveError E_INVALID_INPUT_SCHEMA {path, line, error}. */
  async next(): Promise<JsonObject | undefined> {
    const line = await this.text();
    if (line === undefined) return undefined;
    const value = parseText(this.#path, line, this.#count);
    const problem = this.#check?.(value);
    if (problem !== undefined) {
      throw invalid(this.#path, `${problem.field || 'the document'} ${problem.problem}`, this.#count);
    }
    return value as JsonObject;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** Reads on to the next newline. False: there is nothing more. */
  async #fill(): Promise<boolean> {
    const parts = [this.#rest];
    let size = this.#rest.length;
    let whole = -1;
    while (!this.#ended && whole === -1) {
      const { value, done } = await this.#chunks.next();
      if (done === true) {
        this.#ended = true;
        break;
      }
      const chunk = Buffer.from(value);
      const first = chunk.indexOf(NEWLINE);
      if (size + (first === -1 ? chunk.length : first) > TEXT_BYTES_MAX) this.#refuseLong();
      const newline = chunk.lastIndexOf(NEWLINE);
      if (newline !== -1) whole = size + newline + 1;
      parts.push(chunk);
      size += chunk.length;
    }
    const bytes = Buffer.concat(parts);
    const end = whole === -1 ? bytes.length : whole;
    this.#rest = bytes.subarray(end);
    this.#block = this.#decode(bytes.subarray(0, end));
    this.#at = 0;
    return end > 0;
  }

  #refuseLong(): never {
    const line = this.#count + 1;
    throw mismatch(`${this.#path}, line ${line}: longer than ${TEXT_BYTES_MAX} bytes`, {
      path: this.#path,
      line,
    });
  }

  /** The lines up to the first that is no UTF-8; what is wrong with that one comes when it is asked for. */
  #decode(bytes: Buffer): string {
    try {
      return decoder.decode(bytes);
    } catch {
      const good: string[] = [];
      for (let at = 0; this.#failure === undefined; ) {
        const end = bytes.indexOf(NEWLINE, at) + 1 || bytes.length;
        try {
          good.push(decoder.decode(bytes.subarray(at, end)));
        } catch (cause) {
          this.#failure = invalid(this.#path, 'is no UTF-8', this.#count + good.length + 1, cause);
        }
        at = end;
      }
      return good.join('');
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(path: string, bytes: Uint8Array, line?: number): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw invalid(path, 'is no UTF-8', line, cause);
  }
}

function parse(path: string, bytes: Uint8Array): Json {
  return parseText(path, decode(path, bytes));
}

function parseText(path: string, text: string, line?: number): Json {
  try {
    return parseStrict(text);
  } catch (cause) {
    if (!(cause instanceof AmbiguousJson)) throw invalid(path, 'is no JSON', line, cause);
    const where = line === undefined ? path : `${path}, line ${line}`;
    const details = { path, ...(line === undefined ? {} : { line }), reason: cause.message };
    throw mismatch(`${where} ${cause.message}`, details, cause);
  }
}

function invalid(path: string, error: string, line?: number, cause?: unknown): ReeveError {
  const where = line === undefined ? path : `${path}, line ${line}`;
  return new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${where}: ${error}`,
    { path, ...(line === undefined ? {} : { line }), error },
    { cause },
  );
}
