/**
 * The documents that the jobs door prints or writes, as JSON Schema 2020-12 (contract wrkr §b–§d, W74). Equal to the
 * reference's published schemas; `runtime_config` has none there. All are closed.
 */
import { CHECKPOINT_TYPES } from '../../model/node.ts';
import { STATUSES } from './map.ts';
import { SCHEMA_VERSION_PATTERN } from './schema.ts';

const TEXT = { type: 'string', minLength: 1 } as const;
const TIME = { type: 'string', format: 'date-time' } as const;
const NATURAL = { type: 'integer', minimum: 0 } as const;
const TEXTS = { type: 'array', items: TEXT } as const;
const STRINGS = { type: 'array', items: { type: 'string' } } as const;

type Properties = Readonly<Record<string, object>>;

/** A closed object in which all properties but the optional ones must be there. */
function closed(required: Properties, optional: Properties = {}) {
  return {
    type: 'object',
    additionalProperties: false,
    required: Object.keys(required),
    properties: { ...required, ...optional },
  };
}

function document(schemaId: string, required: Properties, optional: Properties = {}) {
  return closed(
    {
      schema_id: { const: schemaId },
      schema_version: { type: 'string', pattern: SCHEMA_VERSION_PATTERN },
      created_at: TIME,
      producer_version: TEXT,
      ...required,
    },
    optional,
  );
}

export const STATUS_RESPONSE_SCHEMA = document(
  'wrkr.status_response',
  { job_id: TEXT, status: TEXT, summary: { type: 'string', maxLength: 2000 } },
  {
    reason_codes: TEXTS,
    environment_hash: TEXT,
    environment_rules: TEXTS,
    lease: closed({ worker_id: TEXT, lease_id: TEXT, expires_at: TIME }),
  },
);

export const CHECKPOINT_SCHEMA = document(
  'wrkr.checkpoint',
  {
    checkpoint_id: TEXT,
    job_id: TEXT,
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
  {
    required_action: {
      type: 'object',
      additionalProperties: false,
      properties: { kind: { type: 'string' }, instructions: { type: 'string' } },
    },
  },
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

export const GITHUB_SUMMARY_SCHEMA = document('wrkr.github_summary', {
  job_id: TEXT,
  status: TEXT,
  acceptance: closed({ checks_run: NATURAL, checks_passed: NATURAL, failed: { type: 'boolean' } }),
  artifact_delta: closed({ added: NATURAL, changed: NATURAL, removed: NATURAL }),
  markdown: TEXT,
});

export const WORK_ITEM_SCHEMA = document(
  'wrkr.work_item',
  {
    job_id: TEXT,
    checkpoint_id: TEXT,
    checkpoint_type: { type: 'string', enum: ['blocked', 'decision-needed'] },
    required_action: TEXT,
    reason_codes: TEXTS,
    next_commands: TEXTS,
  },
  { artifact_pointers: STRINGS },
);

export const ERROR_ENVELOPE_SCHEMA = document(
  'wrkr.error_envelope',
  { code: TEXT, message: TEXT, exit_code: { type: 'integer', minimum: 1 } },
  { details: { type: 'object', additionalProperties: true } },
);

export const LEASE_SCHEMA = document('wrkr.lease', {
  worker_id: TEXT,
  lease_id: TEXT,
  acquired_at: TIME,
  heartbeat_at: TIME,
  expires_at: TIME,
});

/** `runtime_config.json` of a job directory (contract wrkr §d). */
export const RUNTIME_CONFIG_SCHEMA = document('wrkr.runtime_config', {
  updated_at: TIME,
  adapter: TEXT,
  inputs: { type: 'object', additionalProperties: true },
  budgets: closed({
    MaxWallTimeSeconds: NATURAL,
    MaxRetries: NATURAL,
    MaxStepCount: NATURAL,
    MaxToolCalls: NATURAL,
    MaxEstimatedCost: { type: ['number', 'null'], minimum: 0 },
    MaxTokens: { type: ['integer', 'null'], minimum: 0 },
  }),
  next_step_index: NATURAL,
});
