/** Rollouts on the wire (contract agents §7). */
import { COUNT, list, object, TEXT, TIME, word, YES_OR_NO, type TypeOf } from '../../wire-schema.ts';
import { LABELS, NAME, REASON, UUID } from './common.ts';
import { COMMAND, PHASES, SKILL_REF, TASK_STATUSES, type SkillRef } from './tasks.ts';

export const ROLLOUT_STATES = [
  'draft',
  'canary_running',
  'awaiting_review',
  'promoting',
  'completed',
  'aborting',
  'aborted',
  'paused',
  'failed',
] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];
export const ROLLOUT_FINAL: readonly RolloutState[] = ['completed', 'aborted', 'failed'];

const PERCENT = { type: 'number', exclusiveMinimum: 0, maximum: 100 } as const;
const SEVERITIES = ['critical', 'high', 'medium', 'low', 'info'] as const;
export const CRITERIA = object(
  {},
  {
    min_success_rate: { type: 'number', minimum: 0, maximum: 1 } as const,
    max_failures: COUNT,
    max_p95_duration_ms: COUNT,
    max_findings: {
      type: 'object',
      additionalProperties: { type: 'integer', minimum: 0 },
      propertyNames: { enum: SEVERITIES },
    } as const,
    bake_s: { type: 'integer', minimum: 0, maximum: 604_800 } as const,
    deadline_s: { type: 'integer', minimum: 1, maximum: 604_800 } as const,
    health_gate: object(
      { url: { type: 'string', pattern: '^https?://[^\\s/?#]\\S*$', maxLength: 2048 } as const },
      {
        expect: { type: 'integer', minimum: 100, maximum: 599 } as const,
        attempts: { type: 'integer', minimum: 1, maximum: 100 } as const,
      },
    ),
    required_agents: { type: 'array', items: NAME, uniqueItems: true, maxItems: 10_000 } as const,
    skipped_counts_as: word('success', 'failure', 'ignore'),
  },
);
export type Criteria = TypeOf<typeof CRITERIA>;

export const CANARY = object(
  {},
  { count: { type: 'integer', minimum: 1 } as const, percent: PERCENT, labels: LABELS },
);
export const NEW_ROLLOUT = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'target'],
  oneOf: [{ required: ['skill'] }, { required: ['command'] }],
  properties: {
    name: NAME,
    action: { type: 'string', pattern: '^[a-z0-9][a-z0-9_.-]{0,63}$' },
    skill: SKILL_REF,
    command: COMMAND,
    args: { type: 'object' },
    target: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      maxProperties: 1,
      properties: {
        agent_ids: { type: 'array', items: NAME, minItems: 1, maxItems: 10_000, uniqueItems: true },
        labels: { ...LABELS, minProperties: 1 },
      },
    },
    canary: {
      type: 'object',
      additionalProperties: false,
      properties: CANARY.properties,
      not: { required: ['count', 'percent'] },
    },
    criteria: CRITERIA,
    /** A number of agents, or a share such as `25 %`. */
    batch_size: {
      anyOf: [
        { type: 'integer', minimum: 1 },
        { type: 'string', pattern: '^([1-9]\\d?|100) ?%$' },
      ],
    },
    timeout_s: { type: 'integer', minimum: 1, maximum: 86_400 },
    env_refs: { type: 'array', items: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' } },
    auto_abort: YES_OR_NO,
    auto_promote: YES_OR_NO,
    start: YES_OR_NO,
    environment: NAME,
    tenant: NAME,
  },
} as const;
export interface NewRollout {
  readonly name: string;
  /** Default: the skill's name, else the rollout's. */
  readonly action?: string;
  readonly skill?: SkillRef;
  readonly command?: readonly string[] | string;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly target: {
    readonly agent_ids?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly canary?: TypeOf<typeof CANARY>;
  readonly criteria?: Criteria;
  readonly batch_size?: number | string;
  readonly timeout_s?: number;
  readonly env_refs?: readonly string[];
  readonly auto_abort?: boolean;
  readonly auto_promote?: boolean;
  readonly start?: boolean;
  readonly environment?: string;
  readonly tenant?: string;
}
export const ROLLOUT_CREATED = object({ rollout_id: UUID, state: word(...ROLLOUT_STATES) }, {});

export const ROLLOUT_STEP = object(
  { reason: { ...REASON, minLength: 1 } as const },
  { expected_state: word(...ROLLOUT_STATES), override: YES_OR_NO },
);
export type RolloutStep = TypeOf<typeof ROLLOUT_STEP>;

const VERDICT = object(
  {
    verdict: word('pass', 'fail'),
    evaluated_at: TIME,
    criteria: list(
      object({ name: TEXT, ok: YES_OR_NO }, { limit: { type: ['number', 'string', 'array'] }, actual: {} }),
    ),
  },
  {},
);
export interface Verdict {
  readonly verdict: 'pass' | 'fail';
  readonly evaluated_at: string;
  readonly criteria: readonly {
    readonly name: string;
    readonly limit?: unknown;
    readonly actual?: unknown;
    readonly ok: boolean;
  }[];
}

const TASK_OF_ROLLOUT = object(
  { task_id: UUID, run_id: NAME, agent_id: NAME, status: word(...TASK_STATUSES), artifacts: TEXT },
  { phase: word(...PHASES) },
);
const ACT = object({ by: TEXT, reason: TEXT }, {});
/** A rollout as GET /rollouts shows it; in lists without its tasks. */
export const ROLLOUT_VIEW = {
  type: 'object',
  required: [
    'rollout_id',
    'state',
    'name',
    'canary_agents',
    'batches',
    'batches_done',
    'created_at',
    'updated_at',
  ],
  properties: {
    ...NEW_ROLLOUT.properties,
    rollout_id: UUID,
    state: word(...ROLLOUT_STATES),
    paused_from: word(...ROLLOUT_STATES),
    /** Fixed when the rollout was created. */
    canary_agents: list(NAME),
    /** Fixed when it was promoted. */
    batches: list(list(NAME)),
    batches_done: COUNT,
    verdict: VERDICT,
    last_action: ACT,
    /** Why nobody could be chosen. */
    failure: TEXT,
    created_at: TIME,
    updated_at: TIME,
    tasks: list(TASK_OF_ROLLOUT),
  },
} as const;
export interface RolloutView extends Omit<NewRollout, 'start'> {
  readonly rollout_id: string;
  readonly state: RolloutState;
  readonly paused_from?: RolloutState;
  readonly canary_agents: readonly string[];
  readonly batches: readonly (readonly string[])[];
  readonly batches_done: number;
  readonly verdict?: Verdict;
  readonly last_action?: TypeOf<typeof ACT>;
  readonly failure?: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly tasks?: readonly TypeOf<typeof TASK_OF_ROLLOUT>[];
}
export const ROLLOUT_LIST = object({ rollouts: list(ROLLOUT_VIEW) }, { next_cursor: TEXT });
