/** A run in memory: commands in, events out, with a clock, a lease and chance that the test holds in its hands. */
import { chainHash, eventBody, genesisHash } from '../../src/model/chain.ts';
import type { Claimant, Command, Context, Resume } from '../../src/model/commands.ts';
import { decide } from '../../src/model/decide/index.ts';
import type { Refusal } from '../../src/model/errors.ts';
import { evolve } from '../../src/model/evolve.ts';
import type { EventType, RecordedEvent, RunEvent } from '../../src/model/events.ts';
import type { NodeSpec } from '../../src/model/node.ts';
import type { Fingerprint, RunSpec } from '../../src/model/run-spec.ts';
import { emptyState, leaseOwner, type LiveAttempt, type RunState } from '../../src/model/state.ts';
import type { Usage } from '../../src/model/usage.ts';
import { sha256 } from '../../src/engine/system.ts';

export const T0 = 1_800_000_000_000;

export class RunRig {
  readonly state: RunState = emptyState('run-1');
  readonly events: RecordedEvent[] = [];
  nowMs = T0;
  chance = 0.5;
  lease: Context['lease'] = { live: true, seenMs: 0 };

  /** A run of these steps in a plan, created and not claimed. */
  static plan(nodes: readonly NodeSpec[], more: Partial<RunSpec> = {}): RunRig {
    return RunRig.of({ root: { id: 'root', kind: 'composite', drive: 'plan' }, nodes, ...more });
  }
  static of(more: Pick<RunSpec, 'root'> & Partial<RunSpec>, environment?: Fingerprint): RunRig {
    const rig = new RunRig();
    rig.must({ type: 'create', spec: specOf(more), ...(environment === undefined ? {} : { environment }) });
    return rig;
  }

  try(command: Command): { events: readonly RecordedEvent[]; refusal?: Refusal } {
    const { lease, nowMs, chance } = this;
    const ctx: Context = { nowMs, sha256, random: () => chance, ...(lease === undefined ? {} : { lease }) };
    const decided = decide(this.state, command, ctx);
    if (!decided.ok) return { events: [], refusal: decided.refusal };
    for (const recorded of decided.events) evolve(this.state, recorded);
    this.events.push(...decided.events);
    return { events: decided.events };
  }
  /** Carries the command out; returns its events. */
  must(command: Command): RunEvent[] {
    const { events, refusal } = this.try(command);
    if (refusal !== undefined) throw new Error(`${command.type}: ${refusal.code} ${refusal.message}`);
    return events.map(({ event }) => event);
  }
  /** The refusal of a command that must be refused and must change nothing. */
  refused(command: Command): Refusal {
    const { events, refusal } = this.try(command);
    if (refusal === undefined) throw new Error(`${command.type} was accepted: ${JSON.stringify(events)}`);
    return refusal;
  }

  after(ms: number): this {
    this.nowMs += ms;
    return this;
  }
  /** The worker died: its lease has run out, and it was last seen now. */
  crash(): this {
    this.lease = { live: false, seenMs: this.nowMs };
    return this;
  }

  claim(more: Partial<Extract<Command, { type: 'claim' }>> = {}): RunEvent[] {
    const { rootId } = this.state.spec;
    const events = this.must({ type: 'claim', node: rootId, claimant: claimant(), ...more });
    this.lease = { live: true, seenMs: 0 };
    return events;
  }
  resume(resume: Partial<Resume> = {}): RunEvent[] {
    return this.claim({ resume: { by: 'ann', ...resume } });
  }
  epochOf(node: string): number {
    return this.state.nodes.get(leaseOwner(this.state, node))?.epoch ?? 0;
  }
  start(node: string): RunEvent[] {
    return this.must({ type: 'start', node, epoch: this.epochOf(node) });
  }
  live(node: string): LiveAttempt {
    const live = this.state.nodes.get(node)?.live;
    if (live === undefined) throw new Error(`${node} has no live attempt`);
    return live;
  }
  ref(node: string): { node: string; attempt: number; epoch: number } {
    return { node, attempt: this.live(node).attempt, epoch: this.epochOf(node) };
  }
  finish(node: string, more: Partial<Extract<Command, { type: 'finish' }>> = {}): RunEvent[] {
    return this.must({ type: 'finish', ...this.ref(node), outcome: 'succeeded', usage: {}, ...more });
  }
  fail(node: string, message = 'exit code 3'): RunEvent[] {
    return this.finish(node, { outcome: 'failed', error: { code: 'E_ADAPTER_FAIL', message } });
  }
  charge(node: string, usage: Partial<Usage>): RunEvent[] {
    return this.must({ type: 'charge', ...this.ref(node), usage });
  }
  interrupt(node: string, found: 'not_started' | 'unknown'): RunEvent[] {
    return this.must({ type: 'interrupt', ...this.ref(node), found, reason: 'its worker died' });
  }
  /** Starts and finishes a step. */
  perform(...nodes: readonly string[]): this {
    for (const node of nodes) {
      this.start(node);
      this.finish(node);
    }
    return this;
  }
  approve(checkpoint: number, more: Partial<Extract<Command, { type: 'approve' }>> = {}): RunEvent[] {
    return this.must({ type: 'approve', checkpoint, by: 'ann', reason: 'looks right', ...more });
  }
  settleByHand(node: string): RunEvent[] {
    return this.must({ type: 'settle', node, state: 'succeeded', by: 'ann', reason: 'it took effect' });
  }

  /** Events of a type, in order. */
  all<T extends EventType>(type: T): Extract<RunEvent, { type: T }>[] {
    return ofType(
      this.events.map(({ event }) => event),
      type,
    );
  }
  /** Sequence numbers of the decisions that wait for an approval. */
  open(): number[] {
    const { decisions } = this.state;
    return [...decisions.keys()]
      .filter((key) => decisions.get(key)?.approved === false)
      .toSorted((a, b) => a - b);
  }
  ready(): string[] {
    return [...this.state.ready.keys()].toSorted();
  }
  /** One word for the standing: `running`, `held:budget`, … */
  get standing(): string {
    const { standing } = this.state;
    return standing.phase === 'held' ? `held:${standing.hold}` : standing.phase;
  }
}

export function ofType<T extends EventType>(
  events: readonly RunEvent[],
  type: T,
): Extract<RunEvent, { type: T }>[] {
  return events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type);
}

export function specOf(more: Pick<RunSpec, 'root'> & Partial<RunSpec>): RunSpec {
  return { tenant: 't', actor: 'ann', name: 'a run', limits: {}, labels: {}, nodes: [], ...more };
}

export function claimant(worker = 'w1', ttlMs = 30_000): Claimant {
  return { worker, leaseId: `lease-${worker}`, ttlMs };
}

/** A step with an effect; each needs the one before when made by `steps`. */
export function step(id: string, more: Partial<NodeSpec> = {}): NodeSpec {
  return { id, kind: 'atomic', executor: 'x', input: { do: id }, ...more };
}
export function steps(ids: readonly string[], more: Partial<NodeSpec> = {}): NodeSpec[] {
  return ids.map((id, at) => step(id, { ...(at === 0 ? {} : { needs: [ids[at - 1] ?? ''] }), ...more }));
}
export const DECISION = {
  type: 'decision-needed',
  summary: 'is this right?',
  requiredAction: { kind: 'approval' },
} as const;

export function fingerprint(hash: string): Fingerprint {
  return { rules: ['os'], values: { os: hash }, hash };
}

/** Hashes of the chain over these events, one for each. */
export function chainOf(runId: string, events: readonly RecordedEvent[]): string[] {
  let previous = genesisHash(runId, sha256);
  return events.map((recorded) => {
    previous = chainHash(previous, eventBody(recorded), sha256);
    return previous;
  });
}

export function fold(runId: string, events: readonly RecordedEvent[]): RunState {
  return events.reduce(evolve, emptyState(runId));
}
