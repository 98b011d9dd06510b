/** Reads an `events.jsonl` of any length line by line (contract wrkr §d, "Recovery", W8, W9). */
import { open, type FileHandle } from 'node:fs/promises';
import { ReeveError } from '../../model/errors.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import { corrupt, type LinePlace } from './fold-lines.ts';
import type { Line } from './lines.ts';
import { parseTime } from './time.ts';

export interface LogEnd {
  /** Bytes after the last newline: an append that was cut off. */
  readonly tornBytes: number;
}

const CHUNK_BYTES = 1_048_576;
const LINE_BYTES_MAX = 64 * 1_048_576;
const NEWLINE = 0x0a;

/**
 * Calls `use` for every whole line, in order; blank lines are passed over.
 * @returns undefined when there is no such file.
 * @throws ReeveError E_STORE_CORRUPT for a line that is no event, or not the next one.
 */
export async function readLog(
  path: string,
  use: (line: Line, atMs: number, place: LinePlace) => void,
): Promise<LogEnd | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new ReeveError(
      'E_STORE_UNAVAILABLE',
      `${path} cannot be read (${code})`,
      { file: path },
      { cause: error },
    );
  }
  try {
    return { tornBytes: await readLines(file, path, new LineReader(path, use)) };
  } finally {
    await file.close();
  }
}

/** Lines are decoded where they lie in the buffer; only a line cut by its end is moved, to the front. */
async function readLines(file: FileHandle, path: string, reader: LineReader): Promise<number> {
  let buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let filled = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled);
    if (bytesRead === 0) return filled;
    const end = filled + bytesRead;
    let start = 0;
    for (
      let at = buffer.indexOf(NEWLINE, filled);
      at !== -1 && at < end;
      at = buffer.indexOf(NEWLINE, start)
    ) {
      reader.line(buffer.toString('utf8', start, at));
      start = at + 1;
    }
    filled = end - start;
    if (start > 0) buffer.copy(buffer, 0, start, end);
    if (filled < buffer.length) continue;
    if (filled >= LINE_BYTES_MAX) {
      throw corrupt(`longer than ${LINE_BYTES_MAX} bytes`, { file: path, line: reader.count + 1 });
    }
    const larger = Buffer.allocUnsafe(buffer.length * 2);
    buffer.copy(larger, 0, 0, filled);
    buffer = larger;
  }
}

class LineReader {
  readonly #file: string;
  readonly #use: (line: Line, atMs: number, place: LinePlace) => void;
  #seq = 0;
  count = 0;

  constructor(file: string, use: (line: Line, atMs: number, place: LinePlace) => void) {
    this.#file = file;
    this.#use = use;
  }

  line(text: string): void {
    this.count += 1;
    if (text.trim() === '') return;
    const place: LinePlace = { file: this.#file, line: this.count };
    const value = parseObject(text, place);
    const { seq, type, created_at: createdAt, payload = null } = value;
    if (typeof seq !== 'number') throw corrupt('no sequence number', place);
    if (seq !== this.#seq + 1) throw corrupt(`sequence number ${seq} where ${this.#seq + 1} belongs`, place);
    if (typeof type !== 'string' || type === '') throw corrupt('no event type', place);
    if (seq === 1 && type !== 'job_initialized')
      throw corrupt(`begins with ${type} instead of job_initialized`, place);
    const atMs = typeof createdAt === 'string' ? parseTime(createdAt) : undefined;
    if (atMs === undefined) throw corrupt('created_at is no RFC 3339 time', place);
    if (payload !== null && !isObject(payload)) throw corrupt('the payload is no object', place);
    this.#seq = seq;
    const line = (payload === null ? { ...value, payload: {} } : value) as unknown as Line;
    this.#use(line, atMs, place);
  }
}

function parseObject(text: string, place: LinePlace): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw corrupt('no JSON', place);
  }
  if (!isObject(value)) throw corrupt('no JSON object', place);
  return value;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
