/** Runs and NodeRuns on SQLite: whole documents, with the few columns that they are found by. */
import { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { pageOf, type Page, type PageQuery } from '../pages.ts';
import { ArpError } from '../wire/errors.ts';
import type { InternalNodeRun, InternalRun } from '../wire/runs.ts';

const FORMAT = { application: 0x5265_5273, version: 1 };
/** `no` counts insertions: the order of lists, and what a page token names. */
const SCHEMA = `
create table runs (
  no integer primary key autoincrement,
  id text not null unique,
  state text not null,
  version integer not null,
  document text not null
);
create index runs_state on runs (state, no);
create table node_runs (
  no integer primary key autoincrement,
  id text not null unique,
  run_id text not null,
  version integer not null,
  document text not null
);
create index node_runs_run on node_runs (run_id, no);
create table keys (
  scope text not null,
  key text not null,
  id text not null,
  primary key (scope, key)
) without rowid;`;

export interface RunRecordsOptions {
  /** File of the database, or `:memory:`. */
  readonly file: string;
  /** Nothing is created once the database takes more, bytes. */
  readonly bytesMax?: number;
}

export interface Stored<T> {
  readonly record: T;
  /** Counts the writes of this record, from 1. */
  readonly version: number;
}

interface Row {
  readonly no: number;
  readonly version: number;
  readonly document: string;
}
interface Columns {
  readonly id: string;
  readonly by: string;
  readonly document: string;
}
type Kind = 'run' | 'node_run';

export class RunRecords {
  readonly #database: ServiceDatabase;
  readonly #bytesMax: number;
  readonly #statements;

  /** @throws ReeveError E_STORE_* */
  constructor({ file, bytesMax = Number.POSITIVE_INFINITY }: RunRecordsOptions) {
    const database = new ServiceDatabase(file, { format: FORMAT, schema: SCHEMA, sharing: 'shared' });
    this.#database = database;
    this.#bytesMax = bytesMax;
    const table = (name: string, by: string) => ({
      insert: database.prepare<Columns>(
        `insert into ${name} (id, ${by}, version, document) values (:id, :by, 1, :document)`,
      ),
      get: database.prepare<string[], Row>(`select no, version, document from ${name} where id = ?`),
      replace: database.prepare<Columns>(
        `update ${name} set ${by} = :by, version = version + 1, document = :document where id = :id`,
      ),
      page: database.prepare<PageQuery & { by: string }, Row>(
        `select no, version, document from ${name} where ${by} = :by and no > :after order by no limit :limit`,
      ),
    });
    this.#statements = {
      run: table('runs', 'state'),
      node_run: table('node_runs', 'run_id'),
      all: database.prepare<PageQuery, Row>(
        'select no, version, document from runs where no > :after order by no limit :limit',
      ),
      bound: database.prepare<string[], { readonly id: string }>(
        'select id from keys where scope = ? and key = ?',
      ),
      bind: database.prepare<string[]>('insert into keys (scope, key, id) values (?, ?, ?)'),
    };
  }

  /** @throws ArpError 409, 507 */
  createRun(run: InternalRun, key?: string): InternalRun {
    return this.#create('run', run.run_id, run.state, run, key === undefined ? undefined : ['run', key]);
  }

  /** Keys of children count below their run and parent (H7). @throws ArpError 409, 507 */
  createNodeRun(nodeRun: InternalNodeRun, key?: string): InternalNodeRun {
    const { node_run_id: id, run_id: runId, parent_node_run_id: parent } = nodeRun;
    const scope = JSON.stringify(['node_run', runId, parent ?? null]);
    return this.#create('node_run', id, runId, nodeRun, key === undefined ? undefined : [scope, key]);
  }

  /** @throws ArpError 404 */
  getRun(id: string): Stored<InternalRun> {
    return this.#get('run', id);
  }
  /** @throws ArpError 404 */
  getNodeRun(id: string): Stored<InternalNodeRun> {
    return this.#get('node_run', id);
  }

  /** @param expected version that is replaced; undefined: whichever is there.  @throws ArpError 404, 409, 412 */
  putRun(id: string, run: InternalRun, expected?: number): Stored<InternalRun> {
    return this.#put('run', { id, inBody: run.run_id, by: run.state, record: run, expected });
  }
  /** @throws ArpError 404, 409, 412 */
  putNodeRun(id: string, nodeRun: InternalNodeRun, expected?: number): Stored<InternalNodeRun> {
    const { node_run_id: inBody, run_id: by } = nodeRun;
    return this.#put('node_run', { id, inBody, by, record: nodeRun, expected });
  }

  /** In the order of their insertion. */
  runs(query: PageQuery, state?: string): Page<InternalRun> {
    const { all, run } = this.#statements;
    const rows = state === undefined ? all.all(query) : run.page.all({ ...query, by: state });
    return pageOf(rows, query, (row) => recordIn(row) as InternalRun);
  }
  /** In the order of their insertion. An unknown run has none. */
  nodeRuns(runId: string, query: PageQuery): Page<InternalNodeRun> {
    const rows = this.#statements.node_run.page.all({ ...query, by: runId });
    return pageOf(rows, query, (row) => recordIn(row) as InternalNodeRun);
  }

  probe(): void {
    this.#database.probe();
  }
  close(): void {
    this.#database.close();
  }

  #create<T>(kind: Kind, id: string, by: string, record: T, key: readonly [string, string] | undefined): T {
    const { [kind]: table, bound, bind } = this.#statements;
    return this.#database.transaction(() => {
      const holder = key === undefined ? undefined : bound.get(...key)?.id;
      if (holder !== undefined && holder !== id)
        throw new ArpError(409, 'idempotency_conflict', `the idempotency key belongs to ${holder}`, {
          details: { id, bound_to: holder },
        });
      const existing = table.get.get(id);
      if (existing !== undefined) {
        if (holder === id) return recordIn(existing) as T;
        throw new ArpError(409, `${kind}_already_exists`, `there is a ${words(kind)} ${id} already`, {
          details: { id },
        });
      }
      this.#requireRoom();
      table.insert.run({ id, by, document: JSON.stringify(record) });
      if (key !== undefined && holder === undefined) bind.run(...key, id);
      return record;
    });
  }

  #get<T>(kind: Kind, id: string): Stored<T> {
    const row = this.#statements[kind].get.get(id);
    if (row === undefined) throw notFound(kind, id);
    return { record: recordIn(row) as T, version: row.version };
  }

  #put<T>(
    kind: Kind,
    given: {
      readonly id: string;
      readonly inBody: string;
      readonly by: string;
      readonly record: T;
      readonly expected: number | undefined;
    },
  ): Stored<T> {
    const { id, inBody, by, record, expected } = given;
    const table = this.#statements[kind];
    return this.#database.transaction(() => {
      const row = table.get.get(id);
      if (row === undefined) throw notFound(kind, id);
      if (inBody !== id)
        throw new ArpError(409, 'id_mismatch', `the path names ${id}, the record ${inBody}`, {
          details: { path: id, record: inBody },
        });
      if (expected !== undefined && expected !== row.version)
        throw new ArpError(412, 'version_mismatch', `${id} is at version ${row.version}, not ${expected}`, {
          details: { id, version: row.version, expected },
        });
      table.replace.run({ id, by, document: JSON.stringify(record) });
      return { record, version: row.version + 1 };
    });
  }

  #requireRoom(): void {
    const size = this.#database.sizeBytes();
    if (size <= this.#bytesMax) return;
    throw new ArpError(
      507,
      'run_store_full',
      `the database takes ${size} bytes; it may take ${this.#bytesMax}`,
      {
        details: { size_bytes: size, limit_bytes: this.#bytesMax },
        retryable: false,
      },
    );
  }
}

function recordIn({ document }: Row): unknown {
  return JSON.parse(document);
}

function notFound(kind: Kind, id: string): ArpError {
  return new ArpError(404, `${kind}_not_found`, `there is no ${words(kind)} ${id}`, { details: { id } });
}

function words(kind: Kind): string {
  return kind === 'run' ? 'run' : 'node run';
}
