import { createHash, randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { BlobStore } from '../blob-store.ts';
import { makeDurableFolder, syncFolder } from '../make-folder.ts';
import { storeError } from '../sqlite/sqlite-errors.ts';

/** Blobs as files `<root>/<first two digits>/<sha256>`, written aside, synced and renamed: whole or not there. */
export class DirectoryBlobs implements BlobStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const name = createHash('sha256').update(bytes).digest('hex');
    const path = this.#path(name);
    const folder = dirname(path);
    try {
      // A file of another length was damaged from outside: written again.
      if ((await sizeOf(path)) !== bytes.length) await this.#write(folder, path, bytes);
      // Also when it was there: whoever renamed it may not have come to this yet.
      await syncFolder(folder);
    } catch (error) {
      throw storeError(error, path);
    }
    return name;
  }

  async get(sha256: string): Promise<Uint8Array> {
    let bytes: Uint8Array;
    try {
      if (!isName(sha256)) throw new TypeError('not the name of a blob');
      bytes = await readFile(this.#path(sha256));
    } catch (cause) {
      const error = storeError(cause, this.#root);
      const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT' || cause instanceof TypeError;
      if (!isMissing && error instanceof ReeveError) throw error;
      throw new ReeveError('E_STORE_CORRUPT', `blob ${sha256} cannot be read`, { blob: sha256 }, { cause });
    }
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw new ReeveError('E_STORE_CORRUPT', `blob ${sha256} does not have the bytes its name says`, {
        blob: sha256,
      });
    }
    return bytes;
  }

  async has(sha256: string): Promise<boolean> {
    return isName(sha256) && (await sizeOf(this.#path(sha256))) !== undefined;
  }

  async delete(sha256: string): Promise<void> {
    if (!isName(sha256)) return;
    try {
      await rm(this.#path(sha256), { force: true });
    } catch (error) {
      throw storeError(error, this.#root);
    }
  }

  async #write(folder: string, path: string, bytes: Uint8Array): Promise<void> {
    await makeDurableFolder(folder, 0o700);
    const aside = join(folder, `.tmp-${randomUUID()}`);
    try {
      const file = await open(aside, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
  }

  #path(sha256: string): string {
    return join(this.#root, sha256.slice(0, 2), sha256);
  }
}

/** A name may come from a damaged event: it never leads out of the folder. */
function isName(sha256: string): boolean {
  return /^[0-9a-f]{64}$/.test(sha256);
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw storeError(error, path);
  }
}
