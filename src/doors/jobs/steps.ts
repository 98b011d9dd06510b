/** `inputs.steps` → nodes of a run (contract wrkr §e, "reference"). Pure. */
import { join } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { JsonObject } from '../../model/json.ts';
import { NO_DELTA, type NodeSpec, type RequiredAction } from '../../model/node.ts';
import { fitSummary } from '../../model/decide/checkpoint.ts';
import { STEP_ID_CHARS_MAX, type JobStep } from './schema.ts';

export const ROOT_ID = 'job';

/** A step with its defaults filled in. */
export interface PlannedStep {
  readonly index: number;
  readonly id: string;
  readonly nodeId: string;
  readonly summary: string;
  readonly command: string;
  readonly artifacts: readonly string[];
  readonly executed: boolean;
  /** Set when the step ends in a decision. */
  readonly decision?: RequiredAction;
  readonly declared: JobStep;
}

export interface StepSurroundings {
  /** Working directory of the commands; absolute. */
  readonly cwd: string;
  /** The job's own directory, where `capture: full` puts its output; absolute. */
  readonly jobDir: string;
}

export function planSteps(steps: readonly JobStep[]): readonly PlannedStep[] {
  return steps.map((declared, index) => {
    const id = (declared.id ?? '').trim() || 'step';
    const action = (declared.required_action ?? '').trim() || 'approval';
    return {
      index,
      id,
      nodeId: `${index}:${id}`,
      summary: (declared.summary ?? '').trim() || `step ${id}`,
      command: (declared.command ?? '').trim(),
      artifacts: cleanPaths(declared.artifacts ?? []),
      executed: declared.executed ?? true,
      ...(declared.decision_needed === true
        ? { decision: { kind: action, instructions: `decide about step ${id}` } }
        : {}),
      declared,
    };
  });
}

/** Trimmed, without blanks and duplicates, sorted by byte. */
export function cleanPaths(paths: readonly string[]): readonly string[] {
  return [...new Set(paths.map((path) => path.trim()).filter((path) => path !== ''))].toSorted((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
}

export function stepNode(
  step: PlannedStep,
  needs: readonly string[],
  { cwd, jobDir }: StepSurroundings,
): NodeSpec {
  const { declared, command, executed } = step;
  const runs = executed && command !== '';
  const retries = declared.retries ?? 0;
  return {
    id: step.nodeId,
    kind: 'atomic',
    name: step.id,
    ...(runs ? { executor: 'process', input: inputOf(step, cwd, jobDir) } : {}),
    ...(needs.length === 0 ? {} : { needs }),
    reserve: runs ? { steps: 1, toolCalls: 1 } : { steps: 1 },
    ...(declared.timeout_seconds === undefined
      ? {}
      : { timeoutMs: Math.max(1, Math.round(declared.timeout_seconds * 1000)) }),
    ...(retries === 0 ? {} : { retry: { max: retries, backoffMs: 1000, capMs: 60_000 } }),
    onFailure: 'hold',
    onInterrupt: declared.on_interrupt ?? 'rerun',
    after: {
      type: step.decision === undefined ? 'progress' : 'decision-needed',
      summary: fitSummary(step.summary),
      delta: { ...NO_DELTA, added: step.artifacts },
      ...(step.decision === undefined ? {} : { requiredAction: step.decision }),
    },
    key: `step:${step.index}:${step.id}`,
    // What the node does not say otherwise; `lines.ts` reads it.
    ...(executed ? {} : { labels: { executed, ...(command === '' ? {} : { command }) } }),
  };
}

/** The process executor's input (its `ProcessInput`): names of variables, never their values. */
function inputOf(step: PlannedStep, cwd: string, jobDir: string): JsonObject {
  const { env, usage_file: usageFile, usage, capture } = step.declared;
  return {
    argv: ['sh', '-lc', step.command],
    cwd,
    ...(env === undefined ? {} : { env: { allow: env } }),
    ...(usageFile === undefined ? {} : { usageFile }),
    ...(usage === undefined
      ? {}
      : {
          usageSource: {
            name: usage.source,
            ...(usage.model === undefined ? {} : { model: usage.model }),
            ...(usage.prices === undefined ? {} : { prices: usage.prices }),
          },
        }),
    ...(capture === undefined ? {} : { capture }),
    ...(capture === 'full' ? { captureDir: join(jobDir, 'steps', String(step.index)) } : {}),
  };
}

/**
 * Node ids that each step needs. Without `needs` and `max_parallel` the steps are a chain; otherwise they wait for
 * nothing but what they name.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: ids used twice, needs that are unknown, of itself, or circular.
 */
export function needsOf(
  steps: readonly PlannedStep[],
  maxParallel: number | undefined,
): readonly (readonly string[])[] {
  if (maxParallel === undefined && steps.every(({ declared }) => declared.needs === undefined)) {
    return steps.map(({ index }) => (index === 0 ? [] : [steps[index - 1]?.nodeId ?? '']));
  }
  const byId = new Map<string, PlannedStep>();
  for (const step of steps) {
    if (byId.has(step.id))
      throw refusal(step.index, 'id', `is used twice; with needs or max_parallel ids are unique`, step.id);
    byId.set(step.id, step);
  }
  const needs = steps.map((step) =>
    [...new Set(step.declared.needs ?? [])].map((id, at) => {
      const needed = byId.get(id.trim());
      if (needed === undefined) throw refusal(step.index, `needs/${at}`, 'names no step', id);
      if (needed === step) throw refusal(step.index, `needs/${at}`, 'names the step itself', id);
      return needed;
    }),
  );
  refuseCircle(steps, needs);
  return needs.map((list) => list.map((needed) => needed.nodeId));
}

/** Takes away steps that wait for nothing left, until none is; the rest wait for each other. */
function refuseCircle(steps: readonly PlannedStep[], needs: readonly (readonly PlannedStep[])[]): void {
  const waiting = needs.map((list) => list.length);
  const dependents = steps.map((): number[] => []);
  needs.forEach((list, index) => list.forEach((needed) => dependents[needed.index]?.push(index)));
  const free = steps.filter((step) => waiting[step.index] === 0);
  for (const step of free) {
    for (const index of dependents[step.index] ?? []) {
      const left = (waiting[index] ?? 0) - 1;
      waiting[index] = left;
      const next = steps[index];
      if (left === 0 && next !== undefined) free.push(next);
    }
  }
  const stuck = steps.filter((step) => (waiting[step.index] ?? 0) > 0);
  const [first] = stuck;
  if (first === undefined) return;
  const names = stuck.slice(0, 10).map((step) => step.id);
  throw refusal(
    first.index,
    'needs',
    `waits for itself, in or behind the circle of ${names.join(', ')}`,
    first.id,
  );
}

function refusal(index: number, key: string, problem: string, value: string): ReeveError {
  const field = `/inputs/steps/${index}/${key}`;
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the spec is not valid: ${field} ${problem}`, {
    field,
    problem,
    value,
  });
}

/**
 * Steps of a job that another implementation has accepted: a field of a wrong type counts as absent (contract wrkr §e),
 * and so does one that only we know. New jobs are held to the schema.
 */
export function lenientSteps(raw: unknown): readonly JobStep[] {
  if (!Array.isArray(raw)) return [];
  return raw.map((item: unknown) => {
    const step = typeof item === 'object' && item !== null ? (item as Record<string, unknown>) : {};
    const text = (key: string) =>
      typeof step[key] === 'string' ? { [key]: step[key].replaceAll('\0', '') } : {};
    const flag = (key: string) => (typeof step[key] === 'boolean' ? { [key]: step[key] } : {});
    const artifacts: unknown = step['artifacts'];
    return {
      ...(typeof step['id'] === 'string' ? { id: step['id'].trim().slice(0, STEP_ID_CHARS_MAX) } : {}),
      ...text('summary'),
      ...text('command'),
      ...text('required_action'),
      ...flag('decision_needed'),
      ...flag('executed'),
      ...(Array.isArray(artifacts)
        ? { artifacts: artifacts.filter((path) => typeof path === 'string') }
        : {}),
    };
  });
}
