/**
 * A second, independent reading of a run's events. It keeps its own books by the words of DESIGN §5 and never looks at
 * how `evolve` does it: tables are recomputed from the whole history, slowly. Invariants are asserted as events come.
 */
import assert from 'node:assert/strict';
import type { RecordedEvent, RunEvent } from '../../src/model/events.ts';
import type { AttemptOutcome, NodeSpec, SettledState } from '../../src/model/node.ts';
import type { Limits } from '../../src/model/budget.ts';
import type { RunState } from '../../src/model/state.ts';
import { isTerminal, mayChange, type Standing } from '../../src/model/transitions.ts';
import { USAGE_KEYS, type Usage, type UsageKey } from '../../src/model/usage.ts';

type Sums = Record<UsageKey, number>;

interface Entry {
  readonly spec: NodeSpec;
  readonly parent: string | undefined;
  settled?: SettledState;
  /** Its composite ended while an attempt was live. */
  leftover: boolean;
  handedOver?: boolean;
  live?: { attempt: number; reserved: Usage; charged: Sums };
  outcomes: AttemptOutcome[];
  attempts: number;
  lease: boolean;
  epoch: number;
  gate?: number;
}

interface Opened {
  readonly event: Extract<RunEvent, { type: 'checkpoint_emitted' }>;
  approved: boolean;
}

/** What may still be recorded about a run that is over (I6): how its leftovers ended, and words about it. */
const AFTER_THE_END: readonly RunEvent['type'][] = [
  'node_released',
  'attempt_ended',
  'usage_charged',
  'approval_recorded',
  'fact_recorded',
];

export class Ledger {
  readonly entries = new Map<string, Entry>();
  readonly decisions = new Map<number, Opened>();
  standing: Standing = { phase: 'queued' };
  limits: Limits = {};
  used = zero();
  reserved = zero();
  seq = 0;
  atMs = 0;
  rootId = '';
  approvalForAll = false;

  accept(recorded: RecordedEvent): void {
    const { seq, atMs, event } = recorded;
    assert.equal(seq, this.seq + 1, 'I2: seq counts 1..n');
    assert.ok(atMs >= this.atMs, 'time never goes back');
    if (isTerminal(this.standing)) assert.ok(AFTER_THE_END.includes(event.type), 'I6');
    this.seq = seq;
    this.atMs = atMs;
    this.#apply(event, seq);
  }

  #apply(event: RunEvent, seq: number): void {
    switch (event.type) {
      case 'run_created': {
        const { root, nodes, limits, constraints } = event.spec;
        this.rootId = root.id;
        this.limits = limits;
        this.approvalForAll = constraints?.requireApproval === true;
        this.#add(root, undefined);
        for (const node of nodes) this.#add(node, root.id);
        return;
      }
      case 'nodes_added':
        for (const node of event.nodes) this.#add(node, event.parent);
        return;
      case 'phase_changed':
        assert.deepEqual(event.from, this.standing, 'a change starts from the standing');
        assert.equal(
          mayChange(event.from, event.to),
          true,
          `${JSON.stringify(event.from)} → ${JSON.stringify(event.to)}`,
        );
        this.standing = event.to;
        if (event.to.phase === 'canceled' || event.to.phase === 'failed')
          this.#settle(this.rootId, 'canceled');
        return;
      case 'node_assigned': {
        const entry = this.#get(event.node);
        assert.equal(entry.lease, false, 'I4: a lease is taken when it is free');
        assert.equal(event.lease.epoch, entry.epoch + 1, 'I4: each lease has a new epoch');
        entry.lease = true;
        entry.epoch = event.lease.epoch;
        return;
      }
      case 'node_released':
        assert.equal(this.#get(event.node).epoch, event.lease.epoch);
        if (isTerminal(this.standing)) assert.equal(event.node, this.rootId, 'the last holder lets go');
        assert.ok(this.#get(event.node).lease, 'a lease is let go once');
        this.#get(event.node).lease = false;
        return;
      case 'attempt_started':
        this.#start(event);
        return;
      case 'usage_charged': {
        const live = this.#live(event.node, event.attempt);
        add(live.charged, event.usage);
        add(this.used, event.usage);
        return;
      }
      case 'attempt_ended': {
        const live = this.#live(event.node, event.attempt); // I5: what ended was started
        const entry = this.#get(event.node);
        delete entry.live;
        entry.outcomes.push(event.outcome);
        add(this.reserved, live.reserved, -1);
        for (const key of USAGE_KEYS) {
          assert.ok(
            event.usage[key] >= live.charged[key],
            `an attempt uses no less than was charged (${key})`,
          );
          this.used[key] += event.usage[key] - live.charged[key];
        }
        const { next } = event;
        if (next.state === 'running') {
          assert.ok(isExternal(entry.spec), 'only what is settled from outside is handed over');
          assert.equal(event.outcome, 'accepted');
        }
        const goesOn = next.state === 'queued' || next.state === 'running';
        if (entry.leftover || !goesOn) {
          const settled = entry.leftover || goesOn ? 'canceled' : next.state;
          entry.leftover = false;
          this.#settle(event.node, settled);
        } else {
          entry.handedOver = next.state === 'running';
          if (this.#owner(event.node) === event.node) entry.lease = false;
        }
        return;
      }
      case 'node_settled':
        this.#settle(event.node, event.state);
        return;
      case 'checkpoint_emitted':
        assert.equal(isTerminal(this.standing), false, 'W31');
        if (event.checkpoint !== 'decision-needed') return;
        assert.match(event.binds ?? '', /^[0-9a-f]{64}$/, 'I8: a decision binds something');
        this.decisions.set(seq, { event, approved: false });
        if (event.blocks === 'node' && event.node !== undefined) this.#get(event.node).gate = seq;
        return;
      case 'approval_recorded': {
        const decision = this.decisions.get(event.checkpoint);
        assert.equal(decision?.event.binds, event.binds, 'I8: an approval is of exactly that decision');
        if (decision !== undefined) decision.approved = true;
        return;
      }
      case 'limits_raised':
        for (const key of USAGE_KEYS) {
          const before = this.limits[key] ?? 0;
          const after = event.limits[key];
          if (after !== undefined && after !== 0)
            assert.ok(before > 0 && after >= before, 'limits only rise');
        }
        this.limits = { ...this.limits, ...event.limits };
        return;
      default:
        return;
    }
  }

  #start(event: Extract<RunEvent, { type: 'attempt_started' }>): void {
    const entry = this.#get(event.node);
    assert.equal(this.standing.phase, 'running', 'nothing starts unless the run is running');
    assert.equal(entry.live, undefined, 'I4: one live attempt');
    assert.equal(entry.settled, undefined, 'settled nodes do not start');
    assert.equal(entry.leftover, false);
    assert.equal(isPlan(entry.spec), false, 'a plan is not an effect');
    assert.equal(this.#isOpen(entry), false, 'what runs by itself is not started');
    assert.equal(event.attempt, entry.attempts + 1, 'I5: no attempt is skipped');
    assert.equal(entry.outcomes.length, entry.attempts, 'I5: every attempt before has its outcome on record');
    const owner = this.#get(this.#owner(event.node));
    if (event.lease !== undefined) {
      assert.equal(owner.spec.id, event.node);
      assert.equal(owner.lease, false, 'I4: a lease is taken when it is free');
      assert.equal(event.lease.epoch, owner.epoch + 1);
      owner.lease = true;
      owner.epoch = event.lease.epoch;
    }
    assert.equal(owner.lease && owner.epoch === event.epoch, true, 'I4: only under the current lease');
    const isRetry = entry.outcomes.some((outcome) => outcome !== 'not_started');
    assert.equal(event.reserved.retries, isRetry ? 1 : 0, 'a restart of what may have run is a retry');
    this.#mayStart(entry, event.argumentsHash); // I8
    entry.attempts += 1;
    entry.live = { attempt: event.attempt, reserved: event.reserved, charged: zero() };
    add(this.reserved, event.reserved);
    for (const key of USAGE_KEYS) {
      const limit = this.limits[key] ?? 0;
      if (limit > 0) assert.ok(this.used[key] + this.reserved[key] <= limit, `I7: ${key}`);
    }
  }

  /** I8, from the words: everything it comes after has succeeded, and every decision about that is approved. */
  #mayStart(entry: Entry, argumentsHash: string): void {
    for (const [seq, { event, approved }] of this.decisions) {
      if (event.blocks === 'run') assert.equal(approved, true, `cp_${seq} holds everything`);
    }
    for (
      let at: Entry | undefined = entry;
      at !== undefined;
      at = at.parent === undefined ? undefined : this.#get(at.parent)
    ) {
      for (const need of at.spec.needs ?? []) {
        assert.equal(this.#get(need).settled, 'succeeded', `${at.spec.id} needs ${need}`);
        for (const [seq, { event, approved }] of this.decisions) {
          const inside = event.node !== undefined && this.#isWithin(event.node, need);
          if (inside && event.blocks === 'dependents')
            assert.equal(approved, true, `cp_${seq} is about ${event.node}`);
        }
      }
    }
    if (entry.spec.approval !== 'before' && !this.approvalForAll) return;
    const gate = entry.gate === undefined ? undefined : this.decisions.get(entry.gate);
    assert.equal(gate?.approved, true, `${entry.spec.id} needs an approval before`);
    assert.equal(gate?.event.binds, argumentsHash, 'I8: of exactly these arguments');
  }

  /** Everything the state keeps for speed equals what the events say. */
  compare(state: RunState): void {
    assert.deepEqual(state.standing, this.standing);
    assert.deepEqual(state.limits, this.limits);
    assert.equal(state.nodeCount, this.entries.size);
    for (const key of USAGE_KEYS) {
      if (key !== 'wallMs') assert.equal(state.used[key], this.used[key], `used ${key}`);
      assert.ok(state.used[key] >= this.used[key]);
      assert.equal(state.reserved[key], this.reserved[key], `reserved ${key}`);
    }
    const open = [...this.decisions.values()].filter(({ approved }) => !approved);
    assert.equal(state.openDecisions, open.length);
    const entries = [...this.entries];
    assert.deepEqual(
      sorted(state.live.keys()),
      sorted(entries.filter(([, { live }]) => live !== undefined).map(([id]) => id)),
    );
    if (state.live.size === 0) assert.deepEqual(state.reserved, zero());
    assert.deepEqual(
      sorted(state.ready.keys()),
      sorted(entries.filter(([, entry]) => this.#isReady(entry)).map(([id]) => id)),
    );
    assert.deepEqual(
      sorted(state.open.keys()),
      sorted(entries.filter(([, entry]) => this.#isOpen(entry)).map(([id]) => id)),
    );
    for (const [id, entry] of entries) this.#compareNode(state, id, entry);
    this.#expectProgress(state);
  }

  #compareNode(state: RunState, id: string, entry: Entry): void {
    const node = state.nodes.get(id);
    const settled = state.settled.get(id);
    if (entry.settled !== undefined && !entry.leftover) {
      assert.equal(settled?.state, entry.settled, id);
      assert.equal(node, undefined, id);
      return;
    }
    assert.equal(settled, undefined, id);
    if (node === undefined) throw new Error(`${id} is neither settled nor a node`);
    assert.equal(node.attempt, entry.attempts, id);
    assert.equal(node.live?.attempt, entry.live?.attempt, id);
    assert.equal(node.epoch, entry.epoch, id);
    assert.equal(node.gate, entry.gate, id);
    if (entry.leftover) {
      assert.equal(node.state, 'canceled');
      assert.equal(node.lease !== undefined, entry.lease, `lease of ${id}, which is left over`);
      return;
    }
    assert.equal(node.lease !== undefined, entry.lease, `lease of ${id}`);
    assert.equal(node.waiting, this.#waiting(entry), `waiting of ${id}`);
    const children = [...this.entries.values()].filter(({ parent }) => parent === id);
    assert.equal(node.children, children.length);
    assert.equal(
      node.childrenSettled,
      children.filter((child) => child.settled !== undefined).length,
      `settled below ${id}`,
    );
    assert.equal(
      node.childrenFailed,
      children.filter((child) => child.settled === 'failed' || child.settled === 'canceled').length,
      `failed below ${id}`,
    );
  }

  /** A claimed run whose root is a plan is never stuck: something may start, or runs, or it is held. */
  #expectProgress(state: RunState): void {
    const root = this.#get(this.rootId);
    if (this.standing.phase !== 'running' || !root.lease || !isPlan(root.spec)) return;
    const external = [...this.entries.values()].some(
      ({ spec, settled }) => spec.kind === 'composite' && !isPlan(spec) && settled === undefined,
    );
    if (!external) assert.ok(state.ready.size + state.live.size > 0, 'a running run has something to run');
  }

  #isReady(entry: Entry): boolean {
    if (isPlan(entry.spec) || entry.settled !== undefined || entry.live !== undefined) return false;
    if (isExternal(entry.spec) && (entry.spec.executor === undefined || entry.handedOver === true))
      return false;
    if (entry.gate !== undefined && this.decisions.get(entry.gate)?.approved === false) return false;
    return this.#waiting(entry) === 0;
  }

  /** Runs until it is settled from outside: handed over, or with nobody to hand it over to. */
  #isOpen(entry: Entry): boolean {
    if (!isExternal(entry.spec) || entry.settled !== undefined) return false;
    return entry.handedOver === true || (entry.spec.executor === undefined && this.#waiting(entry) === 0);
  }

  #waiting(entry: Entry): number {
    const open = (entry.spec.needs ?? []).filter((need) => !this.#isReleased(need)).length;
    const parent = entry.parent === undefined ? undefined : this.#get(entry.parent);
    const closed = parent !== undefined && this.#waiting(parent) > 0;
    return open + (closed ? 1 : 0);
  }

  #isReleased(id: string): boolean {
    if (this.#get(id).settled !== 'succeeded') return false;
    return [...this.decisions.values()].every(
      ({ event, approved }) => approved || event.blocks !== 'dependents' || event.node !== id,
    );
  }

  #settle(id: string, state: SettledState): void {
    const entry = this.#get(id);
    if (
      entry.settled !== undefined &&
      entry.live === undefined &&
      !entry.leftover &&
      state === 'canceled' &&
      entry.settled !== state
    )
      return;
    entry.settled ??= state;
    if (entry.live !== undefined) entry.leftover = true;
    // The root's holder lets go by itself; who holds a leftover keeps it until it is stopped, or somebody else comes to do that.
    if (id !== this.rootId && entry.live === undefined) entry.lease = false;
    for (const [child, { parent, settled }] of this.entries) {
      if (parent === id && settled === undefined) this.#settle(child, 'canceled');
    }
  }

  #owner(id: string): string {
    let owner = id;
    for (let at = this.#get(id).parent; at !== undefined; at = this.#get(at).parent) {
      if (isPlan(this.#get(at).spec)) owner = at;
    }
    return owner;
  }

  #isWithin(id: string, ancestor: string): boolean {
    for (let at: string | undefined = id; at !== undefined; at = this.#get(at).parent)
      if (at === ancestor) return true;
    return false;
  }

  #add(spec: NodeSpec, parent: string | undefined): void {
    assert.equal(this.entries.has(spec.id), false, `${spec.id} is new`);
    this.entries.set(spec.id, {
      spec,
      parent,
      leftover: false,
      outcomes: [],
      attempts: 0,
      lease: false,
      epoch: 0,
    });
  }
  #get(id: string): Entry {
    const entry = this.entries.get(id);
    if (entry === undefined) throw new Error(`events speak of an unknown node '${id}'`);
    return entry;
  }
  #live(id: string, attempt: number): NonNullable<Entry['live']> {
    const { live } = this.#get(id);
    assert.ok(live?.attempt === attempt, `I5: attempt ${attempt} of ${id} was started`);
    return live;
  }
}

function isPlan(spec: NodeSpec): boolean {
  return spec.kind === 'composite' && spec.drive === 'plan';
}
function isExternal(spec: NodeSpec): boolean {
  return spec.kind === 'composite' && spec.drive !== 'plan';
}
function zero(): Sums {
  return { wallMs: 0, steps: 0, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 };
}
function add(sums: Sums, usage: Partial<Usage>, sign = 1): void {
  for (const key of USAGE_KEYS) sums[key] += sign * (usage[key] ?? 0);
}
function sorted(keys: Iterable<string>): string[] {
  return [...keys].toSorted();
}
