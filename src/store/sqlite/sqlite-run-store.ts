/**
 * The run store in one SQLite file. Correct by itself with several processes on the file (write lock, versions,
 * epochs); `SharedRunStore` before it makes them take turns fairly.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ReeveError, unreachable } from '../../model/errors.ts';
import type { RunPhase } from '../../model/transitions.ts';
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
  Snapshot,
  StoredEvent,
  WorkChange,
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
import { eventsOfTypes, listStatement, parkedState } from '../sql/statements.ts';
import { checkTexts } from '../texts.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { storeError } from './sqlite-errors.ts';
import { changesOf, type RunIdentity, type WriteOp, type WriteResult } from './write-op.ts';

interface NoRow {
  no: number;
}
/** What this process last wrote of a run. */
interface KnownRun extends NoRow {
  hash: string;
  phase: RunPhase;
}
interface DueRow {
  due_ms: number | null;
}
interface HashRow {
  hash: string;
}
export interface SqliteRunStoreOptions {
  /** How long a write waits for other processes before E_STORE_BUSY, milliseconds. */
  readonly busyMs?: number;
  /** How often a subscriber looks for commits of other processes, milliseconds. */
  readonly pollMs?: number;
  /** `read` for a folder that cannot be written: every write is then E_STORE_UNAVAILABLE. */
  readonly access?: 'write' | 'read';
}

export interface WriteOptions {
  readonly busyMs?: number;
  /** Asked under the write lock: an operation of which it says true is left out, and its result is undefined. */
  readonly isVoid?: (at: number) => boolean;
}

/** SQLite's own waiting blocks the event loop; what outlasts this is waited for without blocking, milliseconds. */
const BLOCK_MS = 50;
/** Runs of which the last commit of this process is kept in mind. Only a saving: it may be wrong at any time. */
const KNOWN_MAX = 10_000;

export class SqliteRunStore implements RunStore {
  readonly #db: SqliteDatabase;
  readonly #busyMs: number;
  readonly #pollMs: number;
  readonly #access: 'write' | 'read';
  readonly #listeners = new Set<ChangeListener>();
  readonly #known = new Map<string, KnownRun>();
  #poll: NodeJS.Timeout | undefined;
  #dataVersion = 0;
  #closed = false;

  /** Makes the file when there is none. @throws ReeveError E_STORE_* as SqliteDatabase does. */
  constructor(file: string, { busyMs = 15_000, pollMs = 50, access = 'write' }: SqliteRunStoreOptions = {}) {
    this.#db = new SqliteDatabase(file, { busyMs: Math.min(busyMs, BLOCK_MS), access });
    this.#busyMs = busyMs;
    this.#pollMs = pollMs;
    this.#access = access;
  }

  async commit(commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    return (await this.#writeOne({ op: 'commit', commits, again: false })) as readonly CommitResult[];
  }

  async renew(runId: string, node: string, epoch: number, untilMs: number): Promise<boolean> {
    return (await this.#writeOne({ op: 'renew', runId, node, epoch, untilMs })) === true;
  }

  async remove(runId: string): Promise<boolean> {
    const identity = await this.identityOf(runId);
    return identity !== undefined && (await this.#writeOne({ op: 'remove', runId, ...identity })) === true;
  }

  /**
   * Carries out operations in order, in one transaction with one sync. It tells no listener: that is for the caller,
   * who knows whose operations they were. SQLite waits a little by itself, blocking; then we wait without blocking,
   * and try again until `busyMs`.
   */
  async write(
    ops: readonly WriteOp[],
    { busyMs = this.#busyMs, isVoid }: WriteOptions = {},
  ): Promise<readonly (WriteResult | undefined)[]> {
    if (this.#access === 'read') {
      const { file } = this.#db;
      throw new ReeveError('E_STORE_UNAVAILABLE', 'the store can be read but not written', { file });
    }
    for (const op of ops) if (op.op === 'commit') op.commits.forEach(checkTexts);
    return this.#patiently(busyMs, () =>
      this.#db.transaction(() => ops.map((op, at) => (isVoid?.(at) === true ? undefined : this.#apply(op)))),
    );
  }

  /** Tells a run from earlier and later ones of the same id. */
  identityOf(runId: string): Promise<RunIdentity | undefined> {
    return this.#read(() => {
      const row = this.#db.get('head', { id: runId }) as HeadRow | undefined;
      return row === undefined ? undefined : { no: row.no, createdAtMs: row.created_ms };
    });
  }

  head(runId: string): Promise<RunHead | undefined> {
    return this.#read(() => {
      const row = this.#db.get('head', { id: runId }) as HeadRow | undefined;
      return row === undefined ? undefined : toHead(row);
    });
  }

  load(runId: string): Promise<LoadedRun | undefined> {
    return this.#read(() =>
      // One read transaction: head, snapshot and events are of the same instant.
      this.#db.raw.transaction(() => {
        const row = this.#db.get('head', { id: runId }) as HeadRow | undefined;
        if (row === undefined) return undefined;
        const run_no = row.no;
        const snapshot = this.#db.get('snapshot', { run_no }) as Snapshot | undefined;
        const after = snapshot?.version ?? 0;
        const tail = (this.#db.all('events', { run_no, after, limit: -1 }) as EventRow[]).map(toEvent);
        return { head: toHead(row), snapshot, tail };
      })(),
    );
  }

  runOf(alias: string): Promise<string | undefined> {
    return this.#read(() => this.#aliasRows<{ id: string }>('runOfAlias', { alias })[0]?.id);
  }

  aliases(runId: string): Promise<readonly string[]> {
    return this.#read(() =>
      this.#aliasRows<{ alias: string }>('aliasesOf', { id: runId }).map(({ alias }) => alias),
    );
  }

  /** A store that an older program made, and that we may only read, has no aliases. */
  #aliasRows<Row>(name: 'runOfAlias' | 'aliasesOf', values: Record<string, string>): Row[] {
    try {
      return this.#db.all(name, values) as Row[];
    } catch (error) {
      if (error instanceof Error && error.message === 'no such table: aliases') return [];
      throw error;
    }
  }

  events(
    runId: string,
    after: number,
    limit: number,
    types?: readonly string[],
  ): Promise<readonly StoredEvent[]> {
    return this.#read(() => {
      const values = { id: runId, after, limit };
      if (types === undefined) return (this.#db.all('eventsOf', values) as EventRow[]).map(toEvent);
      const some = eventsOfTypes(types);
      return (this.#db.query(some.text, { ...values, ...some.values }) as EventRow[]).map(toEvent);
    });
  }

  list(query: ListQuery): Promise<RunPage> {
    return this.#read(() => {
      const { text, values } = listStatement(query);
      return toPage(this.#db.query(text, values) as HeadRow[], query);
    });
  }

  due({ nowMs, limit, queues }: DueQuery): Promise<readonly WorkRow[]> {
    return this.#read(() => {
      const wanted = [...new Set(queues)];
      const rows = wanted.flatMap(
        (queue) => this.#db.all('due', { queue, now: nowMs, limit }) as WorkRecord[],
      );
      if (wanted.length > 1) rows.sort((a, b) => a.due_ms - b.due_ms);
      return rows.slice(0, limit).map(toWork);
    });
  }

  nextDueMs(queues: readonly string[]): Promise<number | undefined> {
    return this.#read(() => {
      const firsts = queues.map((queue) => (this.#db.get('nextDue', { queue }) as DueRow).due_ms);
      const known = firsts.filter((due) => due !== null);
      return known.length === 0 ? undefined : Math.min(...known);
    });
  }

  standing(queue: string, nowMs: number): Promise<QueueStanding> {
    return this.#read(() => toStanding(this.#db.get('standing', { queue, now: nowMs }) as StandingRow));
  }

  holders(queue: string): Promise<readonly Holder[]> {
    return this.#read(() => (this.#db.all('holders', { queue }) as HolderRow[]).map(toHolder));
  }

  heldBy(queue: string, worker: string, limit: number): Promise<readonly WorkRow[]> {
    return this.#read(() => (this.#db.all('heldBy', { queue, worker, limit }) as WorkRecord[]).map(toWork));
  }

  work(runId: string): Promise<readonly WorkRow[]> {
    return this.#read(() => (this.#db.all('workOf', { id: runId }) as WorkRecord[]).map(toWork));
  }

  subscribe(listener: ChangeListener): () => void {
    // Wrapped: the same function may subscribe twice.
    const entry: ChangeListener = (runId, queue) => listener(runId, queue);
    this.#listeners.add(entry);
    if (this.#poll === undefined && !this.#closed) {
      this.#dataVersion = this.#version();
      this.#poll = setInterval(() => this.#lookForOthers(), this.#pollMs);
      this.#poll.unref();
    }
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size > 0) return;
      clearInterval(this.#poll);
      this.#poll = undefined;
    };
  }

  integrity(): Promise<readonly string[]> {
    return this.#read(() => {
      const said = this.#db.raw.pragma('integrity_check') as { integrity_check: string }[];
      const strays = this.#db.all('strays', {}) as { of: string; count: number }[];
      return [
        ...said.map((row) => row.integrity_check).filter((text) => text !== 'ok'),
        ...strays
          .filter(({ count }) => count > 0)
          .map(({ of, count }) => `${count} rows of ${of} belong to no run`),
      ];
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    clearInterval(this.#poll);
    this.#db.close();
    return Promise.resolve();
  }

  async #writeOne(op: WriteOp): Promise<WriteResult> {
    const [result = false] = await this.write([op]);
    for (const { runId, queue } of changesOf(op, result)) this.#notify(runId, queue);
    return result;
  }

  #apply(op: WriteOp): WriteResult {
    switch (op.op) {
      case 'commit':
        return op.commits.map((commit) => this.#commitOne(commit, op.again));
      case 'renew': {
        const { runId, node, epoch, untilMs } = op;
        return this.#db.run('renewLease', { id: runId, node, epoch, until: untilMs }).changes > 0;
      }
      case 'remove':
        return this.#remove(op.runId, op);
      default:
        return unreachable(op);
    }
  }

  #remove(runId: string, { no, createdAtMs }: RunIdentity): boolean {
    this.#known.delete(runId);
    if (this.#db.run('removeRun', { id: runId, no, created_ms: createdAtMs }).changes === 0) return false;
    for (const name of ['dropEvents', 'dropSnapshot', 'clearWork'] as const) // aliases go with their run
      this.#db.run(name, { run_no: no });
    return true;
  }

  #commitOne(commit: Commit, isAgain: boolean): CommitResult {
    const known = this.#known.get(commit.runId);
    let no = known === undefined ? undefined : this.#append(commit, known);
    if (no === undefined) {
      // Not known, or since removed and made anew by another process.
      this.#known.delete(commit.runId);
      const row = this.#db.get('runNo', { id: commit.runId }) as NoRow | undefined;
      if (known === undefined || row?.no !== known.no) no = this.#append(commit, row);
      if (no === undefined) {
        if (isAgain && row !== undefined && this.#hasLanded(commit, row.no)) return 'ok';
        return this.#isOnlyAliasTaken(commit, row) ? 'alias_taken' : 'conflict';
      }
    }
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(commit.runId, { no, hash: commit.head.hash, phase: commit.head.phase });
    return 'ok';
  }

  /** @returns the run's number, or undefined when the commit does not fit; then nothing was written. */
  #append(commit: Commit, run: KnownRun | NoRow | undefined): number | undefined {
    const { runId, head, expectedVersion, snapshot, work, aliases = [] } = commit;
    if ((run === undefined) !== (expectedVersion === 0)) return undefined;
    if (run !== undefined && this.#isHeld(run.no, work)) return undefined;
    if (this.#isTaken(aliases, run)) return undefined;
    const { tenant, name, queue, createdAtMs } = head;
    const given = { tenant, name, queue, created_ms: createdAtMs };
    const moved = {
      phase: head.phase,
      hold: head.hold,
      version: head.version,
      hash: head.hash,
      updated_ms: head.updatedAtMs,
      nodes: head.nodes,
      nodes_settled: head.nodesSettled,
    };
    let run_no: number;
    if (run === undefined) {
      run_no = Number(this.#db.run('createRun', { id: runId, ...given, ...moved }).lastInsertRowid);
    } else {
      run_no = run.no;
      const isSamePhase = 'hash' in run && run.hash === commit.expectedHash && run.phase === head.phase;
      const where = { no: run_no, expected: expectedVersion, expected_hash: commit.expectedHash };
      const move = commit.events.length === 0 ? 'rewriteRun' : isSamePhase ? 'moveRun' : 'moveRunPhase';
      const update = this.#db.run(move, { ...given, ...moved, ...where });
      if (update.changes === 0) return undefined;
    }
    for (const { seq, atMs, type, body, hash } of commit.events) {
      this.#db.run('addEvent', { run_no, seq, at_ms: atMs, type, body, hash });
    }
    for (const change of work) this.#changeWork(run_no, head.queue, change);
    if (snapshot !== undefined) this.#db.run('putSnapshot', { run_no, ...snapshot });
    if (commit.events.length === 0 && commit.aliases !== undefined) this.#db.run('dropAliases', { run_no });
    for (const alias of aliases) this.#db.run('addAlias', { alias, run_no });
    return run_no;
  }

  #isHeld(run_no: number, work: readonly WorkChange[]): boolean {
    return work.some(
      (change) =>
        change.op === 'lease' &&
        this.#db.get('heldLease', { run_no, node: change.node, now: change.nowMs }) !== undefined,
    );
  }

  /** Whether one of these names is another run's. */
  #isTaken(aliases: readonly string[], run: NoRow | undefined): boolean {
    return aliases.some((alias) => {
      const owner = this.#db.get('aliasOwner', { alias }) as { run_no: number } | undefined;
      return owner !== undefined && owner.run_no !== run?.no;
    });
  }

  /** Of a commit that was not written: whether it fits in every other respect. */
  #isOnlyAliasTaken(
    { runId, expectedVersion, expectedHash, work, aliases = [] }: Commit,
    run?: NoRow,
  ): boolean {
    if (aliases.length === 0 || (run === undefined) !== (expectedVersion === 0)) return false;
    if (run !== undefined) {
      const { hash } = this.#db.get('head', { id: runId }) as HeadRow;
      if (hash !== expectedHash || this.#isHeld(run.no, work)) return false;
    }
    return this.#isTaken(aliases, run);
  }

  #hasLanded({ head }: Commit, run_no: number): boolean {
    return (
      (this.#db.get('eventHash', { run_no, seq: head.version }) as HashRow | undefined)?.hash === head.hash
    );
  }

  #changeWork(run_no: number, queue: string, change: WorkChange): void {
    switch (change.op) {
      case 'offer': {
        const { node, dueMs, parked } = change;
        this.#db.run('offerWork', { run_no, node, queue, due_ms: dueMs, state: parkedState(parked) });
        return;
      }
      case 'lease': {
        const { node, untilMs, epoch, worker, leaseId } = change;
        this.#db.run('leaseWork', { run_no, node, queue, until: untilMs, epoch, worker, lease_id: leaseId });
        return;
      }
      case 'unlease': {
        const { node, dueMs, parked } = change;
        this.#db.run('unleaseWork', { run_no, node, due_ms: dueMs, state: parkedState(parked) });
        return;
      }
      case 'drop':
        this.#db.run('dropWork', { run_no, node: change.node });
        return;
      case 'park':
        this.#db.run('parkWork', { run_no, state: parkedState(change.parked) });
        return;
      case 'clear':
        this.#db.run('clearWork', { run_no });
        return;
    }
  }

  /** Readers wait for nobody but a process that is just recovering or closing the file. */
  async #read<T>(work: () => T): Promise<T> {
    return this.#patiently(this.#busyMs, work);
  }

  async #patiently<T>(busyMs: number, work: () => T): Promise<T> {
    const giveUpAtMs = performance.now() + busyMs;
    for (;;) {
      if (this.#closed)
        throw new ReeveError('E_STORE_UNAVAILABLE', 'the store was closed', { file: this.#db.file });
      try {
        return work();
      } catch (cause) {
        const error = storeError(cause, this.#db.file);
        const isBusy = error instanceof ReeveError && error.code === 'E_STORE_BUSY';
        if (!isBusy || performance.now() > giveUpAtMs) throw error;
        await delay(5 + Math.random() * 20);
      }
    }
  }

  #notify(...change: Parameters<ChangeListener>): void {
    for (const listener of this.#listeners) listener(...change);
  }

  #version(): number {
    return this.#db.raw.pragma('data_version', { simple: true }) as number;
  }

  #lookForOthers(): void {
    let version: number;
    try {
      version = this.#version();
    } catch {
      return; // whoever reads or writes next is told what is wrong
    }
    if (version === this.#dataVersion) return;
    this.#dataVersion = version;
    this.#notify(undefined);
  }
}
