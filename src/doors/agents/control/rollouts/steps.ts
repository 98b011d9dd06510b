/** Carries out one step of a rollout: what a person decided, or what follows from what is on record. Called in the rollout's turn. */
import type { Engine } from '../../../../engine/engine.ts';
import { derivedId } from '../../ids.ts';
import { AgentsFailure } from '../../wire/errors.ts';
import type { TaskView } from '../../wire/tasks.ts';
import type { AgentDirectory, RunFiles, TaskBoard } from '../ports.ts';
import { chooseBatches, type Candidate } from './choice.ts';
import { judge } from './judge.ts';
import { taskOf, type Step } from './plan.ts';
import type { Act, Rollout } from './record.ts';
import type { RolloutRuns } from './rollout-runs.ts';
import { reviewText, type Action, type Verb } from './rules.ts';

export interface StepsOptions {
  readonly engine: Engine;
  readonly board: TaskBoard;
  readonly agents: AgentDirectory;
  readonly files: Pick<RunFiles, 'open'>;
  nowMs(): number;
}

/** Tasks that are made at once: they share what is written. */
const AT_ONCE = 50;

export class RolloutSteps {
  readonly #options: StepsOptions;
  readonly #runs: RolloutRuns;

  constructor(options: StepsOptions, runs: RolloutRuns) {
    this.#options = options;
    this.#runs = runs;
  }

  /** What a person has decided. */
  async carryOut(rollout: Rollout, verb: Verb, { by, reason, override = false }: Action): Promise<void> {
    const { id } = rollout;
    const act = { by, reason };
    switch (verb) {
      case 'start':
        return this.#runs.record(id, { name: 'rollout.started', data: act });
      case 'pause':
        return this.#runs.record(id, { name: 'rollout.paused', data: act });
      case 'resume':
        return this.#runs.record(id, { name: 'rollout.resumed', data: act });
      case 'abort':
        return this.#runs.record(id, { name: 'rollout.aborting', data: act });
      case 'promote':
        return this.#promote(rollout, { ...act, override });
    }
  }

  /** The approval comes first (I8); who is on the way to it when we die repeats the call. */
  async #promote(rollout: Rollout, act: Act & { readonly override: boolean }): Promise<void> {
    const { id, spec, openDecision, canary, batches } = rollout;
    if (openDecision !== undefined) await this.#runs.approve(id, openDecision, act);
    const done = new Set(canary);
    const planned =
      batches.length > 0
        ? {}
        : { batches: chooseBatches(id, spec, candidatesOf(this.#options.agents, spec.tenant), done) };
    await this.#runs.record(id, { name: 'rollout.promoted', data: { ...act, ...planned } });
  }

  /** What follows from what is on record. */
  async take(
    step: Exclude<Step, { do: 'wait' }>,
    rollout: Rollout,
    views: readonly TaskView[],
    signal: AbortSignal,
  ): Promise<void> {
    const { board } = this.#options;
    const { id, spec } = rollout;
    const by = { tenant: spec.tenant, actor: `rollout/${id}`, role: 'operator' } as const;
    switch (step.do) {
      case 'create':
        for (let from = 0; from < step.agents.length && !signal.aborted; from += AT_ONCE)
          await Promise.all(
            step.agents.slice(from, from + AT_ONCE).map((agentId) =>
              board.create(by, taskOf(rollout, agentId, step.phase), {
                taskId: derivedId('task', id, agentId),
                runId: derivedId('run', id, agentId),
              }),
            ),
          );
        return;
      case 'cancel':
        await Promise.all(
          step.tasks.map((task) => board.cancel(by, task, 'the rollout is aborted').catch(finished)),
        );
        return;
      case 'evaluate': {
        const verdict = await judge(rollout, views, { ...this.#options, signal });
        if (verdict !== undefined) await this.#runs.record(id, { name: 'rollout.evaluated', data: verdict });
        return;
      }
      case 'review':
        return this.#runs.review(id, reviewText(rollout));
      case 'promote': {
        const act = step.by ?? { by: by.actor, reason: 'auto_promote' };
        return this.#promote(rollout, { ...act, override: false });
      }
      case 'end':
        return this.#runs.end(id, step.state);
    }
  }
}

export function candidatesOf(agents: AgentDirectory, tenant: string): readonly Candidate[] {
  return agents.list(tenant).map(({ agent_id: agentId, labels, state }) => ({
    agentId,
    labels,
    isReady: state === 'online',
  }));
}

/** Who was faster than the cancel has ended, and that was all it was for. */
function finished(error: unknown): undefined {
  if (!(error instanceof AgentsFailure) || error.status !== 409) throw error;
}
