/** What may be asked of a rollout in which state, and what is said of it. Pure. */
import { conflict, type AgentsFailure } from '../../wire/errors.ts';
import type { RolloutState } from '../../wire/rollouts.ts';
import type { Act, Rollout } from './record.ts';

export type Verb = 'start' | 'promote' | 'abort' | 'pause' | 'resume';

export interface Action extends Act {
  readonly expectedState?: string;
  /** Promotes although the verdict is `fail`. */
  readonly override?: boolean;
}

const ALLOWED: Readonly<Record<Verb, readonly RolloutState[]>> = {
  start: ['draft'],
  promote: ['awaiting_review'],
  pause: ['canary_running', 'promoting'],
  resume: ['paused'],
  abort: ['draft', 'canary_running', 'awaiting_review', 'promoting', 'paused'],
};

/** @throws AgentsFailure 409 */
export function requireState(
  { id, state, verdict }: Rollout,
  verb: Verb,
  { expectedState, override }: Action,
): void {
  const refuse = (why: string): never => {
    throw conflict('wrong_state', `rollout ${id} ${why}`, { rollout_id: id, state });
  };
  if (expectedState !== undefined && expectedState !== state) refuse(`is ${state}, not ${expectedState}`);
  if (!ALLOWED[verb].includes(state)) refuse(`is ${state}: ${verb} is for ${ALLOWED[verb].join(', ')}`);
  if (verb === 'promote' && verdict?.verdict === 'fail' && override !== true)
    refuse('has a failing verdict: to promote it all the same say override: true');
}

/** Why there is no canary; undefined when there is one. */
export function whyNobody(canary: readonly string[], missing: readonly string[]): string | undefined {
  if (missing.length > 0) return `required agents are not online, or drained: ${missing.join(', ')}`;
  return canary.length === 0 ? 'no agent that it is meant for is online and not drained' : undefined;
}

/** What the decision is about. */
export function reviewText({ spec, verdict, batchesDone, batches }: Rollout): string {
  const failing = verdict?.criteria.filter(({ ok }) => !ok).map(({ name }) => name) ?? [];
  const what = batches.length === 0 ? 'the canary' : `batch ${batchesDone + 1} of ${batches.length}`;
  const judged = failing.length === 0 ? 'meets its criteria' : `does not meet ${failing.join(', ')}`;
  return `rollout ${spec.name}: ${what} ${judged}`;
}

/** Why there cannot be another one now. */
export function unfinished({ id, state, spec }: Rollout): AgentsFailure {
  const message = `rollout ${id} of the same in ${spec.environment} is ${state}`;
  return conflict('rollout_unfinished', message, { rollout_id: id, state });
}
