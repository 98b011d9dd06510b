/** The words a job's status can be, and what they mean to the model (contract wrkr §c). */
import type { HoldKind, RunPhase, Standing } from '../model/transitions.ts';

export const STATUSES = [
  'queued',
  'running',
  'paused',
  'blocked_decision',
  'blocked_budget',
  'blocked_error',
  'completed',
  'canceled',
] as const;
export type Status = (typeof STATUSES)[number];

const PHASES: Readonly<Record<Exclude<RunPhase, 'held'>, Status>> = {
  queued: 'queued',
  running: 'running',
  succeeded: 'completed',
  // A job's steps hold the run instead of failing it; a run of another door that failed reads as an error.
  failed: 'blocked_error',
  canceled: 'canceled',
};
const HOLDS: Readonly<Record<HoldKind, Status>> = {
  paused: 'paused',
  decision: 'blocked_decision',
  budget: 'blocked_budget',
  error: 'blocked_error',
  outcome_unknown: 'blocked_error',
};
const STANDINGS: Readonly<Record<Status, Standing>> = {
  queued: { phase: 'queued' },
  running: { phase: 'running' },
  paused: { phase: 'held', hold: 'paused' },
  blocked_decision: { phase: 'held', hold: 'decision' },
  blocked_budget: { phase: 'held', hold: 'budget' },
  blocked_error: { phase: 'held', hold: 'error' },
  completed: { phase: 'succeeded' },
  canceled: { phase: 'canceled' },
};

export function isStatus(word: unknown): word is Status {
  return STATUSES.some((status) => status === word);
}

export function statusOf(standing: Standing): Status {
  return standing.phase === 'held' ? HOLDS[standing.hold] : PHASES[standing.phase];
}

/** Inverse of `statusOf` but for two standings that wrkr has no word for: both read as `blocked_error`. */
export function standingOf(status: Status): Standing {
  return STANDINGS[status];
}
