/** The documents of a pack, as JSON Schema: equal to those that the reference publishes. All are closed. */
import { STATUSES } from './statuses.ts';
import { CHECKPOINT_TYPES } from '../model/node.ts';
import { closed, document, NATURAL, STRINGS, TEXT, TEXTS } from './schema-parts.ts';
import type { Schema } from './shape.ts';

const HASH = { type: 'string', pattern: '^[a-f0-9]{64}$' } as const;
const OPEN = { type: 'object', additionalProperties: true } as const;

const MANIFEST_SCHEMA = document('wrkr.jobpack_manifest', {
  job_id: TEXT,
  manifest_sha256: HASH,
  files: { type: 'array', items: closed({ path: TEXT, sha256: HASH }) },
});

const JOB_SCHEMA = document('wrkr.job', { job_id: TEXT, name: TEXT, status: TEXT, budgets: OPEN });

const EVENT_SCHEMA = document('wrkr.event', {
  job_id: TEXT,
  event_id: TEXT,
  type: TEXT,
  executed: { type: 'boolean' },
  payload: OPEN,
});

const ARTIFACTS_MANIFEST_SCHEMA = document('wrkr.artifacts_manifest', {
  job_id: TEXT,
  capture_mode: { type: 'string', enum: ['reference-only', 'raw'] },
  artifacts: {
    type: 'array',
    items: closed({ path: TEXT, sha256: HASH }, { redacted: { type: 'boolean' } }),
  },
});

export const CHECKPOINT_SCHEMA = document(
  'wrkr.checkpoint',
  {
    job_id: TEXT,
    checkpoint_id: TEXT,
    type: { type: 'string', enum: CHECKPOINT_TYPES },
    summary: { type: 'string', minLength: 1, maxLength: 2000 },
    status: { type: 'string', enum: STATUSES },
    budget_state: closed({
      wall_time_seconds: NATURAL,
      retry_count: NATURAL,
      step_count: NATURAL,
      tool_call_count: NATURAL,
    }),
    artifacts_delta: closed({ added: STRINGS, changed: STRINGS, removed: STRINGS }),
    reason_codes: TEXTS,
  },
  { required_action: closed({}, { kind: { type: 'string' }, instructions: { type: 'string' } }) },
);

export const APPROVAL_RECORD_SCHEMA = document('wrkr.approval_record', {
  job_id: TEXT,
  checkpoint_id: TEXT,
  reason: TEXT,
  approved_by: TEXT,
});

export const ACCEPT_RESULT_SCHEMA = document('wrkr.accept_result', {
  job_id: TEXT,
  checks_run: NATURAL,
  checks_passed: NATURAL,
  failures: {
    type: 'array',
    items: closed({ check: TEXT, message: TEXT }, { artifact: { type: 'string' } }),
  },
  reason_codes: TEXTS,
});

/** By the name of the entry that holds them. */
export const SCHEMAS = {
  'manifest.json': MANIFEST_SCHEMA,
  'job.json': JOB_SCHEMA,
  'artifacts_manifest.json': ARTIFACTS_MANIFEST_SCHEMA,
  'accept/accept_result.json': ACCEPT_RESULT_SCHEMA,
  'events.jsonl': EVENT_SCHEMA,
  'checkpoints.jsonl': CHECKPOINT_SCHEMA,
  'approvals.jsonl': APPROVAL_RECORD_SCHEMA,
} as const satisfies Record<string, Schema>;

export type KnownEntry = keyof typeof SCHEMAS;
