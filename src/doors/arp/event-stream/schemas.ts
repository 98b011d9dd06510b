/** Bodies of the Event Stream (contract arp §2). */
import { EXTENSIONS } from '../wire/common.ts';
import { ANYTHING, COUNT, list, object, TEXT, TIME, type TypeOf } from '../../wire-schema.ts';

/** A RunEvent that may not have its number and time yet. Its type is not checked: other versions have other types. */
const NEW_EVENT = object(
  { run_id: TEXT, type: TEXT },
  { seq: COUNT, time: TIME, node_run_id: TEXT, data: ANYTHING, extensions: EXTENSIONS },
);
export type NewEvent = TypeOf<typeof NEW_EVENT>;

export const APPEND_REQUEST = object(
  { events: { ...list(NEW_EVENT), minItems: 1, maxItems: 10_000 } as const },
  {},
);
export const APPEND_RESPONSE = object(
  {
    items: list(object({ run_id: TEXT, seq: COUNT }, {})),
    next_seq_by_run: { type: 'object', additionalProperties: COUNT } as const,
  },
  {},
);
