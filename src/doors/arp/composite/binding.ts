/** Which node type does a subtask (contract arp §7.1 4). Pure. */
import type { CandidateSet, CandidateSetRequest, InternalCompositeBeginRequest } from '../wire/requests.ts';
import { namespacedOnly } from '../wire/common.ts';
import { PLANNER_PREFIX } from '../wire/ids.ts';
import type { Fields } from './assignment.ts';
import { failure } from './failures.ts';
import { isFields, type PriorStep, type Subtask } from './plan.ts';

/** Extensions of a child: who planned it how, and on the first one the plan itself, by which a driver goes on. */
export const STRATEGY_KEY = 'jarvis.composite.strategy';
export const PLAN_KEY = 'jarvis.composite.plan';

type Candidate = CandidateSet['candidates'][number];
type Begin = Pick<InternalCompositeBeginRequest, 'constraints' | 'run_context' | 'extensions'>;

export function selectionRequest(
  { constraints, run_context, extensions = {} }: Begin,
  rootGoal: string,
  subtask: Subtask,
  priorSteps: readonly PriorStep[],
): CandidateSetRequest {
  const { id, goal, notes, node_type_id: only } = subtask;
  const { [PLAN_KEY]: _, ...others } = namespacedOnly(extensions);
  return {
    subtask_spec: {
      subtask_id: id,
      // Whoever ranks by words finds the type that has to do it by its name.
      goal: only === undefined ? goal : `${goal} [${only}]`,
      ...(only === undefined ? {} : { constraints: { candidates: { allowed_node_type_ids: [only] } } }),
      extensions: {
        'jarvis.root_goal': rootGoal,
        ...(notes === undefined ? {} : { 'jarvis.subtask.notes': notes }),
      },
    },
    ...(run_context === undefined ? {} : { run_context }),
    ...(constraints === undefined ? {} : { constraints }),
    extensions: { ...others, 'jarvis.prior_steps': priorSteps },
  };
}

/** @throws ArpError `composite_no_candidates` */
export function chosenOf({ candidates, extensions = {} }: CandidateSet, { id }: Subtask): Candidate {
  const needsPlanner = extensions['jarvis.selection.needs_planner'] === true;
  const wanted = extensions['jarvis.selection.planner_node_type_ref'];
  const chosen = needsPlanner ? candidates.find((candidate) => isPlanner(candidate, wanted)) : candidates[0];
  if (chosen !== undefined) return chosen;
  const what = needsPlanner ? 'planner' : 'node type';
  throw failure('composite_no_candidates', `selection offers no ${what} for ${id}`, { subtask_id: id });
}

function isPlanner({ node_type_ref: { node_type_id: id, version } }: Candidate, wanted: unknown): boolean {
  if (!isFields(wanted)) return id.startsWith(PLANNER_PREFIX);
  const { node_type_id, version: wantedVersion }: Fields = wanted;
  return id === node_type_id && version === wantedVersion;
}
