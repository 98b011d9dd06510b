/** What the arguments of a step may be taken from. Pure. */
import type { NodeType } from '../wire/core.ts';
import type { InternalNodeRun } from '../wire/runs.ts';
import type { Assignment, Fields } from './assignment.ts';
import type { Sources } from './fill.ts';
import type { InputSchema } from './input-schema.ts';
import { isFields, type PriorStep, type Subtask } from './plan.ts';

/** Where a planner tells the planner below it what was done before. */
const PRIOR_KEY = 'prior_steps';

/**
 * What the planner above says was done, and our own children.
 * @param most the last so many; undefined: all.
 */
export function priorStepsOf(
  context: Fields,
  children: readonly InternalNodeRun[],
  most = Number.POSITIVE_INFINITY,
): readonly PriorStep[] {
  const before = Array.isArray(context[PRIOR_KEY]) ? (context[PRIOR_KEY] as readonly unknown[]) : [];
  const all = [
    ...before.flatMap(stepIn),
    ...children.map(({ node_type_ref: { node_type_id: action }, outputs = {} }) => ({ action, outputs })),
  ];
  return all.slice(Math.max(0, all.length - most));
}

function stepIn(value: unknown): readonly PriorStep[] {
  if (!isFields(value)) return [];
  const { action, outputs } = value;
  return typeof action === 'string' && isFields(outputs) ? [{ action, outputs }] : [];
}

export function sourcesOf(
  nodeType: NodeType,
  { schema }: InputSchema,
  { goal, notes, inputs = {} }: Subtask,
  assignment: Assignment,
  priorSteps: readonly PriorStep[],
): Sources {
  const { [PRIOR_KEY]: _, ...context } = assignment.context;
  const defaults = nodeType.kind === 'composite' ? forPlanner(schema, goal, assignment, priorSteps) : {};
  return {
    goal,
    ...(notes === undefined ? {} : { notes }),
    context,
    earlier: priorSteps.toReversed(),
    nodeTypeId: nodeType.node_type_id,
    given: { ...defaults, ...inputs },
  };
}

/** What a planner below is told of itself, as far as its schema has words for it. */
function forPlanner(
  schema: Fields,
  goal: string,
  { context, depth, maxDepth, maxSteps }: Assignment,
  priorSteps: readonly PriorStep[],
): Fields {
  const known = priorSteps.length === 0 ? context : { ...context, [PRIOR_KEY]: priorSteps };
  const defaults = { goal, context: known, depth: depth + 1, max_depth: maxDepth, max_steps: maxSteps };
  const properties = isFields(schema['properties']) ? schema['properties'] : {};
  const isOpen = schema['additionalProperties'] !== false;
  return Object.fromEntries(
    Object.entries(defaults).filter(([name]) => isOpen || Object.hasOwn(properties, name)),
  );
}
