import { violations, violationText } from '../../model/budget.ts';
import { isErrorCode, ReeveError } from '../../model/errors.ts';
import { usageAt, type RunState } from '../../model/state.ts';
import { captureFingerprint } from './fingerprint.ts';
import type { Jobs } from './jobs.ts';
import { checkpointId } from './map.ts';

/**
 * Why a job stopped, as the error that the command ends with; undefined when it stopped as it should: completed, at a
 * decision, paused or canceled (contract wrkr §e).
 */
export async function failureOf(jobs: Jobs, state: RunState): Promise<ReeveError | undefined> {
  const { standing } = state;
  if (standing.phase !== 'held' && standing.phase !== 'failed') return undefined;
  const hold = standing.phase === 'held' ? standing.hold : 'error';
  switch (hold) {
    case 'paused':
    case 'decision':
      return undefined;
    case 'budget': {
      const found = await lastBlocked(jobs, state);
      const over = violations(state.limits, usageAt(state, jobs.engine.clock.nowMs())).map(violationText);
      const listed = found?.summary.replace(/^budget exceeded: /, '').split(', ') ?? over;
      return new ReeveError('E_BUDGET_EXCEEDED', `budget exceeded: ${listed.join(', ')}`, {
        job_id: state.id,
        violations: listed,
      });
    }
    case 'error':
    case 'outcome_unknown':
      return stepFailure(jobs, state);
  }
}

async function stepFailure(jobs: Jobs, state: RunState): Promise<ReeveError> {
  const blocked = await lastBlocked(jobs, state);
  const named = blocked?.reasonCodes[0] ?? state.reasonCodes[0] ?? 'E_ADAPTER_FAIL';
  const code = isErrorCode(named) ? named : 'E_ADAPTER_FAIL';
  const details: Record<string, unknown> = { job_id: state.id };
  if (blocked !== undefined) details['checkpoint_id'] = checkpointId(blocked.seq);
  if (code === 'E_ENV_FINGERPRINT_MISMATCH' && state.environment !== undefined) {
    const { rules, hash } = state.environment;
    details['expected_hash'] = hash;
    details['actual_hash'] = captureFingerprint(rules, jobs.surroundings).hash;
  }
  if (blocked?.node !== undefined) {
    details['step_id'] = state.nodes.get(blocked.node)?.spec.name ?? blocked.node;
    Object.assign(details, await attemptDetails(jobs, state, blocked.node));
  }
  return new ReeveError(code, blocked?.summary ?? `job ${state.id} is blocked`, details);
}

async function attemptDetails(jobs: Jobs, state: RunState, node: string): Promise<Record<string, unknown>> {
  const ends = await jobs.engine.events(state.id, Math.max(0, state.version - 200), 1000, ['attempt_ended']);
  const ended = ends.findLast(({ event }) => event.type === 'attempt_ended' && event.node === node)?.event;
  if (ended?.type !== 'attempt_ended') return {};
  const { outputs = {}, error } = ended;
  return {
    attempt: ended.attempt,
    outcome: ended.outcome,
    ...(outputs['exit_code'] === undefined ? {} : { exit_code: outputs['exit_code'] }),
    ...(typeof outputs['stderr_tail'] === 'string' && outputs['stderr_tail'] !== ''
      ? { stderr_tail: outputs['stderr_tail'].slice(-2000) }
      : {}),
    ...(error === undefined ? {} : { error: error.message }),
  };
}

/** The newest `blocked` checkpoint: it says why a job stopped. */
async function lastBlocked(
  jobs: Jobs,
  state: RunState,
): Promise<{ seq: number; summary: string; node?: string; reasonCodes: readonly string[] } | undefined> {
  const recent = await jobs.engine.events(state.id, Math.max(0, state.version - 200), 1000, [
    'checkpoint_emitted',
  ]);
  const found = recent.findLast(
    ({ event }) => event.type === 'checkpoint_emitted' && event.checkpoint === 'blocked',
  );
  if (found?.event.type !== 'checkpoint_emitted') return undefined;
  const { summary, node, reasonCodes } = found.event;
  return { seq: found.seq, summary, reasonCodes, ...(node === undefined ? {} : { node }) };
}
