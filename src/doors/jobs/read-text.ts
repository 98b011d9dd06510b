/** Reads a text file that a user named: small, UTF-8, and no pipe to wait for. */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { ReeveError } from '../../model/errors.ts';

/** Most bytes of a file that is read as a whole. */
export const TEXT_FILE_BYTES_MAX = 1_048_576;

export interface NamedFile {
  /** Absolute. */
  readonly path: string;
  /** What it is, for messages: `the spec`. */
  readonly what: string;
  /** Argument or field that named it. */
  readonly field: string;
}

/**
 * @returns undefined when there is no such file.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA when it cannot be read, is no file, too large, or no UTF-8.
 */
export async function readTextFile(named: NamedFile): Promise<string | undefined> {
  let file: FileHandle;
  try {
    // Not waiting for a writer, should it be a pipe.
    file = await open(named.path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw fileRefusal(named, `cannot be read (${code})`, error);
  }
  try {
    if (!(await file.stat()).isFile()) throw fileRefusal(named, 'is no file');
    const buffer = Buffer.alloc(TEXT_FILE_BYTES_MAX + 1);
    let size = 0;
    for (let read = -1; read !== 0 && size < buffer.length; size += read) {
      ({ bytesRead: read } = await file.read(buffer, size, buffer.length - size, size));
    }
    if (size > TEXT_FILE_BYTES_MAX) throw fileRefusal(named, `is larger than ${TEXT_FILE_BYTES_MAX} bytes`);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, size));
    } catch (error) {
      throw fileRefusal(named, 'is no UTF-8 text', error);
    }
  } finally {
    await file.close();
  }
}

export function fileRefusal({ path, what, field }: NamedFile, problem: string, cause?: unknown): ReeveError {
  return new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${what} ${path} ${problem}`,
    { field, problem, value: path },
    { cause },
  );
}
