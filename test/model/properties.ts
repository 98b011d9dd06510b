/**
 * I2–I8 under any sequence of commands; run in two sizes. A failure prints its seed and path: put both into `REPLAY` to
 * see it again.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventBody } from '../../src/model/chain.ts';
import type { Command } from '../../src/model/commands.ts';
import { decide } from '../../src/model/decide/index.ts';
import { evolve } from '../../src/model/evolve.ts';
import type { RecordedEvent } from '../../src/model/events.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/model/snapshot.ts';
import { emptyState, leaseOwner, type RunState } from '../../src/model/state.ts';
import { isTerminal } from '../../src/model/transitions.ts';
import { sha256 } from '../../src/engine/system.ts';
import { anyMoves, anyPlan, commandOf, contextOf, drivenPlan, type Move, type Plan } from './arbitraries.ts';
import { Ledger } from './ledger.ts';
import { chainOf, fingerprint, fold, RunRig, T0 } from './rig.ts';

const REPLAY: { seed?: number; path?: string } = {};

/** A run driven by moves, with the invariants asserted after each. */
class Trial {
  state: RunState = emptyState('run-1');
  readonly events: RecordedEvent[] = [];
  readonly ledger = new Ledger();
  accepted = 0;
  #nowMs = T0;
  #serial = 0;

  constructor(plan: Plan) {
    const ctx = { nowMs: T0, sha256, random: () => 0.5 };
    // What is added to a run that has begun may find its plan over.
    const begin = plan.below.length === 0 ? { begin: true as const } : {};
    this.carryOut({ type: 'create', spec: plan.spec, environment: fingerprint('same'), ...begin }, ctx);
    for (const { parent, nodes } of plan.below) this.carryOut({ type: 'add_nodes', parent, nodes }, ctx);
    expect(this.ledger.entries.size).toBe(
      plan.below.reduce((sum, { nodes }) => sum + nodes.length, plan.spec.nodes.length + 1),
    );
  }

  move(move: Move): void {
    this.#nowMs = Math.max(0, this.#nowMs + move.elapsed);
    this.#serial += 1;
    const command = commandOf(this.state, [...this.ledger.entries.keys()], move, this.#serial);
    if (command === undefined) this.#reload();
    else this.carryOut(command, contextOf(move, this.#nowMs));
  }

  carryOut(command: Command, ctx: Parameters<typeof decide>[2]): void {
    const before = encodeSnapshot(this.state);
    const stale = this.#isStale(command);
    const decided = decide(this.state, command, ctx);
    assert.equal(encodeSnapshot(this.state), before, 'decide leaves its input alone');
    assert.equal(this.state.fresh.length, 0);
    if (!decided.ok) return; // and so a refusal has changed nothing
    if (stale) assert.equal(decided.events.length, 0, `I4: stale ${command.type}`);
    this.accepted += 1;
    for (const recorded of decided.events) {
      this.ledger.accept(structuredClone(recorded));
      evolve(this.state, recorded);
      this.events.push(recorded);
    }
    this.state.fresh.length = 0;
    this.ledger.compare(this.state);
  }

  /** A write whose epoch or attempt is not the current one. Leftovers of a composite that ended have no lease any more. */
  #isStale(command: Command): boolean {
    if (!('epoch' in command) || ('claimant' in command && command.claimant !== undefined)) return false;
    const node = this.state.nodes.get(command.node);
    if (node === undefined) {
      // The holder of a run that is over lets go of its lease.
      return command.type !== 'release' || this.state.rootLease?.epoch !== command.epoch;
    }
    if ('attempt' in command && node.live?.attempt !== command.attempt) return true;
    return (
      node.state !== 'canceled' &&
      this.state.nodes.get(leaseOwner(this.state, command.node))?.epoch !== command.epoch
    );
  }

  /** I3: a snapshot is as good as the state. */
  #reload(): void {
    const decoded = decodeSnapshot(encodeSnapshot(this.state));
    expect(plain(decoded)).toEqual(plain(this.state));
    this.state = decoded ?? this.state;
  }
}

/** Everything in a state, in its order, without what is only kept for the engine. */
function plain(state: RunState | undefined): unknown {
  return state === undefined ? undefined : JSON.parse(encodeSnapshot(state));
}

function trial(plan: Plan, moves: readonly Move[]): Trial {
  const run = new Trial(plan);
  for (const move of moves) run.move(move);
  return run;
}

export function modelProperties(numRuns: number): void {
  const runs = { numRuns, interruptAfterTimeLimit: 10_000 + numRuns * 20, ...REPLAY };
  describe('any run under any commands', () => {
    test('keeps I2 to I8, and its tables say what its events say', () => {
      fc.assert(
        fc.property(anyPlan, anyMoves, (plan, moves) => {
          const { state, events } = trial(plan, moves);
          expect(plain(fold('run-1', events)), 'I3').toEqual(plain(state));
        }),
        runs,
      );
    });

    test('I3: stored and read back, the events give the same state', () => {
      fc.assert(
        fc.property(anyPlan, anyMoves, (plan, moves) => {
          const { state, events } = trial(plan, moves);
          const stored = events.map(
            (recorded) => JSON.parse(eventBody(recorded)) as { seq: number; at: number; event: unknown },
          );
          const read = stored.map(({ seq, at, event }) => ({ seq, atMs: at, event }) as RecordedEvent);
          expect(chainOf('run-1', read)).toEqual(chainOf('run-1', events));
          expect(plain(fold('run-1', read))).toEqual(plain(state));
        }),
        { ...runs, numRuns: Math.ceil(numRuns / 4) },
      );
    });

    test('I2: any tampering with the events breaks the chain', () => {
      fc.assert(
        fc.property(
          anyPlan,
          anyMoves,
          fc.nat(),
          fc.constantFrom('edit', 'drop', 'swap', 'time', 'other run'),
          (plan, moves, pick, way) => {
            const { events } = trial(plan, moves.slice(0, 20));
            const at = pick % events.length;
            const forged = forge(events, at, way);
            const hashes = chainOf('run-1', events);
            const found = chainOf(way === 'other run' ? 'run-2' : 'run-1', forged);
            expect(found.at(-1)).not.toBe(hashes.at(-1));
            expect(found.findIndex((hash, index) => hash !== hashes[index])).toBeLessThanOrEqual(at);
          },
        ),
        { ...runs, numRuns: Math.ceil(numRuns / 4) },
      );
    });
  });
  describe('liveness', () => {
    const turns = fc.array(
      fc.record({
        fate: fc.constantFrom(
          'ok',
          'ok',
          'ok',
          'ok',
          'fail',
          'crash_unknown',
          'crash_not_started',
          'pause',
          'over',
          'timeout',
        ),
        pick: fc.nat(10),
      }),
      { maxLength: 25, size: 'max' },
    );

    test('a cooperative worker brings every run of a plan to its end, within a bounded number of commands', () => {
      fc.assert(
        fc.property(drivenPlan, turns, (plan, fates) => {
          const rig = new RunRig();
          rig.must({ type: 'create', spec: plan.spec });
          for (const { parent, nodes } of plan.below) rig.must({ type: 'add_nodes', parent, nodes });
          const size = rig.state.nodeCount;
          const bound = 40 + size * 12 + fates.length * 8;
          const queue = [...fates];
          for (let commands = 0; !isTerminal(rig.state.standing); commands += 1) {
            expect(
              commands,
              `stuck: ${rig.standing}, ready ${rig.ready().join()}, live ${[...rig.state.live.keys()].join()}`,
            ).toBeLessThan(bound);
            cooperate(rig, queue.shift() ?? { fate: 'ok', pick: 0 });
          }
          expect(rig.state.live.size).toBe(rig.standing === 'succeeded' ? 0 : rig.state.live.size);
        }),
        runs,
      );
    });
  });
}

/** Shows that the properties are not about refusals. */
export function modelReach(): void {
  test('random moves do get far: the properties are not about refusals', () => {
    const reached = new Map<string, number>();
    const count = (word: string): unknown => reached.set(word, (reached.get(word) ?? 0) + 1);
    for (const [plan, moves] of fc.sample(fc.tuple(anyPlan, anyMoves), { numRuns: 500, seed: 7 })) {
      for (const { event } of trial(plan, moves).events) {
        count(event.type);
        if (event.type === 'phase_changed') count(event.to.phase === 'held' ? event.to.hold : event.to.phase);
        if (event.type === 'attempt_ended') count(event.outcome);
      }
    }
    const phases = [
      'succeeded',
      'failed',
      'canceled',
      'paused',
      'decision',
      'budget',
      'error',
      'outcome_unknown',
    ];
    const outcomes = ['timed_out', 'over_budget', 'not_started', 'unknown', 'accepted'];
    const events = [
      'usage_charged',
      'key_recorded',
      'checkpoint_deferred',
      'limits_raised',
      'node_settled',
      'environment_recorded',
    ];
    for (const word of [...phases, ...outcomes, ...events])
      expect(reached.get(word) ?? 0, word).toBeGreaterThan(10);
    expect(reached.get('attempt_started')).toBeGreaterThan(1000);
  });
}

function forge(events: readonly RecordedEvent[], at: number, way: string): RecordedEvent[] {
  const forged = [...events];
  const recorded = events[at] as RecordedEvent;
  if (way === 'edit')
    forged[at] = { ...recorded, event: { type: 'fact_recorded', name: 'forged', data: null } };
  if (way === 'time') forged[at] = { ...recorded, atMs: recorded.atMs + 1 };
  if (way === 'drop') forged.splice(at, 1, { ...(events[at + 1] ?? recorded), seq: recorded.seq + 1 });
  if (way === 'swap')
    forged.splice(at, 2, ...(at + 1 < events.length ? [events[at + 1] as RecordedEvent] : []), {
      ...recorded,
      seq: -1,
    });
  return forged;
}

/** One turn of a worker with a person beside it who approves, raises limits, and settles nothing by hand. */
function cooperate(rig: RunRig, { fate, pick }: { fate: string; pick: number }): void {
  const { state } = rig.after(10);
  const [decision] = rig.open();
  if (decision !== undefined && state.standing.phase !== 'running') {
    rig.approve(decision);
    return;
  }
  const root = state.nodes.get(state.spec.rootId);
  if (state.standing.phase !== 'running' || root?.lease === undefined) {
    if (root?.lease !== undefined)
      rig.must({
        type: 'release',
        node: state.spec.rootId,
        epoch: root.epoch,
        cause: 'released',
        seenMs: rig.nowMs,
      });
    const missing = (state.spec.requiredCheckpoints ?? []).filter(
      (type) => !state.checkpoints.types.includes(type) && type !== 'completed',
    );
    for (const type of missing)
      rig.must({ type: 'emit_checkpoint', checkpoint: type as 'progress', summary: 'by hand' });
    rig.resume({
      reason: 'go on',
      limits: { wallMs: 0, steps: 0, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 },
    });
    return;
  }
  const live = [...state.live.keys()];
  const node = live[pick % Math.max(1, live.length)];
  if (fate === 'pause') {
    rig.must({ type: 'pause', by: 'ann' });
  } else if (fate.startsWith('crash')) {
    rig.crash().claim();
    for (const id of live)
      if (state.nodes.get(id)?.live !== undefined)
        rig.interrupt(id, fate === 'crash_unknown' ? 'unknown' : 'not_started');
  } else if (node !== undefined && (fate !== 'ok' || pick % 2 === 0 || rig.ready().length === 0)) {
    if (fate === 'fail') rig.fail(node);
    else if (fate === 'over') rig.finish(node, { outcome: 'over_budget', usage: { tokens: 1000 } });
    else if (fate === 'timeout') rig.finish(node, { outcome: 'timed_out' });
    else rig.finish(node, { usage: { tokens: pick } });
  } else {
    const ready = rig.ready();
    const next = ready[pick % Math.max(1, ready.length)];
    if (next !== undefined) {
      rig.nowMs = Math.max(rig.nowMs, state.nodes.get(next)?.notBeforeMs ?? 0);
      rig.start(next);
    } else if (decision !== undefined) rig.approve(decision);
    else throw new Error(`nothing to do: ${rig.standing}`);
  }
}
