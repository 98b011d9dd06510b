/**
 * The port of the run store (DESIGN §3): events, snapshots, work rows and leases. Every implementation passes
 * `test/contracts/run-store.ts`. A run's events are only ever appended, at the version that the writer has seen.
 */
import type { HoldKind, RunPhase } from '../model/transitions.ts';

/** One event as stored: `body` is its canonical text, `hash` its place in the chain (see model/chain). */
export interface StoredEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly type: string;
  readonly body: string;
  /** 64 hex digits. */
  readonly hash: string;
}

/** What lists show of a run without reading its events. */
export interface RunHead {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly queue: string;
  readonly phase: RunPhase;
  readonly hold: HoldKind | null;
  readonly version: number;
  /** Hash of the last event. */
  readonly hash: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly nodes: number;
  readonly nodesSettled: number;
}

export interface Snapshot {
  readonly version: number;
  readonly body: string;
}

/** Work rows say what a worker may claim; written in the transaction of the events that caused them. */
export type WorkChange =
  | { readonly op: 'offer'; readonly node: string; readonly dueMs: number; readonly parked: boolean }
  | {
      readonly op: 'lease';
      readonly node: string;
      readonly worker: string;
      readonly leaseId: string;
      readonly epoch: number;
      readonly untilMs: number;
      /** The instant against which an older lease must have run out. */
      readonly nowMs: number;
    }
  | { readonly op: 'unlease'; readonly node: string; readonly dueMs: number; readonly parked: boolean }
  | { readonly op: 'drop'; readonly node: string }
  /** Parks or unparks all rows of the run that nobody holds. */
  | { readonly op: 'park'; readonly parked: boolean }
  | { readonly op: 'clear' };

/**
 * What one decision adds to a run. A commit without events replaces what is stored beside them: head, snapshot, work
 * rows, and aliases where it has any list of them; of other commits the tenant, name, queue and time of creation are those that created the run. Texts are Unicode
 * without NUL (PostgreSQL has no place for it; canonical JSON escapes it); a lone surrogate becomes U+FFFD.
 */
export interface Commit {
  readonly runId: string;
  /** Version the events follow; 0 creates the run. */
  readonly expectedVersion: number;
  /** Hash of the event that the events follow; two writers may have reached one version by different events. */
  readonly expectedHash: string;
  readonly events: readonly StoredEvent[];
  readonly head: RunHead;
  readonly work: readonly WorkChange[];
  readonly snapshot?: Snapshot;
  /** Further names of the run, unique over the store; each finds it as long as it exists. Its own again is no change. */
  readonly aliases?: readonly string[];
}

/**
 * `conflict`: the run has moved on, exists already, or its lease is not free. `alias_taken`: it would have fitted, and one
 * of its aliases is another run's. Nothing of that commit was written in either case.
 */
export type CommitResult = 'ok' | 'conflict' | 'alias_taken';

export interface WorkRow {
  readonly runId: string;
  readonly node: string;
  readonly queue: string;
  readonly dueMs: number;
  readonly state: 'offered' | 'leased' | 'parked';
  readonly epoch: number;
  readonly worker: string | null;
  readonly leaseId: string | null;
  readonly untilMs: number | null;
}

export interface LoadedRun {
  readonly head: RunHead;
  readonly snapshot: Snapshot | undefined;
  /** Events after the snapshot, or all. */
  readonly tail: readonly StoredEvent[];
}

export interface ListQuery {
  readonly tenant?: string;
  readonly phases?: readonly RunPhase[];
  readonly holds?: readonly HoldKind[];
  /** 1..500. */
  readonly limit: number;
  /** Continue after this position (keyset). */
  readonly after?: ListPosition;
}

/** Newest first: creation time, then insertion. */
export interface ListPosition {
  readonly createdAtMs: number;
  readonly no: number;
}

export interface RunPage {
  readonly runs: readonly RunHead[];
  readonly next?: ListPosition;
}

export interface DueQuery {
  readonly nowMs: number;
  readonly limit: number;
  readonly queues: readonly string[];
}

/** How the work of a queue stands. Counts end at `STANDING_COUNT_MAX`: looking costs the same however much waits. */
export interface QueueStanding {
  /** Rows that may be claimed. */
  readonly runnable: number;
  /** Since when the first of them may be; undefined: none is there. */
  readonly oldestDueMs: number | undefined;
  /** Rows under a lease that holds, among those that will be due next. */
  readonly leased: number;
}

/** A worker that holds leases, and one of them. */
export interface Holder {
  readonly worker: string;
  readonly leaseId: string;
}

export const STANDING_COUNT_MAX = 10_000;

/**
 * @param runId Undefined: some run of another process.
 * @param queue Where the commit may have made work due, now or later; null: nowhere; undefined: perhaps in any. Of commits of
 * this process both are known.
 */
export type ChangeListener = (runId: string | undefined, queue?: string | null) => void;

export interface RunStore {
  /**
   * Writes several commits as one transaction with one sync; when it resolves, all `ok` ones are durable (I1).
   * @throws ReeveError E_STORE_BUSY, E_STORE_FULL, E_STORE_UNAVAILABLE, E_STORE_CORRUPT, and E_INVALID_INPUT_SCHEMA for
   * a text with a NUL: then nothing was written.
   */
  commit(commits: readonly Commit[]): Promise<readonly CommitResult[]>;
  head(runId: string): Promise<RunHead | undefined>;
  load(runId: string): Promise<LoadedRun | undefined>;
  /** The run that an alias names; undefined when none does. */
  runOf(alias: string): Promise<string | undefined>;
  /** All aliases of a run, sorted by code point. */
  aliases(runId: string): Promise<readonly string[]>;
  /** Events with seq > `after`, in order, at most `limit`; of the given types only when asked. */
  events(
    runId: string,
    after: number,
    limit: number,
    types?: readonly string[],
  ): Promise<readonly StoredEvent[]>;
  list(query: ListQuery): Promise<RunPage>;
  /** Rows that may be claimed at `nowMs`: offered and due, or leased and run out. Oldest due first. */
  due(query: DueQuery): Promise<readonly WorkRow[]>;
  /** When the next row will be due or its lease run out; undefined when nothing waits. */
  nextDueMs(queues: readonly string[]): Promise<number | undefined>;
  /** One queue, as it stands at `nowMs`: whether work that could be done is being done. */
  standing(queue: string, nowMs: number): Promise<QueueStanding>;
  /** Who holds leases in this queue, also such as have run out: each worker once. Costs by workers, not by runs. */
  holders(queue: string): Promise<readonly Holder[]>;
  /** Rows of this queue that are leased to a worker, at most `limit`. */
  heldBy(queue: string, worker: string, limit: number): Promise<readonly WorkRow[]>;
  work(runId: string): Promise<readonly WorkRow[]>;
  /**
   * Prolongs a lease, also one that has run out and that nobody took; never shortens it. False: it is not held under
   * this epoch any more.
   */
  renew(runId: string, node: string, epoch: number, untilMs: number): Promise<boolean>;
  /** Forgets a run entirely. False: there was none. */
  remove(runId: string): Promise<boolean>;
  /** Calls back after commits. Returns how to stop. */
  subscribe(listener: ChangeListener): () => void;
  /** What the database itself finds wrong: damage, rows without their run. Empty when it is sound. Reads everything. */
  integrity?(): Promise<readonly string[]>;
  close(): Promise<void>;
}
