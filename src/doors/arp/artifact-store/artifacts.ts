/**
 * Artifacts: bytes in files, what is known of them on SQLite. An artifact exists once its row does, and its row is
 * written after its file has been synced under its name: an upload that broke off leaves at most a file that nobody
 * knows, and the next start removes it (H27).
 *
 *     <dir>/artifacts.sqlite   <dir>/files/…
 */
import { join } from 'node:path';
import { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { pageOf, type Page, type PageQuery } from '../pages.ts';
import { ArpError } from '../wire/errors.ts';
import { newHexId, wireTime } from '../wire/ids.ts';
import { ArtifactFiles } from './files.ts';

const FORMAT = { application: 0x5265_4172, version: 1 };
const SCHEMA = `
create table artifacts (
  no integer primary key autoincrement,
  id text not null unique,
  content_type text,
  size_bytes integer not null,
  sha256 text not null,
  created_ms integer not null
);
create index artifacts_age on artifacts (created_ms);
create table links (
  run_id text not null,
  id text not null,
  primary key (run_id, id)
) without rowid;
create index links_artifact on links (id);`;

const SWEEP = 500;

export interface Artifact {
  readonly id: string;
  readonly contentType: string | undefined;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly createdMs: number;
}

interface Row {
  readonly no: number;
  readonly id: string;
  readonly content_type: string | null;
  readonly size_bytes: number;
  readonly sha256: string;
  readonly created_ms: number;
}

export interface ArtifactsOptions {
  readonly dir: string;
  /** Of one upload. */
  readonly bytesMax?: number;
}

export interface Upload {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly contentType?: string;
  /** The run that it belongs to: it is kept as long as it is linked. */
  readonly runId?: string;
  readonly nowMs: number;
}

export class Artifacts {
  readonly #files: ArtifactFiles;
  readonly #database: ServiceDatabase;
  readonly #statements;

  /** @throws ReeveError E_STORE_* */
  constructor({ dir, bytesMax = Number.POSITIVE_INFINITY }: ArtifactsOptions) {
    this.#files = new ArtifactFiles(join(dir, 'files'), bytesMax);
    // One process has the directory: what it does not know of at the start is left over, and not just being uploaded.
    const database = new ServiceDatabase(join(dir, 'artifacts.sqlite'), {
      format: FORMAT,
      schema: SCHEMA,
      sharing: 'exclusive',
    });
    this.#database = database;
    const columns = 'a.no, a.id, a.content_type, a.size_bytes, a.sha256, a.created_ms';
    this.#statements = {
      insert: database.prepare<[string, string | null, number, string, number]>(
        'insert into artifacts (id, content_type, size_bytes, sha256, created_ms) values (?, ?, ?, ?, ?)',
      ),
      get: database.prepare<string[], Row>(`select ${columns} from artifacts a where a.id = ?`),
      remove: database.prepare<string[]>('delete from artifacts where id = ?'),
      link: database.prepare<string[]>('insert into links (run_id, id) values (?, ?) on conflict do nothing'),
      unlink: database.prepare<string[]>('delete from links where run_id = ? and id = ?'),
      unlinkAll: database.prepare<string[]>('delete from links where id = ?'),
      ofRun: database.prepare<[string, number, number], Row>(
        `select ${columns} from links l join artifacts a on a.id = l.id
         where l.run_id = ? and a.no > ? order by a.no limit ?`,
      ),
      unlinkedBefore: database.prepare<[number, number], { readonly id: string }>(
        `select id from artifacts a where created_ms < ? and not exists (select 1 from links l where l.id = a.id)
         order by created_ms limit ?`,
      ),
    };
  }

  /** Whole or not at all, also when the upload breaks off. @throws ArpError 413; ReeveError E_STORE_* */
  async put({ bytes, contentType, runId, nowMs }: Upload): Promise<Artifact> {
    const id = newHexId();
    const { sha256, sizeBytes } = await this.#files.put(id, bytes);
    this.#database.transaction(() => {
      this.#statements.insert.run(id, contentType ?? null, sizeBytes, sha256, nowMs);
      if (runId !== undefined) this.#statements.link.run(runId, id);
    });
    return { id, contentType, sizeBytes, sha256, createdMs: nowMs };
  }

  /** @throws ArpError 404 when it is unknown, or its bytes are missing */
  async get(id: string): Promise<Artifact> {
    const row = this.#statements.get.get(id);
    if (row === undefined) throw notFound(id);
    if ((await this.#files.sizeOf(id)) !== row.size_bytes) throw notFound(id);
    return artifactOf(row);
  }

  read(id: string): AsyncIterable<Uint8Array> {
    return this.#files.read(id);
  }

  /** @throws ArpError 404 */
  async link(runId: string, id: string): Promise<void> {
    await this.get(id);
    this.#database.transaction(() => this.#statements.link.run(runId, id));
  }

  /** The artifact stays, and falls under retention once no run is left. */
  unlink(runId: string, id: string): void {
    this.#database.transaction(() => this.#statements.unlink.run(runId, id));
  }

  /** Artifacts of a run in the order of their uploads. */
  ofRun(runId: string, query: PageQuery): Page<Artifact> {
    return pageOf(this.#statements.ofRun.all(runId, query.after, query.limit), query, artifactOf);
  }

  /** @throws ArpError 404 */
  async remove(id: string): Promise<void> {
    const { changes } = this.#database.transaction(() => {
      this.#statements.unlinkAll.run(id);
      return this.#statements.remove.run(id);
    });
    if (changes === 0) throw notFound(id);
    await this.#files.remove(id);
  }

  /** Removes artifacts of no run that are older than a time, some at a time. @returns how many. */
  async removeUnlinkedBefore(ms: number): Promise<number> {
    const rows = this.#database.transaction(() => {
      const found = this.#statements.unlinkedBefore.all(ms, SWEEP);
      for (const { id } of found) this.#statements.remove.run(id);
      return found;
    });
    for (const { id } of rows) await this.#files.remove(id);
    return rows.length;
  }

  /** Removes files that belong to no artifact: what a crash left. Before the first upload only. */
  removeLeftovers(): Promise<number> {
    return this.#files.removeUnknown((id) => this.#statements.get.get(id) !== undefined);
  }

  probe(): void {
    this.#database.probe();
  }
  close(): void {
    this.#database.close();
  }
}

function artifactOf(row: Row): Artifact {
  const { id, content_type: contentType, size_bytes: sizeBytes, sha256, created_ms: createdMs } = row;
  return { id, contentType: contentType ?? undefined, sizeBytes, sha256, createdMs };
}

/** As clients get it. @param uri where the bytes are fetched. */
export function artifactRecord(artifact: Artifact, uri: string): Readonly<Record<string, unknown>> {
  const { id, contentType, sizeBytes, sha256, createdMs } = artifact;
  return {
    artifact_id: id,
    uri,
    ...(contentType === undefined ? {} : { content_type: contentType }),
    size_bytes: sizeBytes,
    checksum_sha256: sha256,
    created_at: wireTime(createdMs),
  };
}

function notFound(id: string): ArpError {
  return new ArpError(404, 'artifact_not_found', `there is no artifact ${id}`, {
    details: { artifact_id: id },
  });
}
