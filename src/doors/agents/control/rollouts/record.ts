/**
 * A rollout's state as the fold of what its run has on record (I3). Facts carry what the engine has no word for; the
 * decision itself is a checkpoint of the run, and its end is the run's.
 */
import { ROLLOUT_FINAL, type RolloutState } from '../../wire/rollouts.ts';
import type { Verdict } from './criteria.ts';
import type { RolloutSpec } from './spec.ts';

export type RolloutFact =
  | {
      readonly name: 'rollout.chosen';
      /** `failure`: why there is nobody to begin with. */
      readonly data: { readonly canary: readonly string[]; readonly failure?: string };
    }
  | { readonly name: 'rollout.started'; readonly data: Act }
  | { readonly name: 'rollout.evaluated'; readonly data: Verdict }
  | {
      readonly name: 'rollout.promoted';
      /** `batches` only the first time: after a failing batch the rest goes on as it was planned. */
      readonly data: Act & { readonly override: boolean; readonly batches?: readonly (readonly string[])[] };
    }
  | { readonly name: 'rollout.paused' | 'rollout.resumed' | 'rollout.aborting'; readonly data: Act };

export interface Act {
  readonly by: string;
  readonly reason: string;
}

export interface Rollout {
  readonly id: string;
  readonly spec: RolloutSpec;
  readonly createdBy: string;
  readonly state: RolloutState;
  /** What it was before the pause. */
  readonly pausedFrom?: RolloutState;
  readonly canary: readonly string[];
  readonly batches: readonly (readonly string[])[];
  /** Batches that were evaluated and let pass. */
  readonly batchesDone: number;
  readonly verdict?: Verdict;
  readonly verdictAtMs?: number;
  /** When the canary or the promotion began, moved on by the time in pause, milliseconds. */
  readonly phaseSinceMs: number;
  readonly pausedAtMs?: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly lastAct?: Act;
  /** Why nobody could be chosen. */
  readonly failure?: string;
  /** The checkpoint that waits for a decision. */
  readonly openDecision?: number;
  /** Who has approved the last one, wherever they did so. */
  readonly approval?: Act;
}

export function emptyRollout(id: string, spec: RolloutSpec, createdBy: string, atMs: number): Rollout {
  return {
    id,
    spec,
    createdBy,
    state: 'draft',
    canary: [],
    batches: [],
    batchesDone: 0,
    phaseSinceMs: atMs,
    createdAtMs: atMs,
    updatedAtMs: atMs,
  };
}

/** The rollout after a fact. Facts that do not fit the state (they were raced) change nothing. */
export function withFact(rollout: Rollout, { name, data }: RolloutFact, atMs: number): Rollout {
  const next = { ...rollout, updatedAtMs: atMs };
  switch (name) {
    case 'rollout.chosen':
      return { ...next, ...data };
    case 'rollout.started':
      return rollout.state === 'draft'
        ? { ...next, state: 'canary_running', phaseSinceMs: atMs, lastAct: data }
        : rollout;
    case 'rollout.evaluated':
      return isRunning(rollout.state) ? evaluated(next, data, atMs) : rollout;
    case 'rollout.promoted':
      if (rollout.state !== 'awaiting_review') return rollout;
      return {
        ...next,
        state: 'promoting',
        phaseSinceMs: atMs,
        lastAct: { by: data.by, reason: data.reason },
        ...(data.batches === undefined ? {} : { batches: data.batches }),
        // Whoever overrides a failing batch lets it pass.
        ...(data.batches === undefined ? { batchesDone: rollout.batchesDone + 1 } : {}),
      };
    case 'rollout.paused':
      if (!isRunning(rollout.state)) return rollout;
      return { ...next, state: 'paused', pausedFrom: rollout.state, pausedAtMs: atMs, lastAct: data };
    case 'rollout.resumed': {
      const { pausedFrom, pausedAtMs = atMs, ...rest } = next;
      if (rollout.state !== 'paused' || pausedFrom === undefined) return rollout;
      const phaseSinceMs = rollout.phaseSinceMs + (atMs - pausedAtMs);
      return { ...rest, state: pausedFrom, phaseSinceMs, lastAct: data };
    }
    case 'rollout.aborting':
      return ROLLOUT_FINAL.includes(rollout.state) ? rollout : { ...next, state: 'aborting', lastAct: data };
  }
}

function evaluated(rollout: Rollout, verdict: Verdict, verdictAtMs: number): Rollout {
  const { spec, state } = rollout;
  const judged = { ...rollout, verdict, verdictAtMs };
  if (verdict.verdict === 'fail')
    return { ...judged, state: spec.auto_abort ? 'aborting' : 'awaiting_review' };
  return state === 'canary_running'
    ? { ...judged, state: 'awaiting_review' }
    : { ...judged, batchesDone: rollout.batchesDone + 1 };
}

/** Whether its tasks may be handed out. */
export function isRunning(state: RolloutState): boolean {
  return state === 'canary_running' || state === 'promoting';
}
