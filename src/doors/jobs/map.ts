/** wrkr's words for what the model knows, and back (contract wrkr §c). Pure. */
import { STATUSES } from '../../evidence/statuses.ts';
import { ReeveError } from '../../model/errors.ts';
import type { HoldKind, RunPhase, Standing } from '../../model/transitions.ts';

export { STATUSES };
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

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a word that is no status. */
export function parseStatus(word: string): Status {
  if (isStatus(word)) return word;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `unknown status ${JSON.stringify(word)}; known are ${STATUSES.join(', ')}`,
    {
      field: 'status',
      value: word,
    },
  );
}

export function checkpointId(seq: number): string {
  return `cp_${seq}`;
}

/**
 * The sequence number a checkpoint id names. Only the canonical form: an approval of `cp_011` would have no effect (W28).
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export function parseCheckpointId(id: string): number {
  const seq = /^cp_[1-9]\d{0,15}$/.test(id) ? Number(id.slice(3)) : 0;
  if (seq > 0 && Number.isSafeInteger(seq)) return seq;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${JSON.stringify(id)} is no checkpoint id; it looks like cp_12`,
    {
      checkpoint_id: id,
    },
  );
}
