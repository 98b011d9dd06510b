/** Tasks on the wire (contract agents §2): bodies as schemas, and the types of what fits them. */
import { ANYTHING, COUNT, list, object, TIME, word, YES_OR_NO, type TypeOf } from '../../wire-schema.ts';
import {
  ACTION,
  DIGEST,
  FILE_PATH,
  LABELS,
  NAME,
  REASON,
  SECRET_NAME,
  SEMVER,
  SHA256,
  SHORT_TEXT,
  SKILL_NAME,
  UUID,
} from './common.ts';

export const OUTCOMES = ['succeeded', 'failed', 'refused', 'cancelled', 'timed_out'] as const;
export type Outcome = (typeof OUTCOMES)[number];
/** `lost`: its agents went away, as often as it may be tried. */
const FINAL_STATUSES = [...OUTCOMES, 'lost'] as const;
export const TASK_STATUSES = ['queued', 'leased', 'running', ...FINAL_STATUSES] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];
export const PHASES = ['canary', 'full'] as const;
export type Phase = (typeof PHASES)[number];

export function isFinal(status: TaskStatus): boolean {
  return (FINAL_STATUSES as readonly TaskStatus[]).includes(status);
}

/** A skill that is told to change what it finds (contract agents §5). */
export function isDestructive({ skill, args }: Pick<NewTask, 'skill' | 'args'>): boolean {
  return skill !== undefined && String(args?.['apply']) === 'true';
}

export const TASK_DEFAULTS = {
  timeout_s: 300,
  max_attempts: 2,
  priority: 0,
  max_output_bytes: 64 * 1_048_576,
} as const;

const TARGET = {
  type: 'object',
  additionalProperties: false,
  maxProperties: 1,
  properties: {
    agent_ids: { type: 'array', items: NAME, minItems: 1, maxItems: 10_000, uniqueItems: true },
    labels: { ...LABELS, minProperties: 1 },
    any: { const: true },
  },
} as const;
export interface Target {
  readonly agent_ids?: readonly string[];
  /** An agent has all of them. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly any?: true;
}

export const SKILL_REF = object({ name: SKILL_NAME, version: SEMVER }, {});
export type SkillRef = TypeOf<typeof SKILL_REF>;
/** An argument vector, or a text for `/bin/sh -c`. */
export const COMMAND = {
  anyOf: [
    { type: 'array', items: { type: 'string', maxLength: 131_072 }, minItems: 1, maxItems: 1024 },
    { type: 'string', minLength: 1, maxLength: 131_072 },
  ],
} as const;

export const NEW_TASK = {
  type: 'object',
  additionalProperties: false,
  required: ['action'],
  oneOf: [{ required: ['skill'] }, { required: ['command'] }],
  properties: {
    action: ACTION,
    skill: SKILL_REF,
    command: COMMAND,
    args: ANYTHING,
    target: TARGET,
    tenant: NAME,
    timeout_s: { type: 'integer', minimum: 1, maximum: 86_400 },
    max_output_bytes: { type: 'integer', minimum: 0, maximum: 2 ** 40 },
    max_attempts: { type: 'integer', minimum: 1, maximum: 100 },
    priority: { type: 'integer', minimum: -1000, maximum: 1000 },
    not_before: TIME,
    env_refs: { type: 'array', items: SECRET_NAME, maxItems: 256, uniqueItems: true },
    run_id: NAME,
    fan_out: YES_OR_NO,
  },
} as const;
/** As it is asked for; `rollout_id` and `phase` are set by rollouts only, never from outside. */
export interface NewTask {
  readonly action: string;
  readonly skill?: SkillRef;
  readonly command?: readonly string[] | string;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly target?: Target;
  readonly tenant?: string;
  readonly timeout_s?: number;
  readonly max_output_bytes?: number;
  readonly max_attempts?: number;
  readonly priority?: number;
  readonly not_before?: string;
  readonly env_refs?: readonly string[];
  readonly run_id?: string;
  readonly rollout_id?: string;
  readonly phase?: Phase;
}

export const TASK_CREATED = object({ task_id: UUID, run_id: NAME, status: word(...TASK_STATUSES) }, {});
export type TaskCreated = TypeOf<typeof TASK_CREATED>;

/** What an agent is given (GET /task). */
export interface HandedOut {
  readonly task_id: string;
  readonly run_id: string;
  readonly action: string;
  readonly skill?: SkillRef & { readonly digest: string };
  readonly command?: readonly string[] | string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly timeout_s: number;
  readonly max_output_bytes: number;
  readonly env_refs: readonly string[];
  /** From 1. */
  readonly attempt: number;
  readonly lease_id: string;
  readonly lease_expires_at: string;
  readonly created_at: string;
  readonly rollout_id?: string;
  readonly phase?: Phase;
}
export const HANDED_OUT = object(
  {
    task_id: UUID,
    run_id: NAME,
    action: ACTION,
    args: ANYTHING,
    timeout_s: COUNT,
    max_output_bytes: COUNT,
    env_refs: list(SECRET_NAME),
    attempt: COUNT,
    lease_id: UUID,
    lease_expires_at: TIME,
    created_at: TIME,
  },
  {
    skill: object({ name: SKILL_NAME, version: SEMVER, digest: DIGEST }, {}),
    command: COMMAND,
    rollout_id: UUID,
    phase: word(...PHASES),
  },
);
export const POLLED = {
  type: 'object',
  additionalProperties: false,
  required: ['task'],
  properties: { task: { anyOf: [{ type: 'null' }, HANDED_OUT] } },
} as const;

export const ARTIFACT = object({ path: FILE_PATH, size: COUNT, sha256: SHA256 }, {});
export type Artifact = TypeOf<typeof ARTIFACT>;

export const LEASE_REQUEST = object({ lease_id: UUID }, {});
export const LEASE_REPLY = object({ lease_expires_at: TIME }, {});
export const START_REQUEST = object({ lease_id: UUID }, { started_at: TIME });
export const CANCEL_REQUEST = object({}, { reason: REASON });
export const RESULT_REQUEST = {
  type: 'object',
  additionalProperties: false,
  required: ['lease_id', 'outcome', 'summary'],
  properties: {
    lease_id: UUID,
    outcome: word(...OUTCOMES),
    exit_code: { type: ['integer', 'null'], minimum: -255, maximum: 255 },
    reason: REASON,
    summary: { type: ['object', 'string'] },
    started_at: TIME,
    finished_at: TIME,
    artifacts: { type: 'array', items: ARTIFACT, maxItems: 10_000 },
  },
} as const;
export interface ResultRequest {
  readonly lease_id: string;
  readonly outcome: Outcome;
  readonly exit_code?: number | null;
  readonly reason?: string;
  readonly summary: Readonly<Record<string, unknown>> | string;
  readonly started_at?: string;
  readonly finished_at?: string;
  readonly artifacts?: readonly Artifact[];
}
/** What is kept of a result: texts redacted, without the lease. */
export type TaskResult = Omit<ResultRequest, 'lease_id'>;
export const RESULT_REPLY = object({ status: word(...TASK_STATUSES) }, {});

const RESULT = {
  type: 'object',
  properties: { ...RESULT_REQUEST.properties, lease_id: false },
} as const;
/** A task as GET /tasks shows it. */
export interface TaskView {
  readonly task_id: string;
  readonly run_id: string;
  readonly tenant: string;
  readonly action: string;
  readonly status: TaskStatus;
  /** Of the last attempt, from 1; 0 before the first. */
  readonly attempt: number;
  readonly max_attempts: number;
  readonly skill?: SkillRef & { readonly digest?: string };
  readonly command?: readonly string[] | string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly target: Target;
  readonly timeout_s: number;
  readonly max_output_bytes: number;
  readonly priority: number;
  readonly env_refs: readonly string[];
  readonly not_before?: string;
  readonly created_at: string;
  readonly created_by: string;
  /** Of the last attempt. */
  readonly agent_id?: string;
  readonly lease_expires_at?: string;
  readonly started_at?: string;
  /** When its end was recorded. */
  readonly finished_at?: string;
  /** It is queued, and no agent gets it before somebody has approved of what it changes. */
  readonly waits_for?: 'approval';
  /** Somebody wants it to stop; its agent has not said that it has. */
  readonly cancel_requested?: true;
  /** Why it was refused, cancelled or lost. */
  readonly reason?: string;
  readonly result?: TaskResult;
  readonly rollout_id?: string;
  readonly phase?: Phase;
}
export const TASK_VIEW = object(
  {
    task_id: UUID,
    run_id: NAME,
    tenant: NAME,
    action: ACTION,
    status: word(...TASK_STATUSES),
    attempt: COUNT,
    max_attempts: COUNT,
    args: ANYTHING,
    target: TARGET,
    timeout_s: COUNT,
    max_output_bytes: COUNT,
    priority: { type: 'integer' } as const,
    env_refs: list(SECRET_NAME),
    created_at: TIME,
    created_by: SHORT_TEXT,
  },
  {
    skill: object({ name: SKILL_NAME, version: SEMVER }, { digest: DIGEST }),
    command: COMMAND,
    not_before: TIME,
    agent_id: NAME,
    lease_expires_at: TIME,
    started_at: TIME,
    finished_at: TIME,
    waits_for: word('approval'),
    cancel_requested: YES_OR_NO,
    reason: REASON,
    result: RESULT,
    rollout_id: UUID,
    phase: word(...PHASES),
  },
);
export const TASK_LIST = object({ tasks: list(TASK_VIEW) }, { next_cursor: SHORT_TEXT });
