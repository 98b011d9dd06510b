/**
 * The run store in PostgreSQL, for several processes and machines. Whatever commits goes through one function on the
 * server (commit-function.ts): one round trip, one transaction, each commit checked under the lock of its run.
 *
 * When a connection breaks while a commit is on its way, nobody knows whether it took effect. It is sent again, and
 * counts as done when the run has the very event it ends with.
 */
import { ReeveError } from '../../model/errors.ts';
import { changeOf, type Change } from '../change.ts';
import type {
  ChangeListener,
  Commit,
  CommitResult,
  DueQuery,
  Holder,
  ListQuery,
  LoadedRun,
  QueueStanding,
  RunHead,
  RunPage,
  RunStore,
  StoredEvent,
  WorkRow,
} from '../run-store.ts';
import {
  toEvent,
  toHead,
  toHolder,
  toPage,
  toStanding,
  toWork,
  type StandingRow,
  type EventRow,
  type HeadRow,
  type HolderRow,
  type WorkRecord,
} from '../sql/rows.ts';
import { eventsOfTypes, listStatement, statement, TEXTS } from '../sql/statements.ts';
import { checkTexts } from '../texts.ts';
import { batchesOf, type Batch } from './commit-batch.ts';
import { COMMIT_FUNCTION, COMMIT_RESULTS } from './commit-function.ts';
import type { Connections, Session } from './connections.ts';
import { HeadReads } from './head-reads.ts';
import { Listener } from './listener.ts';

const COMMIT = `select ${COMMIT_FUNCTION}($1, $2, $3, $4) as results`;
const HEADS = TEXTS.head.replace('= :id', '= any($1)');

/** The store's statements, for the run that a statement around them has found. */
const ofRun = (name: 'head' | 'snapshot' | 'events'): string => {
  const found: Readonly<Record<string, string>> = {
    id: '$1',
    run_no: '(select no from run)',
    after: 'coalesce((select version from kept), 0)',
    limit: 'null',
  };
  return statement(TEXTS[name], (_, field) => found[field] ?? field).sql;
};
/** Rows that are no events come before the first of them. */
const HEAD_SEQ = -1;
const SNAPSHOT_SEQ = 0;
/**
 * A run in one round trip, of one instant, and without repeating anything in each row: its head comes as JSON in the
 * place of an event's body, its snapshot with its version in the place of an event's time.
 */
const LOAD = `with run as materialized (${ofRun('head')}), kept as materialized (${ofRun('snapshot')})
  select ${HEAD_SEQ} as seq, 0 as at_ms, '' as type, row_to_json(run)::text as body, hash from run
  union all select ${SNAPSHOT_SEQ}, version, '', body, '' from kept
  union all (${ofRun('events')})`;

export class PostgresRunStore implements RunStore {
  readonly #connections: Connections;
  readonly #listener: Listener;
  readonly #listeners = new Set<ChangeListener>();
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #heads = new HeadReads((ids) => this.#headsOf(ids));
  #closed: Promise<void> | undefined;

  /**
   * @param connections to a database that is prepared; closed with this store.
   * @param pollMs how often a subscriber looks for commits that it may not have heard of, milliseconds.
   */
  constructor(connections: Connections, pollMs = 1000) {
    this.#connections = connections;
    this.#listener = new Listener(connections, pollMs, (queue) => this.#notify(undefined, queue));
  }

  async commit(commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    commits.forEach(checkTexts);
    if (commits.length === 0) return [];
    const batches = batchesOf(commits);
    const done = await this.#use(async (session, again) => {
      const send = async (batch: Batch): Promise<readonly number[]> => {
        const values = [batch.commits, batch.events, batch.work, again];
        const [row] = await session.prepared<{ results: number[] }>(COMMIT_FUNCTION, COMMIT, values);
        return row?.results ?? [];
      };
      const [only, ...more] = batches;
      if (only !== undefined && more.length === 0) return [await send(only)];
      return session.transaction(async () => {
        const all: (readonly number[])[] = [];
        for (const batch of batches) all.push(await send(batch));
        return all;
      });
    });
    const results = commits.map((): CommitResult => 'conflict');
    batches.forEach(({ places }, batch) => {
      places.forEach((place, at) => {
        results[place] = COMMIT_RESULTS[done[batch]?.[at] ?? 0] ?? 'conflict';
      });
    });
    this.#changed(commits.filter((_, at) => results[at] === 'ok').map(changeOf));
    return results;
  }

  async renew(runId: string, node: string, epoch: number, untilMs: number): Promise<boolean> {
    const values = { id: runId, node, epoch, until: untilMs };
    return (await this.#use((session) => session.run('renewLease', values))) > 0;
  }

  async remove(runId: string): Promise<boolean> {
    const [found] = await this.#read<HeadRow>('head', { id: runId });
    if (found === undefined) return false;
    const { no, created_ms } = found;
    const isRemoved = await this.#use((session, again) =>
      session.transaction(async () => {
        const removed = await session.run('removeRun', { id: runId, no, created_ms });
        // Gone since we saw it, and an earlier try may have done it: then the rest is gone as well.
        if (removed === 0) return again;
        for (const name of ['dropEvents', 'dropSnapshot', 'clearWork'] as const)
          await session.run(name, { run_no: no }); // aliases go with their run
        return true;
      }),
    );
    if (isRemoved) this.#changed([{ runId, queue: null }]);
    return isRemoved;
  }

  head(runId: string): Promise<RunHead | undefined> {
    if (runId.includes('\0')) return Promise.resolve(undefined); // no text of the database; others' reads must not fail of it
    return this.#begin(() => this.#heads.of(runId.toWellFormed()));
  }

  async load(runId: string): Promise<LoadedRun | undefined> {
    const rows = await this.#use((session) => session.prepared<EventRow>('load', LOAD, [runId]));
    const tail = rows.filter(({ seq }) => seq > SNAPSHOT_SEQ).map(toEvent);
    const head = rows.find(({ seq }) => seq === HEAD_SEQ);
    if (head === undefined) return undefined;
    const kept = rows.find(({ seq }) => seq === SNAPSHOT_SEQ);
    return {
      head: toHead(JSON.parse(head.body) as HeadRow),
      snapshot: kept === undefined ? undefined : { version: kept.at_ms, body: kept.body },
      tail: tail.toSorted((a, b) => a.seq - b.seq), // as they come already; only no server promises that
    };
  }

  async events(
    runId: string,
    after: number,
    limit: number,
    types?: readonly string[],
  ): Promise<readonly StoredEvent[]> {
    const values = { id: runId, after, limit };
    if (types === undefined) return (await this.#read<EventRow>('eventsOf', values)).map(toEvent);
    const some = eventsOfTypes(types);
    const rows = await this.#use((session) =>
      session.query<EventRow>(some.text, { ...values, ...some.values }),
    );
    return rows.map(toEvent);
  }

  async runOf(alias: string): Promise<string | undefined> {
    const [found] = await this.#read<{ id: string }>('runOfAlias', { alias });
    return found?.id;
  }

  async aliases(runId: string): Promise<readonly string[]> {
    return (await this.#read<{ alias: string }>('aliasesOf', { id: runId })).map(({ alias }) => alias);
  }

  async list(query: ListQuery): Promise<RunPage> {
    const { text, values } = listStatement(query);
    return toPage(await this.#use((session) => session.query<HeadRow>(text, values)), query);
  }

  async due({ nowMs, limit, queues }: DueQuery): Promise<readonly WorkRow[]> {
    const wanted = [...new Set(queues)];
    const found = await Promise.all(
      wanted.map((queue) => this.#read<WorkRecord>('due', { queue, now: nowMs, limit })),
    );
    const rows = found.flat();
    if (wanted.length > 1) rows.sort((a, b) => a.due_ms - b.due_ms);
    return rows.slice(0, limit).map(toWork);
  }

  async nextDueMs(queues: readonly string[]): Promise<number | undefined> {
    const firsts = await Promise.all(
      queues.map((queue) => this.#read<{ due_ms: number | null }>('nextDue', { queue })),
    );
    const known = firsts.flat().flatMap(({ due_ms }) => due_ms ?? []);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  async standing(queue: string, nowMs: number): Promise<QueueStanding> {
    const [row] = await this.#read<StandingRow>('standing', { queue, now: nowMs });
    return toStanding(row ?? { oldest_due_ms: null, runnable: 0, leased: 0 });
  }

  async holders(queue: string): Promise<readonly Holder[]> {
    return (await this.#read<HolderRow>('holders', { queue })).map(toHolder);
  }

  async heldBy(queue: string, worker: string, limit: number): Promise<readonly WorkRow[]> {
    return (await this.#read<WorkRecord>('heldBy', { queue, worker, limit })).map(toWork);
  }

  async work(runId: string): Promise<readonly WorkRow[]> {
    return (await this.#read<WorkRecord>('workOf', { id: runId })).map(toWork);
  }

  subscribe(listener: ChangeListener): () => void {
    // Wrapped: the same function may subscribe twice.
    const entry: ChangeListener = (runId, queue) => listener(runId, queue);
    this.#listeners.add(entry);
    if (this.#closed === undefined) this.#listener.start();
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size === 0) this.#listener.stop();
    };
  }

  integrity(): Promise<readonly string[]> {
    return this.#connections.patiently(async (session) => {
      const strays = await session.all<{ of: string; count: number }>('strays', {});
      return strays
        .filter(({ count }) => count > 0)
        .map(({ of, count }) => `${count} rows of ${of} belong to no run`);
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    await Promise.allSettled(this.#inFlight);
    await this.#listener.close();
    await this.#connections.close();
  }

  /** On behalf of reads that have begun: the store may be closing. */
  async #headsOf(ids: readonly string[]): Promise<readonly RunHead[]> {
    const rows = await this.#connections.use((session) => session.prepared<HeadRow>('heads', HEADS, [ids]));
    return rows.map(toHead);
  }

  #read<Row extends object>(...query: Parameters<Session['all']>): Promise<Row[]> {
    return this.#use((session) => session.all<Row>(...query));
  }

  #use<T>(work: (session: Session, again: boolean) => Promise<T>): Promise<T> {
    return this.#begin(() => this.#connections.use(work));
  }

  /** What has begun may end before the store is closed. @throws ReeveError E_STORE_UNAVAILABLE once it closes. */
  async #begin<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) {
      const { shown } = this.#connections.address;
      throw new ReeveError('E_STORE_UNAVAILABLE', 'the store was closed', { store: shown });
    }
    const underWay = work();
    this.#inFlight.add(underWay);
    try {
      return await underWay;
    } finally {
      this.#inFlight.delete(underWay);
    }
  }

  #changed(changes: readonly Change[]): void {
    for (const { runId, queue } of changes) this.#notify(runId, queue);
    if (changes.length > 0) this.#listener.announce(changes.some(({ queue }) => queue !== null));
  }

  #notify(...change: Parameters<ChangeListener>): void {
    for (const listener of this.#listeners) listener(...change);
  }
}
