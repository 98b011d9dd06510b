/**
 * Every query of the store, as text that SQLite and PostgreSQL both take, with `:names` for values. A statement is
 * prepared once however often it runs. Not built by kysely: loading it took 100 ms and more, several times what the
 * rest of a short command takes, and building the queries another 2 ms on every open.
 */
import { STANDING_COUNT_MAX, type ListQuery } from '../run-store.ts';
import { LEASED, OFFERED, PARKED } from './schema.ts';

/** A statement and the names of its parameters in the order of its placeholders. */
export interface Statement {
  readonly sql: string;
  readonly order: readonly string[];
}

/** Replaces `:names` by what the database wants; `placeholder(n, name)` is the n-th one, from 1. */
export function statement(
  text: string,
  placeholder: (n: number, name: string) => string = () => '?',
): Statement {
  const order: string[] = [];
  const sql = text.replaceAll(/(?<!:):([a-z_0-9]+)/g, (_, name: string) =>
    placeholder(order.push(name), name),
  );
  return { sql, order };
}

const HEAD =
  'id, tenant, name, queue, phase, hold, version, hash, created_ms, updated_ms, nodes, nodes_settled';
const EVENT = 'seq, at_ms, type, body, hash';
const WORK = 'runs.id as run_id, node, work.queue, due_ms, state, epoch, worker, lease_id';
const RUN_NO = '(select no from runs where id = :id)';

export type StatementName = keyof typeof TEXTS;

export const TEXTS = {
  createRun: `insert into runs (${HEAD})
    values (:id, :tenant, :name, :queue, :phase, :hold, :version, :hash, :created_ms, :updated_ms, :nodes, :nodes_settled)
    on conflict (id) do nothing`,
  // The hash of an event belongs to one run only, so a number that has gone stale moves nothing.
  moveRun: `update runs set hold = :hold, version = :version, hash = :hash, updated_ms = :updated_ms,
    nodes = :nodes, nodes_settled = :nodes_settled
    where no = :no and version = :expected and hash = :expected_hash`,
  // Naming a column of an index rewrites its entry even where nothing changes: 4 KiB more for each commit.
  moveRunPhase: `update runs set phase = :phase, hold = :hold, version = :version, hash = :hash, updated_ms = :updated_ms,
    nodes = :nodes, nodes_settled = :nodes_settled
    where no = :no and version = :expected and hash = :expected_hash`,
  rewriteRun: `update runs set tenant = :tenant, name = :name, queue = :queue, created_ms = :created_ms, phase = :phase,
    hold = :hold, version = :version, hash = :hash, updated_ms = :updated_ms, nodes = :nodes, nodes_settled = :nodes_settled
    where no = :no and version = :expected and hash = :expected_hash`,
  runNo: 'select no from runs where id = :id',
  eventHash: 'select hash from events where run_no = :run_no and seq = :seq',
  addEvent: `insert into events (run_no, ${EVENT}) values (:run_no, :seq, :at_ms, :type, :body, :hash)`,
  putSnapshot: `insert into snapshots (run_no, version, body) values (:run_no, :version, :body)
    on conflict (run_no) do update set version = excluded.version, body = excluded.body`,
  dropSnapshot: 'delete from snapshots where run_no = :run_no',
  offerWork: `insert into work (run_no, node, queue, due_ms, state, epoch)
    values (:run_no, :node, :queue, :due_ms, :state, 0)
    on conflict (run_no, node) do update set due_ms = excluded.due_ms, state = excluded.state, worker = null, lease_id = null
    where work.state <> ${LEASED}`,
  heldLease: `select node from work
    where run_no = :run_no and node = :node and state = ${LEASED} and due_ms > :now`,
  leaseWork: `insert into work (run_no, node, queue, due_ms, state, epoch, worker, lease_id)
    values (:run_no, :node, :queue, :until, ${LEASED}, :epoch, :worker, :lease_id)
    on conflict (run_no, node) do update set due_ms = excluded.due_ms, state = excluded.state, epoch = excluded.epoch,
    worker = excluded.worker, lease_id = excluded.lease_id`,
  unleaseWork: `update work set state = :state, due_ms = :due_ms, worker = null, lease_id = null
    where run_no = :run_no and node = :node`,
  // Never shortens: of two renewals that overtake each other on their way the longer one stands.
  renewLease: `update work set due_ms = case when due_ms > :until then due_ms else :until end
    where run_no = ${RUN_NO} and node = :node and epoch = :epoch and state = ${LEASED}`,
  parkWork: `update work set state = :state where run_no = :run_no and state <> ${LEASED} and state <> :state`,
  dropWork: 'delete from work where run_no = :run_no and node = :node',
  clearWork: 'delete from work where run_no = :run_no',
  head: `select no, ${HEAD} from runs where id = :id`,
  snapshot: 'select version, body from snapshots where run_no = :run_no',
  events: `select ${EVENT} from events where run_no = :run_no and seq > :after order by seq limit :limit`,
  eventsOf: `select ${EVENT} from events where run_no = ${RUN_NO} and seq > :after order by seq limit :limit`,
  due: `select ${WORK} from work join runs on runs.no = work.run_no
    where work.queue = :queue and state <> ${PARKED} and due_ms <= :now order by due_ms, run_no, node limit :limit`,
  nextDue: `select min(due_ms) as due_ms from work where queue = :queue and state <> ${PARKED}`,
  standing: `select
    (select min(due_ms) from work where queue = :queue and state <> ${PARKED} and due_ms <= :now) as oldest_due_ms,
    (select count(*) from (select 1 from work where queue = :queue and state <> ${PARKED} and due_ms <= :now
      limit ${STANDING_COUNT_MAX}) as due) as runnable,
    (select count(*) from (select state from work where queue = :queue and state <> ${PARKED} and due_ms > :now
      order by due_ms limit ${STANDING_COUNT_MAX}) as later where state = ${LEASED}) as leased`,
  // From one worker to the next through the index, whatever each of them holds.
  holders: `with recursive held (worker) as (
    select min(worker) from work where queue = :queue and state = ${LEASED}
    union all
    select (select min(worker) from work where queue = :queue and state = ${LEASED} and worker > held.worker)
      from held where held.worker is not null
    ) select worker, (select lease_id from work
      where queue = :queue and state = ${LEASED} and work.worker = held.worker limit 1) as lease_id
    from held where worker is not null`,
  heldBy: `select ${WORK} from work join runs on runs.no = work.run_no
    where work.queue = :queue and state = ${LEASED} and worker = :worker limit :limit`,
  workOf: `select ${WORK} from work join runs on runs.no = work.run_no where runs.id = :id order by node`,
  strays: `select 'events' as of, count(*) as count from events where run_no not in (select no from runs)
    union all select 'snapshots', count(*) from snapshots where run_no not in (select no from runs)
    union all select 'work', count(*) from work where run_no not in (select no from runs)`,
  // The first to come keeps the name: look with `aliasOwner` whose it is.
  addAlias: 'insert into aliases (alias, run_no) values (:alias, :run_no) on conflict (alias) do nothing',
  aliasOwner: 'select run_no from aliases where alias = :alias',
  runOfAlias: 'select runs.id from aliases join runs on runs.no = aliases.run_no where alias = :alias',
  aliasesOf: `select alias from aliases where run_no = ${RUN_NO} order by alias`,
  dropAliases: 'delete from aliases where run_no = :run_no',
  dropEvents: 'delete from events where run_no = :run_no',
  removeRun: 'delete from runs where no = :no and id = :id and created_ms = :created_ms',
} as const satisfies Record<string, string>;

/** Values of a state by name, for offers. */
export const parkedState = (isParked: boolean): number => (isParked ? PARKED : OFFERED);

/** Lists are rare and their filters many: written for each call. */
export function listStatement(query: ListQuery): {
  text: string;
  values: Record<string, string | number>;
} {
  const { tenant, phases, holds, limit, after } = query;
  const values: Record<string, string | number> = { limit };
  const where: string[] = [];
  const among = (column: string, wanted: readonly string[] | undefined): void => {
    if (wanted === undefined) return;
    const names = wanted.map((value, at) => {
      const name = `${column}_${at}`;
      values[name] = value;
      return `:${name}`;
    });
    where.push(names.length === 0 ? '1 = 0' : `${column} in (${names.join(', ')})`);
  };
  among('tenant', tenant === undefined ? undefined : [tenant]);
  among('phase', phases);
  among('hold', holds);
  if (after !== undefined) {
    where.push('(created_ms, no) < (:after_ms, :after_no)');
    values['after_ms'] = after.createdAtMs;
    values['after_no'] = after.no;
  }
  const filter = where.length === 0 ? '' : `where ${where.join(' and ')}`;
  return {
    text: `select no, ${HEAD} from runs ${filter} order by created_ms desc, no desc limit :limit`,
    values,
  };
}

/** The same text as `eventsOf` for events of some types only. */
export function eventsOfTypes(types: readonly string[]): { text: string; values: Record<string, string> } {
  const values: Record<string, string> = {};
  for (const [at, type] of types.entries()) values[`type_${at}`] = type;
  const among =
    types.length === 0
      ? '1 = 0'
      : `type in (${Object.keys(values)
          .map((name) => `:${name}`)
          .join(', ')})`;
  const text = `select ${EVENT} from events
    where run_no = ${RUN_NO} and seq > :after and ${among} order by seq limit :limit`;
  return { text, values };
}
