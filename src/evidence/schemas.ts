/** The documents of a pack, as JSON Schema: equal to those that the reference publishes. All are closed. */
import { STATUSES } from './statuses.ts';
import { CHECKPOINT_TYPES } from '../model/node.ts';
import type { Schema } from './shape.ts';

const TEXT = { type: 'string', minLength: 1 } as const;
const TIME = { type: 'string', format: 'date-time' } as const;
const NATURAL = { type: 'integer', minimum: 0 } as const;
const HASH = { type: 'string', pattern: '^[a-f0-9]{64}$' } as const;
const TEXTS = { type: 'array', items: TEXT } as const;
const STRINGS = { type: 'array', items: { type: 'string' } } as const;
const OPEN = { type: 'object', additionalProperties: true } as const;

type Properties = Readonly<Record<string, Schema>>;

function closed(required: Properties, optional: Properties = {}): Schema {
  return {
    type: 'object',
    additionalProperties: false,
    required: Object.keys(required),
    properties: { ...required, ...optional },
  };
}

function document(schemaId: string, required: Properties): Schema {
  return closed({
    schema_id: { const: schemaId },
    schema_version: { type: 'string', pattern: String.raw`^v1(\.[0-9]+)?$` },
    created_at: TIME,
    producer_version: TEXT,
    job_id: TEXT,
    ...required,
  });
}

const MANIFEST_SCHEMA = document('wrkr.jobpack_manifest', {
  manifest_sha256: HASH,
  files: { type: 'array', items: closed({ path: TEXT, sha256: HASH }) },
});

const JOB_SCHEMA = document('wrkr.job', { name: TEXT, status: TEXT, budgets: OPEN });

const EVENT_SCHEMA = document('wrkr.event', {
  event_id: TEXT,
  type: TEXT,
  executed: { type: 'boolean' },
  payload: OPEN,
});

const ARTIFACTS_MANIFEST_SCHEMA = document('wrkr.artifacts_manifest', {
  capture_mode: { type: 'string', enum: ['reference-only', 'raw'] },
  artifacts: {
    type: 'array',
    items: closed({ path: TEXT, sha256: HASH }, { redacted: { type: 'boolean' } }),
  },
});

const CHECKPOINT_DOCUMENT = document('wrkr.checkpoint', {
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
});
const CHECKPOINT_SCHEMA: Schema = {
  ...CHECKPOINT_DOCUMENT,
  properties: {
    ...CHECKPOINT_DOCUMENT.properties,
    required_action: closed({}, { kind: { type: 'string' }, instructions: { type: 'string' } }),
  },
};

const APPROVAL_RECORD_SCHEMA = document('wrkr.approval_record', {
  checkpoint_id: TEXT,
  reason: TEXT,
  approved_by: TEXT,
});

const ACCEPT_RESULT_SCHEMA = document('wrkr.accept_result', {
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
