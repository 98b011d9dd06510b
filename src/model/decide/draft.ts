import type { Context } from '../commands.ts';
import type { ErrorCode, Refusal } from '../errors.ts';
import { evolve } from '../evolve.ts';
import type { Fact, RecordedEvent, RunEvent } from '../events.ts';
import { fork, type RunState } from '../state.ts';

/** A decision being made: each event is applied to a fork, so that the next one is decided on what it left. */
export class Draft {
  readonly ctx: Context;
  readonly events: RecordedEvent[] = [];
  readonly state: RunState;

  constructor(state: RunState, ctx: Context) {
    this.state = fork(state);
    this.ctx = ctx;
  }

  emit(event: RunEvent, atMs = this.ctx.nowMs): void {
    // The last event's time is a floor: a clock set back never makes a run's time go backwards.
    const recorded = { seq: this.state.version + 1, atMs: Math.max(atMs, this.state.lastAtMs), event };
    this.events.push(recorded);
    evolve(this.state, recorded);
  }
}

export function recordFacts(draft: Draft, facts: readonly Fact[] = []): void {
  for (const { name, node, data } of facts)
    draft.emit({ type: 'fact_recorded', name, data, ...(node === undefined ? {} : { node }) });
}

/** Thrown inside `decide` only, and turned into its answer there. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

export function refuse(code: ErrorCode, message: string, details?: Readonly<Record<string, unknown>>): never {
  throw new Refused({ code, message, ...(details === undefined ? {} : { details }) });
}
