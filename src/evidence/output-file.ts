/** A file that is there whole or not at all: written aside in its directory, synced, renamed, the directory synced. */
import { randomUUID } from 'node:crypto';
import { link, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import { makeDurableFolder, syncFolder } from '../store/make-folder.ts';
import type { ByteSink } from './zip-writer.ts';

const BUFFER_BYTES = 256 * 1024;

export interface OutputOptions {
  /** Default 0600. */
  readonly mode?: number;
  /** False: a file that is there stays, and the writing fails. */
  readonly replace?: boolean;
}

/**
 * Makes the file and the directories above it (0600, 0750). Whatever fails, nothing new is left behind.
 * @throws ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE when the place cannot be written; E_INVALID_INPUT_SCHEMA when
 * there is a file that must stay; what `write` throws.
 */
export async function writeFileAtomically<T>(
  path: string,
  write: (sink: ByteSink) => Promise<T>,
  { mode = 0o600, replace = true }: OutputOptions = {},
): Promise<T> {
  const folder = dirname(path);
  const aside = join(folder, `.tmp-${randomUUID()}`);
  try {
    await makeDurableFolder(folder, 0o750);
    try {
      const file = await open(aside, 'wx', mode);
      let result: T;
      try {
        const sink = new BufferedSink(file);
        result = await write(sink);
        await sink.flush();
        await file.sync();
      } finally {
        await file.close();
      }
      if (replace) await rename(aside, path);
      else await placeNew(aside, path);
      await syncFolder(folder);
      return result;
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
  } catch (error) {
    throw outputError(error, path);
  }
}

/** The same for a text. @throws ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE */
export function writeTextAtomically(path: string, text: string): Promise<void> {
  return writeFileAtomically(path, (sink) => sink.write(Buffer.from(text)));
}

async function placeNew(aside: string, path: string): Promise<void> {
  await link(aside, path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} exists already`, { path }, { cause });
  });
  await rm(aside);
}

/** Gathers small writes; big ones go past the buffer. */
class BufferedSink implements ByteSink {
  readonly #file: FileHandle;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #filled = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#filled + bytes.length > BUFFER_BYTES) await this.flush();
    if (bytes.length > BUFFER_BYTES) return this.#writeAll(bytes);
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  async flush(): Promise<void> {
    await this.#writeAll(this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += (await this.#file.write(bytes, at)).bytesWritten;
  }
}

/** What a failure of the file system means to whoever named the place; anything else stays what it is. */
export function outputError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof ReeveError || typeof code !== 'string') return error;
  const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code);
  return new ReeveError(
    isFull ? 'E_STORE_FULL' : 'E_STORE_UNAVAILABLE',
    isFull ? `there is no room to write ${path}` : `${path} cannot be written (${code})`,
    { path, cause: code },
    { cause: error },
  );
}
