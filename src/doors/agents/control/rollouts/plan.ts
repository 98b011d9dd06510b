/** What a rollout needs next, from what is on record and how its tasks stand. Pure; asked again after every change. */
import { ROLLOUT_FINAL } from '../../wire/rollouts.ts';
import type { NewTask, Phase, TaskView } from '../../wire/tasks.ts';
import type { Act, Rollout } from './record.ts';

/** A task of the rollout: one for each agent. */
export interface RolloutTask {
  readonly taskId: string;
  readonly agentId: string;
  readonly endedAtMs: number | undefined;
  readonly isCancelRequested: boolean;
}

export type Step =
  | { readonly do: 'wait'; readonly untilMs?: number }
  | { readonly do: 'create'; readonly agents: readonly string[]; readonly phase: Phase }
  /** Over everything that was asked of agents so far. */
  | { readonly do: 'evaluate' }
  | { readonly do: 'review' }
  | { readonly do: 'promote'; readonly by?: Act }
  | { readonly do: 'cancel'; readonly tasks: readonly string[] }
  | { readonly do: 'end'; readonly state: 'completed' | 'aborted' };

export function nextStep(rollout: Rollout, tasks: ReadonlyMap<string, RolloutTask>, nowMs: number): Step {
  const { state, spec, canary, batches, batchesDone } = rollout;
  if (ROLLOUT_FINAL.includes(state)) return { do: 'wait' };
  switch (state) {
    case 'canary_running':
      return runAgents(rollout, canary, 'canary', tasks, nowMs);
    case 'promoting': {
      const batch = batches[batchesDone];
      return batch === undefined
        ? { do: 'end', state: 'completed' }
        : runAgents(rollout, batch, 'full', tasks, nowMs);
    }
    case 'awaiting_review': {
      const isPass = rollout.verdict?.verdict === 'pass';
      if (isPass && spec.auto_promote) return { do: 'promote' };
      if (rollout.openDecision !== undefined) return { do: 'wait' };
      // Approved elsewhere, as any decision of a run may be. What failed is promoted by its own call only, which says so.
      const { approval } = rollout;
      return isPass && approval !== undefined ? { do: 'promote', by: approval } : { do: 'review' };
    }
    case 'aborting': {
      const open = [...tasks.values()].filter(({ endedAtMs }) => endedAtMs === undefined);
      if (open.length === 0) return { do: 'end', state: 'aborted' };
      const unasked = open.filter(({ isCancelRequested }) => !isCancelRequested);
      return unasked.length === 0
        ? { do: 'wait' }
        : { do: 'cancel', tasks: unasked.map(({ taskId }) => taskId) };
    }
    default:
      return { do: 'wait' };
  }
}

function runAgents(
  { spec, phaseSinceMs }: Rollout,
  agents: readonly string[],
  phase: Phase,
  tasks: ReadonlyMap<string, RolloutTask>,
  nowMs: number,
): Step {
  const missing = agents.filter((id) => !tasks.has(id));
  const deadlineMs = phaseSinceMs + spec.criteria.deadline_s * 1000;
  // Behind the deadline nobody begins: who could not be given a task by then has failed.
  if (missing.length > 0 && nowMs < deadlineMs) return { do: 'create', agents: missing, phase };
  const ends = agents.map((id) => tasks.get(id)?.endedAtMs);
  if (ends.some((endedAtMs) => endedAtMs === undefined))
    return nowMs >= deadlineMs ? { do: 'evaluate' } : { do: 'wait', untilMs: deadlineMs };
  const bakedMs =
    Math.max(phaseSinceMs, ...ends.map((endedAtMs) => endedAtMs ?? 0)) + spec.criteria.bake_s * 1000;
  return nowMs >= bakedMs ? { do: 'evaluate' } : { do: 'wait', untilMs: bakedMs };
}

/** What one agent of the rollout is asked for. */
export function taskOf({ id, spec }: Pick<Rollout, 'id' | 'spec'>, agentId: string, phase: Phase): NewTask {
  const { action, skill, command, args, timeout_s, env_refs, tenant } = spec;
  return {
    action,
    ...(skill === undefined ? {} : { skill }),
    ...(command === undefined ? {} : { command }),
    args,
    target: { agent_ids: [agentId] },
    tenant,
    ...(timeout_s === undefined ? {} : { timeout_s }),
    ...(env_refs === undefined ? {} : { env_refs }),
    rollout_id: id,
    phase,
  };
}

/** How the tasks stand, by agent: each is for one. */
export function byAgent(
  views: readonly TaskView[],
): ReadonlyMap<string, RolloutTask & { readonly view: TaskView }> {
  return new Map(
    views.map((view) => {
      const { task_id: taskId, finished_at: end, cancel_requested: isCancelRequested = false, target } = view;
      const agentId = target.agent_ids?.[0] ?? '';
      const endedAtMs = end === undefined ? undefined : Date.parse(end);
      return [agentId, { taskId, agentId, endedAtMs, isCancelRequested, view }];
    }),
  );
}

/** All agents that the rollout has asked so far, in order. */
export function askedAgents({ canary, batches, batchesDone, state }: Rollout): readonly string[] {
  const begun = state === 'promoting' ? batchesDone + 1 : batchesDone;
  return [...canary, ...batches.slice(0, begun).flat()];
}
