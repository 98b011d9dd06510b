/**
 * The documents that the jobs door prints or writes, as JSON Schema 2020-12 (contract wrkr §b–§d, W74). Equal to the
 * reference's published schemas; `runtime_config` has none there. All are closed.
 */
import { closed, document, NATURAL, STRINGS, TEXT, TEXTS, TIME } from '../../evidence/schema-parts.ts';

export { ACCEPT_RESULT_SCHEMA, APPROVAL_RECORD_SCHEMA, CHECKPOINT_SCHEMA } from '../../evidence/schemas.ts';

export const STATUS_RESPONSE_SCHEMA = document<object>(
  'wrkr.status_response',
  { job_id: TEXT, status: TEXT, summary: { type: 'string', maxLength: 2000 } },
  {
    reason_codes: TEXTS,
    environment_hash: TEXT,
    environment_rules: TEXTS,
    lease: closed<object>({ worker_id: TEXT, lease_id: TEXT, expires_at: TIME }),
  },
);

export const GITHUB_SUMMARY_SCHEMA = document<object>('wrkr.github_summary', {
  job_id: TEXT,
  status: TEXT,
  acceptance: closed<object>({ checks_run: NATURAL, checks_passed: NATURAL, failed: { type: 'boolean' } }),
  artifact_delta: closed({ added: NATURAL, changed: NATURAL, removed: NATURAL }),
  markdown: TEXT,
});

export const WORK_ITEM_SCHEMA = document<object>(
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

export const ERROR_ENVELOPE_SCHEMA = document<object>(
  'wrkr.error_envelope',
  { code: TEXT, message: TEXT, exit_code: { type: 'integer', minimum: 1 } },
  { details: { type: 'object', additionalProperties: true } },
);

export const LEASE_SCHEMA = document<object>('wrkr.lease', {
  worker_id: TEXT,
  lease_id: TEXT,
  acquired_at: TIME,
  heartbeat_at: TIME,
  expires_at: TIME,
});

/** `runtime_config.json` of a job directory (contract wrkr §d). */
export const RUNTIME_CONFIG_SCHEMA = document<object>('wrkr.runtime_config', {
  updated_at: TIME,
  adapter: TEXT,
  inputs: { type: 'object', additionalProperties: true },
  budgets: closed<object>({
    MaxWallTimeSeconds: NATURAL,
    MaxRetries: NATURAL,
    MaxStepCount: NATURAL,
    MaxToolCalls: NATURAL,
    MaxEstimatedCost: { type: ['number', 'null'], minimum: 0 },
    MaxTokens: { type: ['integer', 'null'], minimum: 0 },
  }),
  next_step_index: NATURAL,
});
