/**
 * The bytes of artifacts: a file for each, named by its id, whole or not there at all.
 *
 *     <dir>/ab/ab12…   <dir>/ab/.tmp-… while it arrives
 */
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, createReadStream, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder } from '../../../store/make-folder.ts';
import { storeError } from '../../../store/sqlite/sqlite-errors.ts';
import { ArpError } from '../wire/errors.ts';

export interface Written {
  readonly sha256: string;
  readonly sizeBytes: number;
}

export class ArtifactFiles {
  readonly #dir: string;
  readonly #bytesMax: number;

  /** Makes the folder. @param bytesMax of one file.  @throws ReeveError E_STORE_UNAVAILABLE */
  constructor(dir: string, bytesMax: number) {
    this.#dir = dir;
    this.#bytesMax = bytesMax;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o750 });
      const above = openSync(dirname(dir), 'r');
      fsyncSync(above);
      closeSync(above);
    } catch (error) {
      throw storeError(error, dir);
    }
  }

  /** Durable once it returns. @throws ArpError 413; 400 when the bytes end early; ReeveError E_STORE_* */
  async put(id: string, bytes: AsyncIterable<Uint8Array>): Promise<Written> {
    const folder = this.#folderOf(id);
    const aside = join(folder, `.tmp-${randomUUID()}`);
    try {
      await mkdir(folder, { recursive: true, mode: 0o750 });
      await syncFolder(this.#dir);
      try {
        const written = await this.#write(aside, bytes);
        await rename(aside, this.#pathOf(id));
        await syncFolder(folder);
        return written;
      } catch (error) {
        await rm(aside, { force: true });
        throw error;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET')
        throw new ArpError(400, 'upload_incomplete', 'the upload broke off');
      throw storeError(error, folder);
    }
  }

  /** Undefined: there is no such file. */
  async sizeOf(id: string): Promise<number | undefined> {
    return (await stat(this.#pathOf(id)).catch(() => undefined))?.size;
  }

  read(id: string): AsyncIterable<Uint8Array> {
    return createReadStream(this.#pathOf(id));
  }

  async remove(id: string): Promise<void> {
    await rm(this.#pathOf(id), { force: true });
  }

  /** Removes every file but those that are known, also what is half written. @returns how many. */
  async removeUnknown(isKnown: (id: string) => boolean): Promise<number> {
    let removed = 0;
    for (const folder of await readdir(this.#dir)) {
      for (const name of await readdir(join(this.#dir, folder))) {
        if (isKnown(name)) continue;
        await rm(join(this.#dir, folder, name), { force: true });
        removed += 1;
      }
    }
    return removed;
  }

  async #write(path: string, bytes: AsyncIterable<Uint8Array>): Promise<Written> {
    const file = await open(path, 'wx', 0o600);
    try {
      const hash = createHash('sha256');
      let sizeBytes = 0;
      for await (const piece of bytes) {
        sizeBytes += piece.length;
        if (sizeBytes > this.#bytesMax)
          throw new ArpError(413, 'payload_too_large', `an artifact may have ${this.#bytesMax} bytes`, {
            details: { limit_bytes: this.#bytesMax },
          });
        hash.update(piece);
        await writeAll(file, piece);
      }
      await file.sync();
      return { sha256: hash.digest('hex'), sizeBytes };
    } finally {
      await file.close();
    }
  }

  #folderOf(id: string): string {
    return join(this.#dir, id.slice(0, 2));
  }
  #pathOf(id: string): string {
    return join(this.#folderOf(id), id);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}
