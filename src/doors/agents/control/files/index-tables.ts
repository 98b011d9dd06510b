/**
 * What is known of the files of runs. A file exists once its row does; rows are never deleted, since the digests of what
 * retention removed stay on record.
 */
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import type { FileKind } from '../ports.ts';

export const SCHEMA = `
create table run_files (
  tenant text not null,
  run_id text not null,
  path text not null,
  attempt integer not null,
  kind text not null,
  size integer not null,
  sha256 text not null,
  sent_size integer not null,
  sent_sha256 text not null,
  redactions text,
  created_ms integer not null,
  removed_ms integer,
  primary key (tenant, run_id, path)
) without rowid;
create index run_files_blob on run_files (sha256) where removed_ms is null;
create index run_files_kept on run_files (tenant, run_id, created_ms, size, kind) where removed_ms is null;
create table run_uploads (
  no integer primary key autoincrement,
  tenant text not null,
  run_id text not null,
  path text not null,
  attempt integer not null,
  digest text not null,
  total integer not null,
  held integer not null,
  key blob not null,
  touched_ms integer not null,
  unique (tenant, run_id, path)
);
create table run_upload_parts (
  upload integer not null,
  start integer not null,
  blob text not null,
  iv blob not null,
  primary key (upload, start)
) without rowid;
create index run_upload_parts_blob on run_upload_parts (blob);`;

export interface FileRow {
  readonly tenant: string;
  readonly run_id: string;
  readonly path: string;
  readonly attempt: number;
  readonly kind: FileKind;
  /** As it is stored. */
  readonly size: number;
  readonly sha256: string;
  /** As it was sent: the same, unless secrets were replaced. */
  readonly sent_size: number;
  readonly sent_sha256: string;
  /** Counts by type, as JSON; null: nothing was replaced. */
  readonly redactions: string | null;
  readonly created_ms: number;
  /** When retention removed the bytes; null: they are there. */
  readonly removed_ms: number | null;
}

/** An upload in chunks that is not whole yet. */
export interface UploadRow {
  readonly no: number;
  readonly attempt: number;
  readonly digest: string;
  readonly total: number;
  /** Bytes that are there, from the front. */
  readonly held: number;
  /** Encrypts the chunks: they wait with their secrets in them. */
  readonly key: Buffer;
}

export interface PartRow {
  readonly start: number;
  readonly blob: string;
  readonly iv: Buffer;
}

export interface RunTotals {
  readonly run_id: string;
  readonly files: number;
  readonly bytes: number;
  readonly newest_ms: number;
}

type NewUpload = Omit<UploadRow, 'no'> & {
  readonly tenant: string;
  readonly run_id: string;
  readonly path: string;
  readonly touched_ms: number;
};

const COLUMNS =
  'tenant, run_id, path, attempt, kind, size, sha256, sent_size, sent_sha256, redactions, created_ms, removed_ms';

/** Statements on the tables; whoever writes does so within `Ledger.write`. */
export class FileIndex {
  readonly #statements;

  constructor(rows: ServiceDatabase) {
    const one = 'tenant = ? and run_id = ? and path = ?';
    this.#statements = {
      file: rows.prepare<[string, string, string], FileRow>(`select ${COLUMNS} from run_files where ${one}`),
      files: rows.prepare<[string, string], FileRow>(
        `select ${COLUMNS} from run_files where tenant = ? and run_id = ? order by path`,
      ),
      totals: rows.prepare<[string, string], { files: number; bytes: number; removed: number }>(
        `select count(*) as files, coalesce(sum(case when removed_ms is null then size else 0 end), 0) as bytes,
         count(removed_ms) as removed from run_files where tenant = ? and run_id = ?`,
      ),
      insert: rows.prepare<[FileRow]>(
        `insert into run_files (${COLUMNS}) values (${COLUMNS.replaceAll(/\w+/g, '@$&')})`,
      ),
      remove: rows.prepare<[number, string, string, string]>(
        `update run_files set removed_ms = ? where ${one} and removed_ms is null`,
      ),
      isUsed: rows.prepare<[string, string]>(
        `select 1 from run_files where sha256 = ? and removed_ms is null
         union all select 1 from run_upload_parts where blob = ? limit 1`,
      ),
      tenants: rows.prepare<[], { tenant: string }>('select distinct tenant from run_files'),
      bytesOfTenant: rows.prepare<[string], { bytes: number }>(
        'select coalesce(sum(size), 0) as bytes from run_files where tenant = ? and removed_ms is null',
      ),
      runs: rows.prepare<[string, string, number], RunTotals>(
        `select run_id, count(*) as files, sum(size) as bytes, max(created_ms) as newest_ms from run_files
         where tenant = ? and run_id > ? and removed_ms is null and kind <> 'summary' group by run_id order by run_id limit ?`,
      ),
      upload: rows.prepare<[string, string, string], UploadRow>(
        `select no, attempt, digest, total, held, key from run_uploads where ${one}`,
      ),
      insertUpload: rows.prepare<[NewUpload]>(
        `insert into run_uploads (tenant, run_id, path, attempt, digest, total, held, key, touched_ms)
         values (@tenant, @run_id, @path, @attempt, @digest, @total, @held, @key, @touched_ms)`,
      ),
      held: rows.prepare<[number, number, number]>(
        'update run_uploads set held = ?, touched_ms = ? where no = ?',
      ),
      insertPart: rows.prepare<[number, number, string, Buffer]>(
        'insert into run_upload_parts (upload, start, blob, iv) values (?, ?, ?, ?)',
      ),
      parts: rows.prepare<[number], PartRow>(
        'select start, blob, iv from run_upload_parts where upload = ? order by start',
      ),
      dropParts: rows.prepare<[number]>('delete from run_upload_parts where upload = ?'),
      dropUpload: rows.prepare<[number]>('delete from run_uploads where no = ?'),
      abandoned: rows.prepare<[number], { no: number }>('select no from run_uploads where touched_ms < ?'),
    };
  }

  file(tenant: string, runId: string, path: string): FileRow | undefined {
    return this.#statements.file.get(tenant, runId, path);
  }
  /** Of a run, by path; also those that were removed. */
  files(tenant: string, runId: string): readonly FileRow[] {
    return this.#statements.files.all(tenant, runId);
  }
  /** `bytes`: of what is there. `files`: all there ever were, `removed` of them by retention. */
  totals(
    tenant: string,
    runId: string,
  ): { readonly files: number; readonly bytes: number; readonly removed: number } {
    return this.#statements.totals.get(tenant, runId) ?? { files: 0, bytes: 0, removed: 0 };
  }
  insert(file: FileRow): void {
    this.#statements.insert.run(file);
  }
  /** @returns whether it was there. */
  remove({ tenant, run_id: runId, path }: FileRow, nowMs: number): boolean {
    return this.#statements.remove.run(nowMs, tenant, runId, path).changes === 1;
  }
  /** Whether any file that is there, or any upload, needs these bytes. */
  isUsed(sha256: string): boolean {
    return this.#statements.isUsed.get(sha256, sha256) !== undefined;
  }
  tenants(): readonly string[] {
    return this.#statements.tenants.all().map(({ tenant }) => tenant);
  }
  bytesOfTenant(tenant: string): number {
    return this.#statements.bytesOfTenant.get(tenant)?.bytes ?? 0;
  }
  /** Runs with files that retention may remove, by id. */
  runs(tenant: string, after: string, limit: number): readonly RunTotals[] {
    return this.#statements.runs.all(tenant, after, limit);
  }

  upload(tenant: string, runId: string, path: string): UploadRow | undefined {
    return this.#statements.upload.get(tenant, runId, path);
  }
  insertUpload(upload: NewUpload): void {
    this.#statements.insertUpload.run(upload);
  }
  /** One more chunk of an upload, which begins where the others end. */
  insertPart(
    upload: UploadRow,
    part: Omit<PartRow, 'start'> & { readonly size: number; readonly nowMs: number },
  ): void {
    this.#statements.insertPart.run(upload.no, upload.held, part.blob, part.iv);
    this.#statements.held.run(upload.held + part.size, part.nowMs, upload.no);
  }
  parts(upload: UploadRow): readonly PartRow[] {
    return this.#statements.parts.all(upload.no);
  }
  dropUpload({ no }: Pick<UploadRow, 'no'>): void {
    this.#statements.dropParts.run(no);
    this.#statements.dropUpload.run(no);
  }
  /** Uploads that nobody has touched since. */
  abandoned(beforeMs: number): readonly { readonly no: number }[] {
    return this.#statements.abandoned.all(beforeMs);
  }
}
