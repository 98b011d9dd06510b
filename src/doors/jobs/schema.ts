/**
 * JobSpec (contract wrkr §e): what a user submits. JSON Schema 2020-12, equal in meaning to the reference's
 * `jobspec/jobspec.schema.json`, with upper bounds that no honest job meets.
 *
 * `inputs.steps` has a schema of its own, since only the `reference` adapter reads it.
 */
import { SCHEMA_VERSION_PATTERN } from '../../evidence/schema-parts.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import { CHECKPOINT_TYPES, type CheckpointType } from '../../model/node.ts';

/** A step becomes a node, whose id is `<index>:<step id>` and has at most 200 characters. */
export const STEP_ID_CHARS_MAX = 180;
export const USAGE_SOURCES = ['claude-code', 'codex'] as const;
export const ADAPTERS = ['reference', 'noop'] as const;
export type Adapter = (typeof ADAPTERS)[number];

/** The adapter a spec names, in whatever case; undefined when there is none of that name. */
export function adapterOf(name: string): Adapter | undefined {
  const wanted = name.trim().toLowerCase();
  return ADAPTERS.find((adapter) => adapter === wanted);
}

export interface Budgets {
  readonly max_wall_time_seconds: number;
  readonly max_retries: number;
  readonly max_step_count: number;
  readonly max_tool_calls: number;
  readonly max_estimated_cost?: number;
  readonly max_tokens?: number;
}

export interface JobSpec {
  readonly schema_id: 'wrkr.jobspec';
  readonly schema_version: string;
  readonly created_at: string;
  readonly producer_version: string;
  readonly name: string;
  readonly objective: string;
  readonly inputs: {
    readonly workspace?: string;
    readonly references?: readonly string[];
    readonly [key: string]: Json | undefined;
  };
  readonly expected_artifacts: readonly string[];
  readonly adapter: {
    readonly name: string;
    readonly config?: {
      /** Ours: steps that may run side by side. */
      readonly max_parallel?: number;
      /** Ours: makes `checkpoint_policy` binding. */
      readonly strict_policy?: boolean;
      readonly [key: string]: Json | undefined;
    };
  };
  readonly budgets: Budgets;
  readonly checkpoint_policy: {
    readonly min_interval_seconds: number;
    readonly required_types: readonly CheckpointType[];
  };
  readonly acceptance?: { readonly config_path?: string };
  readonly environment_fingerprint?: { readonly rules: readonly string[] };
}

/** One of `inputs.steps`. All fields are optional; the last nine are ours. */
export interface JobStep {
  readonly id?: string;
  readonly summary?: string;
  readonly command?: string;
  readonly artifacts?: readonly string[];
  readonly decision_needed?: boolean;
  readonly required_action?: string;
  readonly executed?: boolean;
  /** Ignored (contract wrkr §e). */
  readonly checkpoint?: Json;
  readonly timeout_seconds?: number;
  /** Names of environment variables that the command gets; absent: all. */
  readonly env?: readonly string[];
  readonly retries?: number;
  readonly on_interrupt?: 'rerun' | 'block';
  readonly usage_file?: string;
  readonly usage?: {
    readonly source: (typeof USAGE_SOURCES)[number];
    /** The model that the agent is asked to use, where its stream does not name it. */
    readonly model?: string;
    readonly prices?: JsonObject;
  };
  readonly needs?: readonly string[];
  readonly capture?: 'tail' | 'full';
}

const text = (maxLength: number) => ({ type: 'string', minLength: 1, maxLength }) as const;
const count = (minimum: number, maximum: number) => ({ type: 'integer', minimum, maximum }) as const;
/** What ends in an argument or a path of the operating system, which end at the first NUL. */
const withoutNul = (maxLength: number) =>
  ({ type: 'string', maxLength, pattern: String.raw`^[^\u0000]*$` }) as const;

const CENTURY_SECONDS = 3_155_760_000;

export const JOBSPEC_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: [
    'schema_id',
    'schema_version',
    'created_at',
    'producer_version',
    'name',
    'objective',
    'inputs',
    'expected_artifacts',
    'adapter',
    'budgets',
    'checkpoint_policy',
  ],
  properties: {
    schema_id: { const: 'wrkr.jobspec' },
    schema_version: { type: 'string', pattern: SCHEMA_VERSION_PATTERN, maxLength: 20 },
    created_at: { type: 'string', format: 'date-time', maxLength: 64 },
    producer_version: text(200),
    name: text(200),
    objective: text(100_000),
    inputs: {
      type: 'object',
      additionalProperties: true,
      properties: {
        workspace: { type: 'string', maxLength: 4096 },
        references: { type: 'array', maxItems: 100_000, items: { type: 'string', maxLength: 100_000 } },
      },
    },
    expected_artifacts: { type: 'array', maxItems: 100_000, items: text(4096) },
    adapter: {
      type: 'object',
      additionalProperties: true,
      required: ['name'],
      properties: {
        name: text(200),
        config: {
          type: 'object',
          additionalProperties: true,
          properties: { max_parallel: count(1, 1000), strict_policy: { type: 'boolean' } },
        },
      },
    },
    budgets: {
      type: 'object',
      additionalProperties: false,
      required: ['max_wall_time_seconds', 'max_retries', 'max_step_count', 'max_tool_calls'],
      properties: {
        max_wall_time_seconds: count(1, CENTURY_SECONDS),
        max_retries: count(0, 1_000_000_000),
        max_step_count: count(1, 1_000_000_000),
        max_tool_calls: count(1, 1_000_000_000),
        max_estimated_cost: { type: 'number', minimum: 0, maximum: 1_000_000_000 },
        max_tokens: count(1, 1_000_000_000_000),
      },
    },
    checkpoint_policy: {
      type: 'object',
      additionalProperties: false,
      required: ['min_interval_seconds', 'required_types'],
      properties: {
        min_interval_seconds: count(1, CENTURY_SECONDS),
        required_types: { type: 'array', maxItems: 100, items: { type: 'string', enum: CHECKPOINT_TYPES } },
      },
    },
    acceptance: {
      type: 'object',
      additionalProperties: true,
      properties: { config_path: { type: 'string', maxLength: 4096 } },
    },
    environment_fingerprint: {
      type: 'object',
      additionalProperties: false,
      required: ['rules'],
      properties: { rules: { type: 'array', maxItems: 1000, items: text(1000) } },
    },
  },
} as const;

export const STEPS_SCHEMA = {
  type: 'array',
  minItems: 1,
  maxItems: 100_000,
  items: {
    type: 'object',
    additionalProperties: false,
    properties: {
      id: { type: 'string', maxLength: STEP_ID_CHARS_MAX },
      summary: { type: 'string', maxLength: 100_000 },
      // The longest single argument that Linux takes.
      command: withoutNul(131_071),
      artifacts: { type: 'array', maxItems: 10_000, items: { type: 'string', maxLength: 4096 } },
      decision_needed: { type: 'boolean' },
      required_action: { type: 'string', maxLength: 2000 },
      executed: { type: 'boolean' },
      checkpoint: true,
      timeout_seconds: { type: 'number', exclusiveMinimum: 0, maximum: CENTURY_SECONDS },
      env: {
        type: 'array',
        maxItems: 1000,
        items: { type: 'string', maxLength: 1000, pattern: String.raw`^[^=\u0000]+$` },
      },
      retries: count(0, 1000),
      on_interrupt: { type: 'string', enum: ['rerun', 'block'] },
      usage_file: { ...withoutNul(4096), minLength: 1 },
      usage: {
        type: 'object',
        additionalProperties: false,
        required: ['source'],
        properties: {
          source: { type: 'string', enum: USAGE_SOURCES },
          model: { type: 'string', minLength: 1, maxLength: 200 },
          prices: {
            type: 'object',
            maxProperties: 1000,
            additionalProperties: {
              type: 'object',
              additionalProperties: false,
              required: ['input', 'output', 'cacheWrite', 'cacheRead'],
              properties: {
                ...rates(),
                longPrompt: {
                  type: 'object',
                  additionalProperties: false,
                  required: ['overTokens', 'input', 'output', 'cacheWrite', 'cacheRead'],
                  properties: { overTokens: count(0, 1_000_000_000_000), ...rates() },
                },
              },
            },
          },
        },
      },
      needs: { type: 'array', maxItems: 1000, items: { type: 'string', maxLength: STEP_ID_CHARS_MAX } },
      capture: { type: 'string', enum: ['tail', 'full'] },
    },
  },
} as const;

/** Dollars per million tokens, as the usage sources take them. */
function rates() {
  const dollars = { type: 'number', minimum: 0, maximum: 1_000_000 } as const;
  return { input: dollars, output: dollars, cacheWrite: dollars, cacheRead: dollars };
}
