/** How a composite executor thinks: how it plans, and how it finds the arguments of a step (contract arp §7.1 3 and 5). */
import type { NodeType } from '../wire/core.ts';
import type { Fields } from './assignment.ts';
import { failure } from './failures.ts';
import { fill, type Sources } from './fill.ts';
import type { InputSchema, Misfit } from './input-schema.ts';
import { planOf, type Plan, type PriorStep } from './plan.ts';
import { stepsIn } from './split.ts';

export interface PlanRequest {
  readonly goal: string;
  readonly context: Fields;
  /** Steps beyond are cut off. */
  readonly maxSteps: number;
  /** A plan with more steps than that fails, so whoever can plan shorter should; at most `maxSteps`, and at least 1. */
  readonly aim: number;
}

export interface ArgumentsRequest {
  readonly nodeType: NodeType;
  readonly inputs: InputSchema;
  readonly sources: Sources;
  /** Of the whole plan. */
  readonly rootGoal: string;
  /** What was done before, in order. */
  readonly priorSteps: readonly PriorStep[];
}

export interface Strategy {
  /** Told in extensions. */
  readonly name: 'deterministic' | 'llm';
  /** @throws ArpError `planner_invalid_output`, `planner_invalid_subtask`, or the model's */
  plan(request: PlanRequest, signal: AbortSignal): Promise<Plan>;
  /** Arguments that fit the schema. @throws ArpError `arggen_validation_failed`, or the model's */
  arguments(request: ArgumentsRequest, signal: AbortSignal): Promise<Fields>;
}

/** Of those that a message or a model is told. */
export const MISFITS_MAX = 20;

/** Fixed rules, nothing else: the same words give the same plan and the same arguments, everywhere. */
export const deterministicStrategy: Strategy = {
  name: 'deterministic',
  async plan({ goal, maxSteps }) {
    return planOf(stepsIn(goal), undefined, maxSteps);
  },
  async arguments({ nodeType, inputs, sources }) {
    const filled = fill(inputs, sources);
    const misfits = inputs.misfits(filled);
    if (misfits.length > 0) throw argumentsDoNotFit(nodeType, misfits);
    return filled;
  },
};

export function argumentsDoNotFit(
  { node_type_id: id, version }: NodeType,
  misfits: readonly Misfit[],
): Error {
  const [first] = misfits;
  const what = first === undefined ? '' : `: ${first.field || 'they'} ${first.problem}`;
  return failure('arggen_validation_failed', `no arguments were found that fit ${id} ${version}${what}`, {
    node_type_id: id,
    version,
    problems: misfits.slice(0, MISFITS_MAX),
  });
}
