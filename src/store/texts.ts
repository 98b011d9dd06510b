import { ReeveError } from '../model/errors.ts';
import type { Commit } from './run-store.ts';

/**
 * Refuses a NUL character, which PostgreSQL cannot keep in a text: no store may take what another one cannot.
 * (Canonical JSON has none: it writes \u0000.) @throws ReeveError E_INVALID_INPUT_SCHEMA.
 */
export function checkTexts({ runId, head, events, work, snapshot, aliases = [] }: Commit): void {
  const refuse = (what: string, text: string | null): void => {
    if (text === null || !text.includes('\0')) return;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${what} contains a NUL character`, { job_id: runId });
  };
  refuse('the id of a run', runId);
  refuse('the name of a run', head.name);
  refuse('the tenant of a run', head.tenant);
  refuse('the queue of a run', head.queue);
  for (const { type, body } of events) {
    refuse('the type of an event', type);
    refuse('an event', body);
  }
  for (const alias of aliases) refuse('an alias', alias);
  if (snapshot !== undefined) refuse('a snapshot', snapshot.body);
  for (const change of work) {
    if ('node' in change) refuse('the id of a node', change.node);
    if (change.op !== 'lease') continue;
    refuse('the name of a worker', change.worker);
    refuse('the id of a lease', change.leaseId);
  }
}
