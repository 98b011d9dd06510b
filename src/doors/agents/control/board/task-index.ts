/**
 * Tasks of all times, to be listed and found: a projection of their runs (I3), written with the audit lines of the same
 * events in one transaction. `version` says how far it has followed a run.
 */
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import type { Page } from '../../wire/common.ts';
import { invalidField } from '../../wire/errors.ts';
import { isFinal, TASK_STATUSES, type TaskStatus, type TaskView } from '../../wire/tasks.ts';
import type { TaskQuery } from '../ports.ts';
import type { TaskRecord } from './record.ts';

export const TASKS_SCHEMA = `create table tasks (
  no integer primary key autoincrement,
  task_id text not null unique,
  engine_id text not null unique,
  tenant text not null,
  status text not null,
  is_final integer not null,
  agent text,
  action text not null,
  rollout text,
  version integer not null,
  record text not null
);
create index tasks_of_tenant on tasks (tenant, no);
create index tasks_of_rollout on tasks (rollout, no) where rollout is not null;
create index tasks_live on tasks (no) where is_final = 0`;

interface Row {
  readonly no: number;
  readonly record: string;
}

interface Values {
  readonly task_id: string;
  readonly engine_id: string;
  readonly tenant: string;
  readonly status: TaskStatus;
  readonly is_final: number;
  readonly agent: string | null;
  readonly action: string;
  readonly rollout: string | null;
  readonly version: number;
  readonly record: string;
}

export class TaskIndex {
  readonly #put;
  readonly #byId;
  readonly #byEngineId;
  readonly #page;
  readonly #rollout;
  readonly #live;
  readonly #counts;

  constructor(rows: ServiceDatabase) {
    this.#put = rows.prepare<Values>(
      `insert into tasks (task_id, engine_id, tenant, status, is_final, agent, action, rollout, version, record)
       values (:task_id, :engine_id, :tenant, :status, :is_final, :agent, :action, :rollout, :version, :record)
       on conflict (task_id) do update set status = excluded.status, is_final = excluded.is_final,
         agent = excluded.agent, version = excluded.version, record = excluded.record
       where excluded.version > tasks.version`,
    );
    this.#byId = rows.prepare<[string, string], Row>(
      'select no, record from tasks where tenant = ? and task_id = ?',
    );
    this.#byEngineId = rows.prepare<[string], Row>('select no, record from tasks where engine_id = ?');
    this.#page = rows.prepare<object, Row>(
      `select no, record from tasks where tenant = :tenant and no < :before
         and (:status is null or status = :status) and (:agent is null or agent = :agent)
         and (:action is null or action = :action) and (:rollout is null or rollout = :rollout)
       order by no desc limit :limit`,
    );
    this.#rollout = rows.prepare<[string, string], Row>(
      'select no, record from tasks where rollout = ? and tenant = ? order by no',
    );
    this.#live = rows.prepare<[], Row>('select no, record from tasks where is_final = 0 order by no');
    this.#counts = rows.prepare<[], { readonly status: TaskStatus; readonly count: number }>(
      'select status, count(*) as count from tasks group by status',
    );
  }

  /** Within a transaction. */
  put(record: TaskRecord): void {
    const { view, engineId, version } = record;
    const { task_id, tenant, status, action, agent_id = null, rollout_id = null } = view;
    this.#put.run({
      task_id,
      engine_id: engineId,
      tenant,
      status,
      is_final: isFinal(status) ? 1 : 0,
      agent: agent_id,
      action,
      rollout: rollout_id,
      version,
      record: JSON.stringify(record),
    });
  }

  get(tenant: string, taskId: string): TaskRecord | undefined {
    return recordIn(this.#byId.get(tenant, taskId));
  }

  ofRun(engineId: string): TaskRecord | undefined {
    return recordIn(this.#byEngineId.get(engineId));
  }

  ofRollout(tenant: string, rolloutId: string): readonly TaskRecord[] {
    return this.#rollout.all(rolloutId, tenant).map((row) => JSON.parse(row.record) as TaskRecord);
  }

  /** Those that are not over as far as it knows, oldest first. */
  live(): readonly TaskRecord[] {
    return this.#live.all().map((row) => JSON.parse(row.record) as TaskRecord);
  }

  /** Newest first. @throws AgentsFailure 422 for a cursor that was not given out here */
  list(tenant: string, query: TaskQuery): Page<TaskView> {
    const { limit, cursor, status = null, agent = null, action = null, rollout = null } = query;
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : placeIn(cursor);
    const rows = this.#page.all({ tenant, before, limit: limit + 1, status, agent, action, rollout });
    const items = rows.slice(0, limit).map((row) => (JSON.parse(row.record) as TaskRecord).view);
    const last = rows[limit - 1];
    return rows.length > limit && last !== undefined
      ? { items, nextCursor: cursorOf(String(last.no)) }
      : { items };
  }

  counts(): ReadonlyMap<TaskStatus, number> {
    const found = new Map(this.#counts.all().map(({ status, count }) => [status, count]));
    return new Map(TASK_STATUSES.map((status) => [status, found.get(status) ?? 0]));
  }
}

function recordIn(row: Row | undefined): TaskRecord | undefined {
  return row === undefined ? undefined : (JSON.parse(row.record) as TaskRecord);
}

function cursorOf(place: string): string {
  return Buffer.from(place).toString('base64url');
}

function placeIn(cursor: string): number {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  if (/^[1-9]\d{0,14}$/.test(text) && cursorOf(text) === cursor) return Number(text);
  throw invalidField('cursor', 'was not given out here');
}
