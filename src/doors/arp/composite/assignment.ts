/** What a composite NodeRun is asked for: goal, context, steps, and within which limits (contract arp §7.1 1 and 2). Pure. */
import type { InternalCompositeBeginRequest } from '../wire/requests.ts';
import { failure } from './failures.ts';

export type Fields = Readonly<Record<string, unknown>>;

export interface Assignment {
  readonly goal: string;
  readonly context: Fields;
  /** An explicit list of steps, unchecked; undefined: plan. */
  readonly steps: unknown;
  /** How deep this planner stands; 0: nobody planned it. */
  readonly depth: number;
  /** Planners may stand less deep than this. */
  readonly maxDepth: number;
  /** At least 1. */
  readonly maxSteps: number;
}

export interface LimitDefaults {
  readonly maxSteps?: number;
  readonly maxDepth?: number;
}

type Begin = Pick<InternalCompositeBeginRequest, 'inputs' | 'constraints'>;

/**
 * The stricter of inputs and constraints holds (H12); the defaults count only where neither says anything.
 * @throws ArpError `composite_goal_missing`, `composite_limit_missing`, `planner_invalid_max_steps`,
 * `planner_invalid_max_depth`, `planner_invalid_depth`, `planner_depth_exceeded`
 */
export function assignmentOf({ inputs, constraints }: Begin, defaults: LimitDefaults): Assignment {
  const goal = [inputs['goal'], inputs['prompt']].find(isText);
  if (goal === undefined)
    throw failure('composite_goal_missing', 'neither inputs.goal nor inputs.prompt is a text');
  const maxSteps = limit('max_steps', inputs, constraints?.budgets?.max_steps, defaults.maxSteps);
  const maxDepth = limit('max_depth', inputs, constraints?.structural?.max_depth, defaults.maxDepth);
  const depth = wholeNumber('depth', inputs['depth']) ?? 0;
  if (maxSteps < 1) throw outOfRange('max_steps', maxSteps, 1);
  if (maxDepth < 0) throw outOfRange('max_depth', maxDepth, 0);
  if (depth < 0) throw outOfRange('depth', depth, 0);
  if (depth >= maxDepth)
    throw failure(
      'planner_depth_exceeded',
      `a planner at depth ${depth} is not below the limit of ${maxDepth}`,
      {
        depth,
        max_depth: maxDepth,
      },
    );
  const steps = inputs['steps'] ?? undefined;
  return { goal: goal.trim(), context: contextOf(inputs['context']), steps, depth, maxDepth, maxSteps };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

function contextOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

type LimitName = 'max_steps' | 'max_depth';

function limit(
  name: LimitName,
  inputs: Fields,
  constraint: number | undefined,
  byDefault: number | undefined,
): number {
  const input = wholeNumber(name, inputs[name]);
  const stated = [input, constraint].filter((value) => value !== undefined);
  if (stated.length > 0) return Math.min(...stated);
  if (byDefault !== undefined) return byDefault;
  const variable = `JARVIS_COMPOSITE_${name.toUpperCase()}`;
  throw failure(
    'composite_limit_missing',
    `${name} is in neither inputs nor constraints, and ${variable} is not set`,
    { limit: name },
  );
}

/** Texts of digits count, as some clients send them; null counts as absent. */
function wholeNumber(name: LimitName | 'depth', value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const number =
    typeof value === 'string' && /^\s*[+-]?\d{1,15}\s*$/.test(value) ? Number(value.trim()) : value;
  if (Number.isSafeInteger(number)) return number as number;
  throw failure(`planner_invalid_${name}`, `inputs.${name} must be a whole number`, {
    value: JSON.stringify(value).slice(0, 100),
  });
}

function outOfRange(name: LimitName | 'depth', value: number, least: number): Error {
  return failure(`planner_invalid_${name}`, `${name} is ${value}, and must be at least ${least}`, {
    value,
    limit: least,
  });
}
