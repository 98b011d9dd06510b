/** What the jobs door takes and answers over HTTP, beyond wrkr's own documents. All are closed. */
import { closed as closedOf, NATURAL, STRINGS, TEXT, TEXTS, TIME } from '../../evidence/schema-parts.ts';
import { CHECKPOINT_TYPES } from '../../model/node.ts';
import { STATUSES } from './map.ts';
import { ACCEPT_RESULT_SCHEMA, GITHUB_SUMMARY_SCHEMA } from './response-schemas.ts';

const closed = closedOf<object>;

const BOOLEAN = { type: 'boolean' } as const;
const HASH = { type: 'string', pattern: '^[a-f0-9]{64}$' } as const;
const STATUS = { type: 'string', enum: STATUSES } as const;
const PATH = { type: 'string', minLength: 1, maxLength: 4096 } as const;
const NAME = { type: 'string', minLength: 1, maxLength: 200 } as const;
const REASON = { type: 'string', maxLength: 10_000 } as const;
const LIMIT = { type: 'integer', minimum: 0, maximum: 1_000_000_000_000 } as const;
const WHO = {
  reason: { ...REASON, description: 'Why; kept on record.' },
  approved_by: {
    ...NAME,
    description: 'Who decides. Where the server knows its callers, their name stands instead.',
  },
} as const;

export const SUBMIT_REQUEST = closed(
  { jobspec_path: { ...PATH, description: "Relative to the server's working directory, and inside of it." } },
  { job_id: { ...NAME, description: 'It is normalised and must be new.' } },
);

export const APPROVE_REQUEST = closed(
  { checkpoint_id: NAME, reason: { ...REASON, minLength: 1 } },
  {
    approved_by: WHO.approved_by,
    binds: { ...HASH, description: 'What was reviewed: refused when the decision is about something else.' },
  },
);

export const RESUME_REQUEST = closed(
  {},
  {
    ...WHO,
    force_env: { ...BOOLEAN, description: 'Accept the environment as it is now; needs a reason.' },
    takeover: { ...BOOLEAN, description: 'Take over from a worker that has died, before its lease ends.' },
    mark_done: {
      type: 'array',
      maxItems: 1000,
      items: NAME,
      description: 'Steps of unknown outcome that took effect; needs a reason.',
    },
    max_wall_time_seconds: LIMIT,
    max_retries: LIMIT,
    max_step_count: LIMIT,
    max_tool_calls: LIMIT,
    max_tokens: LIMIT,
    max_estimated_cost: { type: 'number', minimum: 0, maximum: 1_000_000_000 },
  },
);

export const CONTROL_REQUEST = closed({}, WHO);
export const OUT_DIR_REQUEST = closed(
  {},
  {
    out_dir: {
      ...PATH,
      description: 'Where results go: relative to the working directory, and inside of it.',
    },
  },
);
export const ACCEPT_REQUEST = closed(
  {},
  { config_path: { ...PATH, description: "Default: the spec's acceptance.config_path, else accept.yaml." } },
);

export const SUBMIT_RESULT = closed({
  job_id: TEXT,
  status: STATUS,
  adapter: TEXT,
  spec_name: TEXT,
  objective: TEXT,
  spec_path: TEXT,
});

export const RESUME_RESULT = closed(
  { job_id: TEXT, status: STATUS },
  { adapter: TEXT, next_step_index: { type: 'integer', minimum: 1 } },
);

export const STATE = closed(
  {
    job_id: TEXT,
    status: STATUS,
    retry_count: NATURAL,
    step_count: NATURAL,
    tool_call_count: NATURAL,
    idempotency_keys: { type: 'object', additionalProperties: { const: true } },
    last_applied_seq: NATURAL,
  },
  {
    lease: closed({
      worker_id: TEXT,
      lease_id: TEXT,
      acquired_at: TIME,
      heartbeat_at: TIME,
      expires_at: TIME,
    }),
    started_at: TIME,
    last_reason_codes: TEXTS,
    env_fingerprint_hash: TEXT,
    env_fingerprint_rules: TEXTS,
    env_fingerprint_values: { type: 'object', additionalProperties: { type: 'string' } },
  },
);

export const EXPORT_RESULT = closed({ job_id: TEXT, path: TEXT, manifest_sha256: HASH, footer: TEXT });
export const VERIFY_RESULT = closed({ job_id: TEXT, manifest_sha256: HASH, files_verified: NATURAL });

export const ACCEPT_RESPONSE = closed({
  config_path: TEXT,
  accept_result_path: TEXT,
  accept_result: ACCEPT_RESULT_SCHEMA,
  checks: {
    type: 'array',
    items: closed(
      { name: TEXT, passed: BOOLEAN, message: { type: 'string' } },
      { reason_code: TEXT, artifact: { type: 'string' } },
    ),
  },
});

export const REPORT_RESULT = closed(
  {
    summary: GITHUB_SUMMARY_SCHEMA,
    summary_json_path: TEXT,
    summary_markdown_path: TEXT,
  },
  { step_summary_path: TEXT },
);

export const JOB_PAGE = closed(
  {
    jobs: {
      type: 'array',
      items: closed({
        job_id: TEXT,
        name: { type: 'string' },
        status: STATUS,
        created_at: TIME,
        updated_at: TIME,
        steps: NATURAL,
        steps_done: NATURAL,
      }),
    },
  },
  { next_cursor: TEXT },
);

export const EVENT_PAGE = closed(
  {
    job_id: TEXT,
    events: {
      type: 'array',
      items: closed({
        seq: { type: 'integer', minimum: 1 },
        created_at: TIME,
        type: TEXT,
        payload: { type: 'object', additionalProperties: true },
      }),
    },
  },
  { next_after: { ...NATURAL, description: 'Give it as `after` for the next page; absent at the end.' } },
);

export const JOB_VIEW = closed(
  {
    job_id: TEXT,
    name: { type: 'string' },
    status: STATUS,
    summary: { type: 'string' },
    version: NATURAL,
    created_at: TIME,
    updated_at: TIME,
    running_seconds: { type: 'number', minimum: 0 },
    steps: {
      type: 'array',
      items: closed(
        {
          index: NATURAL,
          name: { type: 'string' },
          state: {
            type: 'string',
            enum: ['waiting', 'queued', 'assigned', 'running', 'succeeded', 'failed', 'canceled'],
          },
          attempts: NATURAL,
          awaits_approval: BOOLEAN,
        },
        { started_at: TIME, ended_at: TIME, outcome: TEXT, exit_code: { type: 'integer' } },
      ),
    },
    checkpoints: {
      type: 'array',
      items: closed(
        {
          checkpoint_id: TEXT,
          type: { type: 'string', enum: CHECKPOINT_TYPES },
          summary: { type: 'string' },
          created_at: TIME,
        },
        { approved_by: TEXT },
      ),
    },
    open_decisions: TEXTS,
    usage: { type: 'object', additionalProperties: { type: 'number', minimum: 0 } },
    limits: { type: 'object', additionalProperties: { type: 'number', minimum: 0 } },
    reason_codes: STRINGS,
  },
  { worker: closed({ worker_id: TEXT, lease_expires_at: TIME }) },
);
