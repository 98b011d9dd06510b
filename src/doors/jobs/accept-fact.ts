/** The fact that holds the result of an acceptance run (contract wrkr §g: appended as an event). */
import type { RecordedEvent } from '../../model/events.ts';
import type { Json } from '../../model/json.ts';

export const ACCEPT_FACT = 'accept_result';
/** Its projection in the job directory: the latest one, RFC 8785. */
export const ACCEPT_FILE = 'accept_result.json';

/** The result that an event records; undefined for other events. */
export function acceptResultIn({ event }: RecordedEvent): Json | undefined {
  return event.type === 'fact_recorded' && event.name === ACCEPT_FACT ? event.data : undefined;
}
