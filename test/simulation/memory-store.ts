/** A run store in memory. The database outlives its handles: a handle is what a process has of it. */
import { changeOf } from '../../src/store/change.ts';
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
} from '../../src/store/run-store.ts';
import { ReeveError } from '../../src/model/errors.ts';

interface StoredRun {
  readonly no: number;
  head: RunHead;
  readonly events: StoredEvent[];
  snapshot: Snapshot | undefined;
  readonly work: Map<string, WorkRow>;
}

/** Called after each commit that was written. */
type Listener = (runId: string, queue: string | null) => void;

export class MemoryDb {
  readonly runs = new Map<string, StoredRun>();
  /** Alias → run. */
  readonly names = new Map<string, string>();
  readonly listeners = new Set<Listener>();
  #last = 0;

  commit(commits: readonly Commit[]): readonly CommitResult[] {
    for (const commit of commits) checkTexts(commit);
    const results = commits.map((commit): CommitResult => this.#commitOne(commit));
    results.forEach((result, at) => {
      const commit = commits[at];
      if (result !== 'ok' || commit === undefined) return;
      const { runId, queue } = changeOf(commit);
      for (const listener of this.listeners) listener(runId, queue);
    });
    return results;
  }

  load(runId: string): LoadedRun | undefined {
    const run = this.runs.get(runId);
    if (run === undefined) return undefined;
    return { head: run.head, snapshot: run.snapshot, tail: run.events.slice(run.snapshot?.version ?? 0) };
  }

  events(runId: string, after: number, limit: number, types?: readonly string[]): readonly StoredEvent[] {
    const rest = this.runs.get(runId)?.events.slice(after) ?? [];
    return (types === undefined ? rest : rest.filter(({ type }) => types.includes(type))).slice(0, limit);
  }

  list({ tenant, phases, holds, limit, after }: ListQuery): RunPage {
    const found = [...this.runs.values()]
      .filter(
        ({ no, head }) =>
          (tenant === undefined || head.tenant === tenant) &&
          (phases === undefined || phases.includes(head.phase)) &&
          (holds === undefined || (head.hold !== null && holds.includes(head.hold))) &&
          (after === undefined || compare([head.createdAtMs, no], [after.createdAtMs, after.no]) < 0),
      )
      .toSorted((a, b) => compare([b.head.createdAtMs, b.no], [a.head.createdAtMs, a.no]))
      .slice(0, limit);
    const last = found.length === limit ? found.at(-1) : undefined;
    return {
      runs: found.map(({ head }) => head),
      ...(last === undefined ? {} : { next: { createdAtMs: last.head.createdAtMs, no: last.no } }),
    };
  }

  due({ nowMs, limit, queues }: DueQuery): readonly WorkRow[] {
    return this.#claimable(queues)
      .filter(({ dueMs }) => dueMs <= nowMs)
      .toSorted((a, b) => a.dueMs - b.dueMs)
      .slice(0, limit);
  }

  nextDueMs(queues: readonly string[]): number | undefined {
    const times = this.#claimable(queues).map(({ dueMs }) => dueMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  standing(queue: string, nowMs: number): QueueStanding {
    const rows = this.#claimable([queue]);
    const due = rows.filter(({ dueMs }) => dueMs <= nowMs).map(({ dueMs }) => dueMs);
    return {
      runnable: due.length,
      oldestDueMs: due.length === 0 ? undefined : Math.min(...due),
      leased: rows.filter(({ dueMs, state }) => dueMs > nowMs && state === 'leased').length,
    };
  }

  holders(queue: string): readonly Holder[] {
    const held = new Map<string, string>();
    for (const { state, worker, leaseId } of this.#claimable([queue]))
      if (state === 'leased') held.set(worker ?? '', leaseId ?? '');
    return [...held].map(([worker, leaseId]) => ({ worker, leaseId }));
  }

  heldBy(queue: string, worker: string, limit: number): readonly WorkRow[] {
    const rows = this.#claimable([queue]).filter((row) => row.state === 'leased' && row.worker === worker);
    return rows.slice(0, limit);
  }

  work(runId: string): readonly WorkRow[] {
    return [...(this.runs.get(runId)?.work.values() ?? [])].toSorted((a, b) => (a.node < b.node ? -1 : 1));
  }

  renew(runId: string, node: string, epoch: number, untilMs: number): boolean {
    const run = this.runs.get(runId);
    const row = run?.work.get(node);
    if (run === undefined || row?.state !== 'leased' || row.epoch !== epoch) return false;
    const later = Math.max(row.dueMs, untilMs);
    run.work.set(node, { ...row, dueMs: later, untilMs: later });
    return true;
  }

  remove(runId: string): boolean {
    if (!this.runs.delete(runId)) return false;
    for (const alias of this.aliases(runId)) this.names.delete(alias);
    for (const listener of this.listeners) listener(runId, null);
    return true;
  }

  aliases(runId: string): readonly string[] {
    return [...this.names]
      .filter(([, owner]) => owner === runId)
      .map(([alias]) => alias)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  #claimable(queues: readonly string[]): WorkRow[] {
    const rows: WorkRow[] = [];
    for (const { work } of this.runs.values())
      for (const row of work.values())
        if (row.state !== 'parked' && queues.includes(row.queue)) rows.push(row);
    return rows;
  }

  #commitOne(commit: Commit): CommitResult {
    const { runId, expectedVersion, expectedHash, events, head, work, snapshot, aliases } = commit;
    let run = this.runs.get(runId);
    if ((run === undefined) !== (expectedVersion === 0)) return 'conflict';
    if (run !== undefined && (run.head.version !== expectedVersion || run.head.hash !== expectedHash))
      return 'conflict';
    const isHeld = (change: WorkChange): boolean => {
      const row = change.op === 'lease' ? run?.work.get(change.node) : undefined;
      return change.op === 'lease' && row?.state === 'leased' && row.dueMs > change.nowMs;
    };
    if (work.some(isHeld)) return 'conflict';
    if (aliases?.some((alias) => (this.names.get(alias) ?? runId) !== runId)) return 'alias_taken';
    if (run === undefined) {
      run = { no: (this.#last += 1), head, events: [], snapshot: undefined, work: new Map() };
      this.runs.set(runId, run);
    }
    const { tenant, name, queue, createdAtMs } = run.head;
    run.head = events.length === 0 ? { ...head } : { ...head, tenant, name, queue, createdAtMs };
    run.events.push(...events);
    if (snapshot !== undefined) run.snapshot = snapshot;
    if (aliases !== undefined && events.length === 0)
      for (const alias of this.aliases(runId)) this.names.delete(alias);
    for (const alias of aliases ?? []) this.names.set(alias, runId);
    for (const change of work) changeWork(run, change);
    return 'ok';
  }
}

function changeWork({ head, work }: StoredRun, change: WorkChange): void {
  const free = { queue: head.queue, worker: null, leaseId: null, untilMs: null, runId: head.id };
  const stateOf = (parked: boolean): WorkRow['state'] => (parked ? 'parked' : 'offered');
  switch (change.op) {
    case 'offer': {
      const { node, dueMs, parked } = change;
      const row = work.get(node);
      if (row?.state !== 'leased')
        work.set(node, { ...free, node, dueMs, state: stateOf(parked), epoch: row?.epoch ?? 0 });
      return;
    }
    case 'lease': {
      const { node, untilMs, epoch, worker, leaseId } = change;
      work.set(node, { ...free, node, dueMs: untilMs, state: 'leased', epoch, worker, leaseId, untilMs });
      return;
    }
    case 'unlease': {
      const { node, dueMs, parked } = change;
      const row = work.get(node);
      if (row !== undefined) work.set(node, { ...row, ...free, dueMs, state: stateOf(parked) });
      return;
    }
    case 'park':
      for (const row of work.values())
        if (row.state !== 'leased') work.set(row.node, { ...row, state: stateOf(change.parked) });
      return;
    case 'drop':
      work.delete(change.node);
      return;
    case 'clear':
      work.clear();
      return;
  }
}

/** One process's handle. Answers come at once; `SimProcess` is what makes them late, lost or wrong. */
export class MemoryRunStore implements RunStore {
  readonly #db: MemoryDb;
  readonly #subscribed = new Set<Listener>();
  #isClosed = false;

  constructor(db: MemoryDb) {
    this.#db = db;
  }

  async commit(commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    return this.#open().commit(commits);
  }
  async head(runId: string): Promise<RunHead | undefined> {
    return this.#open().runs.get(runId)?.head;
  }
  async load(runId: string): Promise<LoadedRun | undefined> {
    return this.#open().load(runId);
  }
  async events(...query: Parameters<RunStore['events']>): Promise<readonly StoredEvent[]> {
    return this.#open().events(...query);
  }
  async runOf(alias: string): Promise<string | undefined> {
    return this.#open().names.get(alias);
  }
  async aliases(runId: string): Promise<readonly string[]> {
    return this.#open().aliases(runId);
  }
  async list(query: ListQuery): Promise<RunPage> {
    return this.#open().list(query);
  }
  async due(query: DueQuery): Promise<readonly WorkRow[]> {
    return this.#open().due(query);
  }
  async nextDueMs(queues: readonly string[]): Promise<number | undefined> {
    return this.#open().nextDueMs(queues);
  }
  async standing(queue: string, nowMs: number): Promise<QueueStanding> {
    return this.#open().standing(queue, nowMs);
  }
  async holders(queue: string): Promise<readonly Holder[]> {
    return this.#open().holders(queue);
  }
  async heldBy(...query: Parameters<RunStore['heldBy']>): Promise<readonly WorkRow[]> {
    return this.#open().heldBy(...query);
  }
  async work(runId: string): Promise<readonly WorkRow[]> {
    return this.#open().work(runId);
  }
  async renew(...lease: Parameters<RunStore['renew']>): Promise<boolean> {
    return this.#open().renew(...lease);
  }
  async remove(runId: string): Promise<boolean> {
    return this.#open().remove(runId);
  }
  subscribe(listener: ChangeListener): () => void {
    const entry: Listener = (runId, queue) => listener(runId, queue);
    this.#subscribed.add(entry);
    this.#db.listeners.add(entry);
    return () => {
      this.#subscribed.delete(entry);
      this.#db.listeners.delete(entry);
    };
  }
  close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#subscribed) this.#db.listeners.delete(entry);
    return Promise.resolve();
  }

  #open(): MemoryDb {
    if (this.#isClosed) throw new ReeveError('E_STORE_UNAVAILABLE', 'the store was closed');
    return this.#db;
  }
}

function checkTexts({ runId, head, events, work, snapshot, aliases = [] }: Commit): void {
  const ofWork = work.flatMap((change) => [
    ...('node' in change ? [change.node] : []),
    ...(change.op === 'lease' ? [change.worker, change.leaseId] : []),
  ]);
  const ofEvents = events.flatMap(({ body, type }) => [body, type]);
  const texts = [
    runId,
    head.tenant,
    head.name,
    head.queue,
    ...ofEvents,
    ...ofWork,
    ...aliases,
    snapshot?.body ?? '',
  ];
  if (texts.some((text) => text.includes('\0'))) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'a text has a NUL character');
  }
}

function compare([a, b]: readonly [number, number], [c, d]: readonly [number, number]): number {
  return a === c ? b - d : a - c;
}
