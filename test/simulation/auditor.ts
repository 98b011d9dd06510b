/**
 * Watches the world and says what must never be: the invariants of ARCHITECTURE.md, asserted at every commit, every
 * answer and every effect. It knows what the store really holds and what the machine really did, which no process does.
 */
import assert from 'node:assert/strict';
import type { Executed } from '../../src/engine/engine.ts';
import { sha256 } from '../../src/engine/system.ts';
import { expectedWork } from '../../src/engine/work-changes.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { chainHash, eventBody, genesisHash } from '../../src/model/chain.ts';
import type { NodeWork } from '../../src/engine/executor.ts';
import type { RecordedEvent, RunEvent } from '../../src/model/events.ts';
import { evolve } from '../../src/model/evolve.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/model/snapshot.ts';
import { emptyState, isTicking, leaseOwner, type RunState } from '../../src/model/state.ts';
import { isTerminal } from '../../src/model/transitions.ts';
import { headOf } from '../../src/store/run-head.ts';
import type { Commit, CommitResult } from '../../src/store/run-store.ts';
import { Ledger } from '../model/ledger.ts';
import type { Hosts } from './hosts.ts';
import type { LedgerEntry, Machine } from './machine.ts';
import type { MemoryBlobs } from './memory-blobs.ts';
import type { MemoryDb } from './memory-store.ts';

/** What was found to be wrong; `rule` names the invariant. */
export class Violation extends Error {
  readonly rule: string;
  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`);
    this.rule = rule;
  }
}

interface Audited {
  /** An independent reading of the events; it asserts I2 and I4 to I8 as they come. */
  readonly ledger: Ledger;
  /** The fold of what is stored, from its texts (I3). */
  state: RunState;
  hash: string;
  createdAtMs: number;
  /** Events by the key of the effect they speak of. */
  readonly intents: Map<string, Intent>;
  /** Words that clients marked their commands with. */
  readonly marks: Set<string>;
  /** Nodes with an unknown outcome that nobody has looked at since. */
  readonly unknown: Set<string>;
  isOver: boolean;
  /** Who wrote each event. */
  readonly writers: string[];
  /** Whose commits met a conflict: what they had built on them comes later, and meets one too. */
  readonly overtaken: Set<string>;
}

interface Intent {
  readonly node: string;
  readonly attempt: number;
  readonly hasEffect: boolean;
  outcome: string | undefined;
}

/** Whoever commits, as far as the auditor must know it. */
interface Writer {
  readonly name: string;
  /** Something went wrong with it, or it was made to forget: it may not know what it did. */
  readonly hasFaults: boolean;
}

export class Auditor {
  checks = 0;
  readonly #db: MemoryDb;
  readonly #blobs: MemoryBlobs;
  readonly #runs = new Map<string, Audited>();
  readonly #hosts: Hosts;
  #machine: Machine | undefined;
  violation: Violation | undefined;

  constructor(db: MemoryDb, blobs: MemoryBlobs, hosts: Hosts) {
    this.#hosts = hosts;
    this.#db = db;
    this.#blobs = blobs;
  }

  watch(machine: Machine): void {
    this.#machine = machine;
  }

  /** Carries out a check; the first that fails is kept, whoever catches it. */
  guard(rule: string, check: () => void): void {
    if (this.violation !== undefined) return;
    try {
      check();
    } catch (error) {
      const text = (error as Error).message;
      const named = /^(I\d+(?:,? ?I\d+)*)/.exec(text)?.[1];
      this.violation = error instanceof Violation ? error : new Violation(named ?? rule, text);
      this.violation.stack = (error as Error).stack ?? '';
    }
  }

  stateOf(runId: string): RunState | undefined {
    return this.#runs.get(runId)?.state;
  }

  get runIds(): string[] {
    return [...this.#runs.keys()];
  }

  /** Writes commits into the store and looks at what that made of it. */
  commit(writer: Writer, commits: readonly Commit[]): readonly CommitResult[] {
    const leases = new Map(commits.map(({ runId }) => [runId, this.#leases(runId)]));
    const results = this.#db.commit(commits);
    // The store is as the last commit of each run has left it: only then can it be compared.
    const last = new Map(commits.flatMap(({ runId }, at) => (results[at] === 'ok' ? [[runId, at]] : [])));
    commits.forEach((commit, at) => {
      if (results[at] === 'conflict') this.guard('I3', () => this.#conflicts(writer, commit));
      if (results[at] !== 'ok') return;
      this.guard('I3', () => {
        this.#written(writer, commit, leases.get(commit.runId) ?? new Map());
        if (last.get(commit.runId) === at) this.#agrees(commit.runId);
      });
    });
    return results;
  }

  /** I1: what was answered with success is in the store, word for word. */
  acknowledged(runId: string, { events, state }: Executed): void {
    this.guard('I1', () => {
      const stored = this.#db.runs.get(runId)?.events ?? [];
      for (const recorded of events) {
        const found = stored[recorded.seq - 1];
        assert.ok(
          found !== undefined,
          `I1: event ${recorded.seq} of ${runId} was acknowledged and is not stored`,
        );
        const body = eventBody(recorded);
        if (!found.body.includes('"spilled"'))
          assert.equal(found.body, body, `I1: event ${recorded.seq} of ${runId}`);
        this.checks += 1;
      }
      // I3: the state in memory is the fold, as soon as nothing more is on its way.
      const audited = this.#runs.get(runId);
      const last = events.at(-1);
      if (last === undefined || audited === undefined) return;
      if (state.version !== audited.state.version || audited.state.version !== last.seq) return;
      assert.equal(
        inOrder(encodeSnapshot(state)),
        inOrder(encodeSnapshot(audited.state)),
        `I3: state of ${runId} in memory`,
      );
      this.checks += 1;
    });
  }

  /** A refusal has changed nothing. */
  refused(runId: string, mark: string): void {
    this.guard('I1', () => {
      assert.ok(!this.#runs.get(runId)?.marks.has(mark), `I1: ${mark} was refused and is on record`);
      this.checks += 1;
    });
  }

  /** I5, I8: an effect begins after its intent is stored, once, and before its end is. */
  begins({ runId, effectKey, nodeId, attempt }: NodeWork): void {
    this.guard('I5', () => {
      const intent = this.#runs.get(runId)?.intents.get(effectKey);
      assert.ok(intent !== undefined, `I5: ${effectKey} begins and its intent is not stored`);
      assert.deepEqual([intent.node, intent.attempt], [nodeId, attempt], 'I5: the intent is about this work');
      assert.equal(
        intent.outcome,
        undefined,
        `I5: ${effectKey} begins after it was recorded as ${intent.outcome}`,
      );
      const entry = this.#machine?.ledger.get(effectKey);
      assert.equal(entry?.starts ?? 0, 0, `I5: ${effectKey} begins a second time`);
      for (const [key, other] of this.#machine?.ledger ?? []) {
        const runs = key !== effectKey && other.runId === runId && other.node === nodeId && other.starts > 0;
        assert.ok(!runs || other.end !== undefined, `I4: ${effectKey} begins while ${key} still runs`);
      }
      this.checks += 4;
    });
  }

  /** I5: an executor may forget an effect only once its end is stored. */
  forgets(effectKey: string): void {
    this.guard('I5', () => {
      const runId = this.#machine?.ledger.get(effectKey)?.runId;
      if (runId === undefined) return;
      const intent = this.#runs.get(runId)?.intents.get(effectKey);
      assert.ok(intent?.outcome !== undefined, `I5: ${effectKey} is forgotten before its end is on record`);
      this.checks += 1;
    });
  }

  /**
   * I3: a process knows what it did itself. Its commit meets a conflict only when somebody else has written since the
   * events that it builds on, or holds the lease that it takes.
   */
  #conflicts({ name, hasFaults }: Writer, { runId, expectedVersion, expectedHash, work }: Commit): void {
    const run = this.#runs.get(runId);
    if (run === undefined || hasFaults || run.overtaken.has(name)) return;
    run.overtaken.add(name);
    const built = this.#db.runs.get(runId)?.events[expectedVersion - 1]?.hash;
    if (expectedVersion > 0 && built !== expectedHash) return;
    const since = run.writers.slice(expectedVersion);
    const held = this.#db.work(runId).filter(({ worker, node }) => {
      return worker === name && work.some((change) => change.op === 'lease' && change.node === node);
    });
    const isOwn = since.length === 0 ? held.length > 0 : since.every((writer) => writer === name);
    assert.ok(!isOwn, `I3: ${name} is in conflict with itself over ${runId}`);
    this.checks += 1;
  }

  #written(writer: Writer, commit: Commit, leases: Map<string, number>): void {
    const { runId } = commit;
    const run = this.#runs.get(runId) ?? newRun(runId);
    this.#runs.set(runId, run);
    let snapshot = '{}';
    for (const { seq, atMs, type, body, hash } of commit.events) {
      run.hash = chainHash(run.hash, body, sha256); // I2
      assert.equal(hash, run.hash, `I2: event ${seq} of ${runId} does not follow its predecessor`);
      const parsed = JSON.parse(body) as { at: number; seq: number; event: RunEvent; spilled?: string };
      assert.deepEqual(
        [parsed.seq, parsed.at, parsed.event.type],
        [seq, atMs, type],
        'I2: a row says what its text says',
      );
      const recorded = { seq, atMs, event: this.#payload(parsed) };
      if (seq === 1) run.createdAtMs = atMs;
      run.writers.push(writer.name);
      const isOvertaken = overtakes(recorded.event, commit);
      if (!isOvertaken) this.#fenced(writer, run, recorded, leases);
      this.#billed(run, recorded, leases);
      run.ledger.accept(structuredClone(recorded));
      this.#honest(run, recorded, isOvertaken);
      this.#looked(run, recorded.event);
      const { used, lastAtMs } = run.state;
      evolve(run.state, recorded);
      this.#added(run.state, recorded.event, used.wallMs, lastAtMs);
      this.checks += 6;
      // Two commits of one run may have become one, and the snapshot be of the first.
      if (seq === commit.snapshot?.version) snapshot = encodeSnapshot(run.state);
    }
    run.state.fresh.length = 0;
    if (commit.snapshot !== undefined) {
      const { body } = commit.snapshot;
      assert.equal(inOrder(body), inOrder(snapshot), 'I3: a snapshot is what the events up to it make');
      const read = decodeSnapshot(body);
      assert.ok(read !== undefined, 'I3: the snapshot can be read');
      assert.equal(
        inOrder(encodeSnapshot(read)),
        inOrder(body),
        'I3: a snapshot that is read is what was written',
      );
    }
    const isOver = isTerminal(run.state.standing);
    assert.ok(isOver || !run.isOver, `I6: ${runId} was over`);
    run.isOver = isOver;
  }

  #payload(parsed: { event: RunEvent; spilled?: string }): RunEvent {
    if (parsed.spilled === undefined) return parsed.event;
    const bytes = this.#blobs.stored.get(parsed.spilled);
    assert.ok(bytes !== undefined, 'I1: a committed event names a payload that is not there');
    return JSON.parse(new TextDecoder().decode(bytes)) as RunEvent;
  }

  /** I3: what the store keeps beside the events is what the events make. */
  #agrees(runId: string): void {
    const stored = this.#db.runs.get(runId);
    const audited = this.#runs.get(runId);
    assert.ok(stored !== undefined && audited !== undefined);
    const { state, hash, createdAtMs, ledger } = audited;
    assert.equal(stored.events.length, state.version, 'I2: as many events as the last one says');
    assert.deepEqual(stored.head, headOf(state, hash, createdAtMs), 'I3: the head');
    assert.deepEqual(rows(this.#db.work(runId)), rows(expectedWork(state)), 'I3: the work rows');
    ledger.compare(state);
    for (const key of ['steps', 'retries'] as const) {
      const limit = state.limits[key] ?? 0;
      assert.ok(limit === 0 || state.used[key] + state.reserved[key] <= limit, `I7: ${key} of ${runId}`);
    }
    for (const [key, value] of Object.entries(state.used))
      assert.ok(Number.isSafeInteger(value) && value >= 0, `I7: used ${key} is ${value}`);
    this.checks += 5;
  }

  /** I4: what belongs to an attempt is written by who holds its lease. */
  #fenced(
    writer: Writer,
    { state }: Audited,
    { atMs, event }: RecordedEvent,
    leases: Map<string, number>,
  ): void {
    let holder: string | undefined;
    switch (event.type) {
      case 'attempt_started':
        holder = event.lease?.worker ?? this.#holder(state, event.node);
        break;
      case 'usage_charged':
      case 'attempt_ended':
        if (state.nodes.get(event.node)?.state === 'canceled') return; // a leftover: whoever stops it says so
        holder = this.#holder(state, event.node);
        break;
      case 'node_released':
        if (event.cause === 'expired') return this.#expired(writer, state, atMs, event, leases);
        holder = event.lease.worker;
        break;
      default:
        return;
    }
    assert.equal(
      holder,
      writer.name,
      `I4: ${event.type} of '${'node' in event ? event.node : ''}' is written by who holds the lease`,
    );
  }

  /** I4, I7: nobody's lease ends before its time, but a dead one's; and then as of when it was last renewed. */
  #expired(
    writer: Writer,
    state: RunState,
    atMs: number,
    { node, lease, seenMs }: Extract<RunEvent, { type: 'node_released' }>,
    leases: Map<string, number>,
  ): void {
    const ttlMs = state.nodes.get(node)?.lease?.ttlMs;
    if (ttlMs === undefined) return;
    const isProven = this.#hosts.isProven(writer.name, lease.leaseId);
    assert.ok(
      isProven || atMs >= seenMs + ttlMs,
      `I4: the lease of ${lease.worker} on '${node}' ends ${seenMs + ttlMs - atMs} ms early`,
    );
    const untilMs = leases.get(node);
    assert.ok(
      untilMs === undefined || seenMs <= Math.max(0, untilMs - ttlMs),
      `I7: ${lease.worker} was seen after it last renewed its lease on '${node}'`,
    );
  }

  #holder(state: RunState, node: string): string | undefined {
    return state.nodes.get(leaseOwner(state, node))?.lease?.worker;
  }

  /** When the leases end, as the store had it before this commit. */
  #leases(runId: string): Map<string, number> {
    return new Map(
      this.#db.work(runId).flatMap(({ node, untilMs }) => (untilMs === null ? [] : [[node, untilMs]])),
    );
  }

  /** I7: time is billed only while a worker is known to be at work. */
  #billed({ state }: Audited, { atMs, event }: RecordedEvent, leases: Map<string, number>): void {
    const { rootId } = state.spec;
    // Taken in this very commit, it counts from when it is stored.
    if (event.type === 'node_assigned' || event.type === 'attempt_started') leases.delete(event.node);
    const root = state.nodes.get(rootId);
    const isWorkers =
      root?.lease !== undefined && (root.spec.kind === 'atomic' || root.spec.drive === 'plan');
    if (!isTicking(state) || !isWorkers || event.type === 'node_released') return;
    const untilMs = leases.get(rootId);
    if (untilMs === undefined) return;
    assert.ok(
      atMs <= Math.max(untilMs, state.lastAtMs),
      `I7: ${atMs - untilMs} ms after its worker's lease are billed to ${state.id}`,
    );
  }

  /** I5: what is recorded of an effect is what became of it. */
  #honest(run: Audited, { event }: RecordedEvent, isOvertaken: boolean): void {
    if ('by' in event && event.by !== undefined) run.marks.add(event.by);
    if (event.type === 'attempt_started') {
      const { node, attempt, effectKey, executor } = event;
      assert.ok(!run.intents.has(effectKey), `I5: ${effectKey} is used twice`);
      run.intents.set(effectKey, { node, attempt, hasEffect: executor !== null, outcome: undefined });
      return;
    }
    if (event.type !== 'attempt_ended') return;
    for (const [key, intent] of run.intents) {
      if (intent.node !== event.node || intent.attempt !== event.attempt) continue;
      intent.outcome = event.outcome;
      // The word of whoever settles stands for the executor's, which is still to come.
      if (intent.hasEffect && !isOvertaken) truth(key, event, this.#machine?.ledger.get(key));
    }
  }

  /** I5, I8: what may not be rerun waits for a person, and so does a run with open decisions. */
  #looked({ state, ledger, unknown }: Audited, event: RunEvent): void {
    if (event.type === 'attempt_ended' && event.outcome === 'unknown') {
      const node = state.nodes.get(event.node);
      if (node?.spec.onInterrupt !== 'rerun' && node?.state !== 'canceled') unknown.add(event.node);
    } else if (event.type === 'attempt_started') {
      assert.ok(
        !unknown.has(event.node),
        `I5: ${event.node} is started again, and nobody has looked what became of it`,
      );
    } else if (event.type === 'phase_changed' && event.to.phase === 'running') {
      unknown.clear();
      for (const [seq, { approved }] of ledger.decisions)
        assert.ok(approved, `I8: a run goes on and cp_${seq} is open`);
    }
  }

  /** I7: an end names what the run has used, a worker's death bills nothing, and who resumes gives new retries. */
  #added(
    { used, ready, nodes }: RunState,
    event: RunEvent,
    wallBeforeMs: number,
    lastBeforeMs: number,
  ): void {
    if (event.type === 'node_released' && event.cause === 'expired')
      assert.ok(
        used.wallMs - wallBeforeMs <= Math.max(0, event.seenMs - lastBeforeMs),
        'I7: time after the last sign of life is billed',
      );
    if (event.type === 'phase_changed' && event.from.phase === 'held' && event.to.phase === 'running')
      for (const id of ready.keys())
        assert.equal(nodes.get(id)?.failures, 0, `a resume gives ${id} its retries again`);
    if (event.type !== 'attempt_ended') return;
    for (const key of ['steps', 'retries', 'toolCalls', 'tokens', 'costMicros'] as const)
      assert.equal(event.total[key], used[key], `I7: the total of ${key}`);
  }

  /** At the end: nothing that happened is lost, nothing that is recorded is more than happened. */
  settled(): void {
    this.guard('I5', () => {
      for (const [key, { runId, starts, end }] of this.#machine?.ledger ?? []) {
        const intent = this.#runs.get(runId)?.intents.get(key);
        assert.ok(starts <= 1, `I5: ${key} happened ${starts} times`);
        if (starts === 0) continue;
        assert.ok(intent?.outcome !== undefined, `I5: ${key} happened and how it ended is not on record`);
        assert.ok(end !== undefined, `I5: ${key} still runs and is recorded as ${intent.outcome}`);
      }
      for (const [runId, { state, hash }] of this.#runs) {
        const stored = this.#db.runs.get(runId);
        let chain = genesisHash(runId, sha256);
        for (const { body } of stored?.events ?? []) chain = chainHash(chain, body, sha256);
        assert.equal(chain, hash, `I1: the events of ${runId} are still there`);
        const snapshot = stored?.snapshot;
        if (snapshot !== undefined)
          assert.ok(decodeSnapshot(snapshot.body) !== undefined, 'I3: the snapshot can be read');
        assert.equal(state.live.size, 0, `I5: ${runId} has attempts without an end`);
      }
    });
  }
}

/** Who settles a composite before its worker has heard that it was accepted, records that as well. */
function overtakes(event: RunEvent, { events }: Commit): boolean {
  if (event.type !== 'attempt_ended' || event.outcome !== 'accepted') return false;
  const node = JSON.stringify(event.node);
  return events.some(({ type, body }) => type === 'node_settled' && body.includes(`"node":${node}`));
}

function newRun(runId: string): Audited {
  return {
    ledger: new Ledger(),
    state: emptyState(runId),
    hash: genesisHash(runId, sha256),
    createdAtMs: 0,
    intents: new Map(),
    marks: new Set(),
    unknown: new Set(),
    isOver: false,
    writers: [],
    overtaken: new Set(),
  };
}

function truth(
  key: string,
  { outcome, error }: Extract<RunEvent, { type: 'attempt_ended' }>,
  entry: LedgerEntry | undefined,
): void {
  const starts = entry?.starts ?? 0;
  const end = entry?.end;
  if (outcome === 'not_started') {
    assert.equal(starts, 0, `I5: ${key} is recorded as not started, and it happened`);
    return;
  }
  if (outcome === 'failed' && starts === 0) {
    assert.ok(error !== undefined, `I5: ${key} failed without a reason`);
    return;
  }
  assert.equal(starts, 1, `I5: ${key} is recorded as ${outcome} and did not happen`);
  if (outcome === 'unknown') {
    assert.equal(end, 'lost', `I5: ${key} is recorded as unknown, and the executor knows: ${end}`);
    return;
  }
  const asked = outcome === 'over_budget' && end === 'timed_out'; // its time limit was what the budget had left
  const unasked = outcome === 'failed' && end === 'canceled'; // nobody here had asked for it
  assert.ok(end === outcome || asked || unasked, `I5: ${key} is recorded as ${outcome} and ended as ${end}`);
}

interface Row {
  readonly node: string;
  readonly state: string;
  readonly epoch: number;
  readonly worker: string | null;
  readonly leaseId: string | null;
}

function rows(list: readonly Row[]): unknown {
  return list
    .map(({ node, state, epoch, worker, leaseId }) =>
      state === 'leased' ? { node, state, epoch, worker, leaseId } : { node, state },
    )
    .toSorted((a, b) => (a.node < b.node ? -1 : 1));
}

/** A snapshot, whatever order its tables were written in. */
function inOrder(body: string): string {
  const { nodes, settled, ready, live, open, dependents, decisions, ...rest } = JSON.parse(body) as Record<
    string,
    unknown[]
  >;
  const sorted = (list: unknown[] | undefined): string[] =>
    (list ?? []).map((item) => canonicalJson(item)).toSorted();
  const fours = (settled ?? []).flatMap((_, at, all) => (at % 4 === 0 ? [all.slice(at, at + 4)] : []));
  return canonicalJson([rest, ...[nodes, fours, ready, live, open, dependents, decisions].map(sorted)]);
}
