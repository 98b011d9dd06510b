/**
 * Uploads in chunks, in order from the front. Each chunk that was answered is durable, so an upload goes on after a crash of
 * either side. The digest is that of the whole file, and is checked once the last chunk is there.
 */
import { conflict } from '../../wire/errors.ts';
import { newChunkIv, newChunkKey, sealed, unsealed } from './chunk-cipher.ts';
import type { UploadRow } from './index-tables.ts';
import { intake, requireSize, tooLarge } from './intake.ts';
import { NameLocks } from './name-locks.ts';
import {
  same,
  type ChunkedUpload,
  type GuardedUpload,
  type Keeping,
  type PutOutcome,
  type RunFilesOptions,
} from './put.ts';

type Options = Pick<RunFilesOptions, 'blobs' | 'index' | 'ledger' | 'nowMs'> & {
  readonly fileBytesMax: number;
};

export class Uploads {
  readonly #options: Options;
  readonly #keeping: Keeping;
  readonly #files = new NameLocks();

  constructor(options: Options, keeping: Keeping) {
    this.#options = options;
    this.#keeping = keeping;
  }

  put(upload: ChunkedUpload): Promise<PutOutcome> {
    const { tenant, runId, path } = upload;
    return this.#files.run(JSON.stringify([tenant, runId, path]), () => this.#put(upload));
  }

  async #put(upload: ChunkedUpload): Promise<PutOutcome> {
    const { tenant, runId, path, range } = upload;
    const { index, fileBytesMax } = this.#options;
    const known = index.file(tenant, runId, path);
    if (known !== undefined) return same(known, upload);
    if (range.total > fileBytesMax) throw tooLarge(fileBytesMax);
    const row = await this.#begun(upload);
    if (range.to >= row.held) await this.#take(upload, row);
    const now = index.upload(tenant, runId, path) ?? row;
    return now.held === now.total ? this.#finish(upload, now) : 'partial';
  }

  /** The upload that this chunk belongs to. One that begins anew with other bytes, or in another attempt, replaces it. */
  async #begun(upload: ChunkedUpload): Promise<UploadRow> {
    const { tenant, runId, path, attempt, digest, range, guard } = upload;
    const { index, ledger, nowMs } = this.#options;
    const row = index.upload(tenant, runId, path);
    const isIt =
      row !== undefined && row.digest === digest && row.total === range.total && row.attempt === attempt;
    if (isIt) return row;
    if (range.from !== 0) throw outOfOrder(0, range.from);
    const dropped = row === undefined ? [] : index.parts(row);
    const begun = await ledger.write(() => {
      guard?.();
      if (row !== undefined) index.dropUpload(row);
      index.insertUpload({
        tenant,
        run_id: runId,
        path,
        attempt,
        digest,
        total: range.total,
        held: 0,
        key: newChunkKey(),
        touched_ms: nowMs(),
      });
      return index.upload(tenant, runId, path);
    });
    await this.#keeping.forget(dropped.map(({ blob }) => blob));
    if (begun === undefined) throw new TypeError('an upload that was begun is not there');
    return begun;
  }

  async #take({ bytes, range, guard }: ChunkedUpload, row: UploadRow): Promise<void> {
    if (range.from !== row.held) throw outOfOrder(row.held, range.from);
    const { blobs, index, nowMs } = this.#options;
    const size = range.to - range.from + 1;
    const sent = intake(bytes, size);
    const iv = newChunkIv();
    const received = await blobs.receive(sealed(sent.bytes, row.key, iv));
    try {
      requireSize(sent.sizeBytes(), size);
      await this.#keeping.keepBlob(received, () => {
        guard?.();
        index.insertPart(row, { blob: received.sha256, iv, size, nowMs: nowMs() });
      });
    } finally {
      await received.discard();
    }
  }

  async #finish(upload: GuardedUpload, row: UploadRow): Promise<PutOutcome> {
    const { index, ledger } = this.#options;
    const parts = index.parts(row);
    const whole = intake(this.#joined(row), row.total);
    try {
      const outcome = await this.#keeping.finish(upload, whole, () => index.dropUpload(row));
      await this.#keeping.forget(parts.map(({ blob }) => blob));
      return outcome;
    } catch (error) {
      // Other bytes than promised will not become right: the next one begins from the front.
      if ((error as { wireCode?: unknown }).wireCode === 'digest_mismatch') {
        await ledger.write(() => index.dropUpload(row));
        await this.#keeping.forget(parts.map(({ blob }) => blob));
      }
      throw error;
    }
  }

  async *#joined(row: UploadRow): AsyncGenerator<Uint8Array> {
    for (const { blob, iv } of this.#options.index.parts(row))
      yield* unsealed(this.#options.blobs.read(blob), row.key, iv);
  }
}

function outOfOrder(expected: number, from: number): Error {
  return conflict('chunk_out_of_order', `the next chunk begins at ${expected}, not at ${from}`, {
    expected,
    from,
  });
}
