/** Lines of the audit chain on the wire (contract agents §8). */
import { COUNT, list, object, TEXT, TIME, type TypeOf } from '../../wire-schema.ts';
import { NAME, SHA256 } from './common.ts';

export const AUDIT_ENTRY = object(
  {
    seq: { type: 'integer', minimum: 1 } as const,
    ts: TIME,
    actor: TEXT,
    tenant: NAME,
    /** Such as `task.create`. */
    action: TEXT,
    /** Such as `task/<id>`. */
    object: TEXT,
    prev_hash: SHA256,
    hash: SHA256,
  },
  { before: {}, after: {}, reason: TEXT },
);
/** One state-changing call. `hash` is over all the other fields, `prev_hash` is that of the line before. */
export type AuditEntry = TypeOf<typeof AUDIT_ENTRY>;

export const AUDIT_LIST = object(
  { entries: list(AUDIT_ENTRY), head: object({ seq: COUNT, hash: SHA256 }, {}) },
  { next_after: COUNT },
);
