import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, opendir, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  isBlobName,
  type BlobStreams,
  type ByteRange,
  type Received,
  type StoredBlob,
} from '../blob-streams.ts';
import { makeDurableFolder, syncFolder } from '../make-folder.ts';
import { storeError } from '../sqlite/sqlite-errors.ts';
import { checkedPieces, missingBlob } from './checked-pieces.ts';

const ASIDE = '.aside';

/**
 * Blobs as files `<root>/<first two digits>/<sha256>`, as `DirectoryBlobs` has them. What arrives is a file below
 * `<root>/.aside`, synced before it is renamed.
 */
export class DirectoryBlobStreams implements BlobStreams {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async receive(bytes: AsyncIterable<Uint8Array>): Promise<Received> {
    const aside = join(this.#root, ASIDE, randomUUID());
    try {
      await makeDurableFolder(dirname(aside), 0o700);
      const file = await open(aside, 'wx', 0o600);
      try {
        const written = await writeAll(file, bytes);
        await file.sync();
        return {
          ...written,
          keep: () => this.#keep(aside, written.sha256),
          discard: () => rm(aside, { force: true }).catch(() => undefined),
        };
      } finally {
        await file.close();
      }
    } catch (error) {
      await rm(aside, { force: true }).catch(() => undefined);
      throw storeError(error, aside);
    }
  }

  async sizeOf(sha256: string): Promise<number | undefined> {
    if (!isBlobName(sha256)) return undefined;
    try {
      return (await stat(this.#path(sha256))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw storeError(error, this.#root);
    }
  }

  async *read(sha256: string, range?: ByteRange): AsyncGenerator<Uint8Array> {
    if (!isBlobName(sha256)) throw missingBlob(sha256);
    const options = range === undefined ? {} : { start: range.from, end: range.to };
    try {
      yield* checkedPieces(createReadStream(this.#path(sha256), options), sha256, range);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw missingBlob(sha256);
      throw storeError(error, this.#root);
    }
  }

  async delete(sha256: string): Promise<void> {
    if (!isBlobName(sha256)) return;
    try {
      await rm(this.#path(sha256), { force: true });
    } catch (error) {
      throw storeError(error, this.#root);
    }
  }

  async *list(): AsyncGenerator<StoredBlob> {
    for (const folder of await this.#names(this.#root)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for await (const { name } of await opendir(join(this.#root, folder))) {
        const found = isBlobName(name) ? await statOrNone(this.#path(name)) : undefined;
        if (found !== undefined) yield { sha256: name, modifiedMs: found.mtimeMs };
      }
    }
  }

  async removeLeftovers(beforeMs: number): Promise<number> {
    let removed = 0;
    for (const name of await this.#names(join(this.#root, ASIDE))) {
      const path = join(this.#root, ASIDE, name);
      const found = await statOrNone(path);
      if (found === undefined || found.mtimeMs >= beforeMs) continue;
      await rm(path, { force: true });
      removed += 1;
    }
    return removed;
  }

  /** Also where the name is taken: the same bytes, undamaged, and as young as this. */
  async #keep(aside: string, sha256: string): Promise<void> {
    const path = this.#path(sha256);
    try {
      await makeDurableFolder(dirname(path), 0o700);
      await rename(aside, path);
      await syncFolder(dirname(path));
    } catch (error) {
      throw storeError(error, path);
    }
  }

  async #names(folder: string): Promise<readonly string[]> {
    try {
      return await readdir(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw storeError(error, folder);
    }
  }

  #path(sha256: string): string {
    return join(this.#root, sha256.slice(0, 2), sha256);
  }
}

async function writeAll(
  file: FileHandle,
  bytes: AsyncIterable<Uint8Array>,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of bytes) {
    hash.update(piece);
    sizeBytes += piece.length;
    for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}

async function statOrNone(path: string): Promise<{ readonly mtimeMs: number } | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw storeError(error, path);
  });
}
