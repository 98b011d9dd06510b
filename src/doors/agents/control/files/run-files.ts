/**
 * Files of runs: written once, whole or not at all, under a hash. What is checked against `Digest` is what was sent; what is
 * kept has its secrets replaced, and both digests are on record (contract agents §2.2, §6; J14, J19).
 */
import { SecretRedactor } from '../../../../policy/redaction/secret-redactor.ts';
import type { ByteRange, Received } from '../../../../store/blob-streams.ts';
import { AgentsFailure } from '../../wire/errors.ts';
import type { RunFile, RunFiles } from '../ports.ts';
import type { FileRow } from './index-tables.ts';
import { intake, requireDigest, tooLarge, type Intake } from './intake.ts';
import { NameLocks } from './name-locks.ts';
import { kindOf, requirePath } from './paths.ts';
import { same, type GuardedUpload, type PutOutcome, type RunFilesOptions } from './put.ts';
import { redacted } from './text-redaction.ts';
import { Uploads } from './uploads.ts';

const FILE_BYTES_MAX = 1024 ** 3;
const RUN_BYTES_MAX = 8 * FILE_BYTES_MAX;
const RUN_FILES_MAX = 10_000;

export class RunFileStore implements RunFiles {
  readonly #options: Required<Pick<RunFilesOptions, 'fileBytesMax' | 'runBytesMax' | 'runFilesMax'>> &
    RunFilesOptions;
  /** Names of blobs that are being kept or deleted. */
  readonly #names = new NameLocks();
  readonly #uploads: Uploads;

  constructor(options: RunFilesOptions) {
    this.#options = {
      fileBytesMax: FILE_BYTES_MAX,
      runBytesMax: RUN_BYTES_MAX,
      runFilesMax: RUN_FILES_MAX,
      ...options,
    };
    this.#uploads = new Uploads(this.#options, {
      keepBlob: (received, record) => this.#keepBlob(received, record),
      forget: (blobs) => this.forget(blobs),
      finish: (upload, sent, also) => this.#receive(upload, sent, also),
    });
  }

  /** Bytes that a chunked upload may have at most. */
  get fileBytesMax(): number {
    return this.#options.fileBytesMax;
  }

  async put(upload: GuardedUpload): Promise<PutOutcome> {
    requirePath(upload.path);
    const { fileBytesMax, index } = this.#options;
    const known = index.file(upload.tenant, upload.runId, upload.path);
    if (known !== undefined) return same(known, upload);
    if (upload.range !== undefined) return this.#uploads.put({ ...upload, range: upload.range });
    return this.#receive(upload, intake(upload.bytes, fileBytesMax));
  }

  /** How many bytes of an upload in chunks are there, from the front; 0 when there is none. */
  held(tenant: string, runId: string, path: string): number {
    return this.#options.index.upload(tenant, runId, path)?.held ?? 0;
  }

  list(tenant: string, runId: string): Promise<readonly RunFile[]> {
    const rows = this.#options.index.files(tenant, runId);
    return Promise.resolve(rows.filter((row) => row.removed_ms === null).map(runFileOf));
  }

  async open(
    tenant: string,
    runId: string,
    path: string,
    range?: ByteRange,
  ): Promise<{ readonly file: RunFile; readonly bytes: AsyncIterable<Uint8Array> } | undefined> {
    const row = this.#options.index.file(tenant, runId, path);
    if (row === undefined || row.removed_ms !== null) return undefined;
    return { file: runFileOf(row), bytes: this.#options.blobs.read(row.sha256, range) };
  }

  /** Deletes blobs that nothing needs any more. What fails is an orphan, for the next sweep. */
  async forget(blobs: Iterable<string>): Promise<void> {
    for (const sha256 of new Set(blobs)) {
      await this.#names.run(sha256, async () => {
        if (!this.#options.index.isUsed(sha256)) await this.#options.blobs.delete(sha256);
      });
    }
  }

  /** The whole file, from one request or from its chunks. @param also is written with the file's row. */
  async #receive(
    upload: GuardedUpload,
    sent: Intake,
    also: () => void = () => undefined,
  ): Promise<PutOutcome> {
    const { tenant, runId, path, digest } = upload;
    const { blobs, index, audit, nowMs } = this.#options;
    const kind = kindOf(path);
    const redactor = this.#options.redactor?.(tenant) ?? new SecretRedactor();
    const received = await blobs.receive(upload.redact ? redacted(sent.bytes, kind, redactor) : sent.bytes);
    try {
      requireDigest(sent.sha256(), digest);
      const { sha256, sizeBytes: size } = received;
      const row: FileRow = {
        tenant,
        run_id: runId,
        path,
        attempt: upload.attempt,
        kind,
        size,
        sha256,
        sent_size: sent.sizeBytes(),
        sent_sha256: digest,
        redactions: sha256 === digest ? null : JSON.stringify(redactor.counts),
        created_ms: nowMs(),
        removed_ms: null,
      };
      const outcome = await this.#keepBlob(received, () => {
        also();
        const known = index.file(tenant, runId, path);
        if (known !== undefined) return same(known, upload);
        upload.guard?.();
        this.#requireRoom(row);
        index.insert(row);
        const actor = upload.actor ?? `run/${runId}/attempts/${upload.attempt}`;
        audit.append({
          actor,
          tenant,
          action: 'file.put',
          object: `run/${runId}/${path}`,
          after: auditOf(row),
        });
        return 'created' as const;
      });
      if (outcome === 'created') this.#options.onStored?.({ tenant, kind, size, redactions: countsOf(row) });
      return outcome;
    } finally {
      await received.discard();
    }
  }

  /** A blob gets its name, and what needs it a row, before anybody may find that nothing needs it. */
  #keepBlob<T>(received: Received, record: () => T): Promise<T> {
    return this.#names.run(received.sha256, async () => {
      const { blobs, index, ledger } = this.#options;
      await received.keep();
      try {
        return await ledger.write(record);
      } finally {
        // Refused after all. What cannot be deleted is an orphan, for the next sweep.
        if (!index.isUsed(received.sha256)) await blobs.delete(received.sha256).catch(() => undefined);
      }
    });
  }

  /** @throws AgentsFailure 413 */
  #requireRoom({ tenant, run_id: runId, size }: FileRow): void {
    const { index, runBytesMax, runFilesMax } = this.#options;
    const { files, bytes } = index.totals(tenant, runId);
    if (bytes + size > runBytesMax) throw tooLarge(runBytesMax, 'all files of a run');
    if (files >= runFilesMax)
      throw new AgentsFailure(413, 'too_many_files', `a run may have ${runFilesMax} files`, {
        limit: runFilesMax,
      });
  }
}

export function countsOf({ redactions }: Pick<FileRow, 'redactions'>): Readonly<Record<string, number>> {
  return redactions === null ? {} : (JSON.parse(redactions) as Record<string, number>);
}

function runFileOf({ path, size, sha256, kind }: FileRow): RunFile {
  return { path, size, sha256, kind };
}

function auditOf({ size, sha256, sent_sha256: sent, attempt }: FileRow): object {
  return { size, sha256, attempt, ...(sent === sha256 ? {} : { sent_sha256: sent }) };
}
