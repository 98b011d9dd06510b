/** wrkr's words for what the model knows, and back (contract wrkr §c). Pure. */
import { isStatus, STATUSES, type Status } from '../../evidence/statuses.ts';
import { ReeveError } from '../../model/errors.ts';

export { isStatus, standingOf, STATUSES, statusOf, type Status } from '../../evidence/statuses.ts';

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
