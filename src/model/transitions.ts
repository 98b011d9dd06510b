import { unreachable } from './errors.ts';

export type RunPhase = 'queued' | 'running' | 'held' | 'succeeded' | 'failed' | 'canceled';
/** Why a run is not moving. */
export type HoldKind = 'paused' | 'decision' | 'budget' | 'error' | 'outcome_unknown';

/** Where a run stands: a phase, and for a held one why. */
export type Standing =
  | { readonly phase: Exclude<RunPhase, 'held'> }
  | { readonly phase: 'held'; readonly hold: HoldKind };

export function isTerminal(standing: { readonly phase: RunPhase }): boolean {
  return standing.phase === 'succeeded' || standing.phase === 'failed' || standing.phase === 'canceled';
}

export function sameStanding(a: Standing, b: Standing): boolean {
  return a.phase === b.phase && (a.phase === 'held' ? a.hold : '') === (b.phase === 'held' ? b.hold : '');
}

/** An unsettled fate is an error to people; both stop the run until someone looks. */
function isErrorHold(standing: Standing): boolean {
  return standing.phase === 'held' && (standing.hold === 'error' || standing.hold === 'outcome_unknown');
}

/**
 * The transition table (contract wrkr §c). A standing never changes into itself, and a terminal one never changes (I6).
 *
 * | from | to |
 * | --- | --- |
 * | queued | running, canceled |
 * | running | any hold, succeeded, failed, canceled |
 * | held: paused, decision, budget | running, held: error, canceled |
 * | held: error, outcome_unknown | running, canceled |
 */
export function mayChange(from: Standing, to: Standing): boolean {
  if (sameStanding(from, to)) return false;
  switch (from.phase) {
    case 'queued':
      return to.phase === 'running' || to.phase === 'canceled';
    case 'running':
      return to.phase !== 'queued' && to.phase !== 'running';
    case 'held':
      if (to.phase === 'running' || to.phase === 'canceled') return true;
      return isErrorHold(to) && !isErrorHold(from);
    case 'succeeded':
    case 'failed':
    case 'canceled':
      return false;
    default:
      return unreachable(from);
  }
}
