/** JobSpec → run (contract wrkr §e). Pure: the workspace is resolved before (`resolveWorkspace`). */
import type { Limits } from '../../model/budget.ts';
import { fitSummary } from '../../model/decide/checkpoint.ts';
import { ReeveError } from '../../model/errors.ts';
import type { Json } from '../../model/json.ts';
import { NO_DELTA, type NodeSpec } from '../../model/node.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import { requirePattern } from './redact-flag.ts';
import { adapterOf, USAGE_SOURCES, type Budgets, type JobSpec, type JobStep } from './schema.ts';
import {
  cleanPaths,
  needsOf,
  planSteps,
  ROOT_ID,
  stepNode,
  type PlannedStep,
  type StepSurroundings,
} from './steps.ts';

export interface RunSurroundings extends StepSurroundings {
  readonly tenant: string;
  readonly actor: string;
  /** Version of this program; kept with the run, so that its records read the same after an upgrade (I10). */
  readonly producerVersion: string;
}

/** Types that a strict policy can ask for: what a run that ends well may have emitted by then (contract wrkr §c). */
const ENFORCED_TYPES: readonly string[] = ['plan', 'progress', 'completed'];

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown adapter, needs that cannot be met. */
export function toRun(spec: JobSpec, where: RunSurroundings): RunSpec {
  const adapter = adapterOf(spec.adapter.name);
  if (adapter === undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `unknown adapter ${JSON.stringify(spec.adapter.name)}`, {
      field: '/adapter/name',
      value: spec.adapter.name,
    });
  }
  const { config = {} } = spec.adapter;
  const steps =
    adapter === 'noop' ? [] : planSteps((spec.inputs['steps'] ?? []) as unknown as readonly JobStep[]);
  const needs = needsOf(steps, config.max_parallel);
  const { required_types: required, min_interval_seconds: interval } = spec.checkpoint_policy;
  return {
    tenant: where.tenant,
    actor: where.actor,
    name: spec.name,
    limits: limitsOf(spec.budgets),
    root: {
      ...plan(config.max_parallel),
      before: { type: 'plan', summary: fitSummary(spec.objective, spec.name) },
      after: { type: 'completed', summary: completedSummary(spec.expected_artifacts, steps) },
    },
    nodes: steps.map((step) => stepNode(step, needs[step.index] ?? [], where)),
    ...(config.strict_policy === true
      ? {
          requiredCheckpoints: ENFORCED_TYPES.filter((type) => required.some((each) => each === type)),
          minCheckpointIntervalMs: interval * 1000,
        }
      : {}),
    labels: labelsOf(adapter, where),
    document: spec as unknown as Json,
  };
}

export function labelsOf(adapter: string, { producerVersion }: RunSurroundings): RunSpec['labels'] {
  return { door: 'jobs', adapter, producer_version: producerVersion };
}

export function plan(maxParallel?: number): NodeSpec {
  return {
    id: ROOT_ID,
    kind: 'composite',
    drive: 'plan',
    ...(maxParallel === undefined ? {} : { maxParallel }),
  };
}

/** Seconds become milliseconds and dollars millionths; 0 and absent are no limit. */
export function limitsOf(budgets: Partial<Budgets>): Limits {
  const limits = {
    wallMs: (budgets.max_wall_time_seconds ?? 0) * 1000,
    retries: budgets.max_retries ?? 0,
    steps: budgets.max_step_count ?? 0,
    toolCalls: budgets.max_tool_calls ?? 0,
    costMicros: costLimit(budgets.max_estimated_cost ?? 0),
    tokens: budgets.max_tokens ?? 0,
  };
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit > 0));
}

/** A limit below a millionth of a dollar still limits: 0 would not. */
function costLimit(dollars: number): number {
  return dollars > 0 ? Math.max(1, Math.round(dollars * 1_000_000)) : 0;
}

/** Names expected artifacts that no step claims (contract wrkr §e). */
function completedSummary(expected: readonly string[], steps: readonly PlannedStep[]): string {
  const claimed = new Set(steps.flatMap((step) => step.artifacts));
  const missing = cleanPaths(expected).filter((path) => !claimed.has(path));
  if (missing.length === 0) return 'job completed';
  return fitSummary(`job completed; expected artifacts never claimed: ${missing.join(', ')}`);
}

export interface WrapOptions {
  readonly artifacts?: readonly string[];
  /** Regular expressions, beside the secrets that are known anyway; what they match is not kept. */
  readonly redact?: readonly string[];
  readonly limits?: Limits;
  /** Agent whose event stream on standard output tells tokens, cost and calls. */
  readonly usageSource?: string;
  readonly usageModel?: string;
}

/**
 * A run of one command, as it is, without a shell (contract wrkr §e, "wrap"). Where the arguments hold a secret, a
 * redacted form is kept, and the true ones stay in the memory of the process that wraps (I9).
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: no program, or an expression that is none.
 */
export function wrapRun(argv: readonly string[], options: WrapOptions, where: RunSurroundings): RunSpec {
  const [program = ''] = argv;
  if (program.trim() === '' || argv.some((part) => part.includes('\0'))) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'wrap needs a command after --', { field: 'argv' });
  }
  const { artifacts = [], redact = [], limits = {}, usageSource, usageModel } = options;
  if (usageSource !== undefined && !USAGE_SOURCES.some((known) => known === usageSource)) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `unknown usage source '${usageSource}'; known: ${USAGE_SOURCES.join(', ')}`,
      {
        field: 'usage',
        value: usageSource,
      },
    );
  }
  const shown = shownCommand(argv, redact);
  return {
    tenant: where.tenant,
    actor: where.actor,
    name: 'wrap',
    limits,
    root: {
      ...plan(),
      before: { type: 'plan', summary: fitSummary(shown.line) },
      after: { type: 'completed', summary: 'job completed' },
    },
    nodes: [
      {
        id: '0:wrap',
        kind: 'atomic',
        name: 'wrap',
        executor: 'process',
        input: {
          argv: shown.argv,
          ...(shown.isRedacted ? { argvRedacted: true } : {}),
          ...(redact.length === 0 ? {} : { redact }),
          cwd: where.cwd,
          ...(usageSource === undefined
            ? {}
            : {
                usageSource: {
                  name: usageSource,
                  ...(usageModel === undefined ? {} : { model: usageModel }),
                },
              }),
        },
        reserve: { steps: 1, toolCalls: 1 },
        onFailure: 'hold',
        // Nobody said that the command may run twice.
        onInterrupt: 'block',
        after: {
          type: 'progress',
          summary: 'the command ended with exit code 0',
          delta: { ...NO_DELTA, added: cleanPaths(artifacts) },
          evenIfFailed: true,
        },
        key: 'step:0:wrap',
        labels: { command: shown.line },
      },
    ],
    labels: labelsOf('wrap', where),
  };
}

interface ShownCommand {
  readonly argv: readonly string[];
  readonly line: string;
  /** Whether it differs from the true one. */
  readonly isRedacted: boolean;
}

/** The command as it may be kept. Each argument by itself, so that `^…$` works, and then the line, so that `--token \S+` does. */
function shownCommand(argv: readonly string[], patterns: readonly string[]): ShownCommand {
  const expressions = patterns.map(requirePattern);
  const redacted = argv.map((argument) => redactText(argument, expressions));
  const joined = redacted.join(' ');
  const line = redactText(joined, expressions);
  const isRedacted = line !== argv.join(' ');
  // Where only the whole line shows a secret, which argument it is in cannot be told.
  return { argv: line === joined ? redacted : [line], line, isRedacted };
}
