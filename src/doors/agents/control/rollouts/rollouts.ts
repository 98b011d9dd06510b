/** Rollouts: one at a time for a skill and environment, driven from canary to end by what is on record (contract agents §7). */
import { ReeveError } from '../../../../model/errors.ts';
import type { Engine } from '../../../../engine/engine.ts';
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import type { Page } from '../../wire/common.ts';
import { AgentsFailure, conflict, notFound } from '../../wire/errors.ts';
import { derivedId, newId } from '../../ids.ts';
import { ROLLOUT_FINAL, type NewRollout, type RolloutState } from '../../wire/rollouts.ts';
import type { Phase } from '../../wire/tasks.ts';
import type { AgentDirectory, Audit, AuditNote, Caller, Ledger, RunFiles, TaskBoard } from '../ports.ts';
import type { TaskView } from '../../wire/tasks.ts';
import { chooseBatches, chooseCanary, type Candidate } from './choice.ts';
import { evaluate } from './criteria.ts';
import { checkHealth } from './health-gate.ts';
import { askedAgents, nextStep, type RolloutTask, type Step } from './plan.ts';
import { emptyRollout, isRunning, type Act, type Rollout } from './record.ts';
import { RolloutIndex, type RolloutQuery } from './rollout-index.ts';
import { RolloutRuns } from './rollout-runs.ts';
import { requireState, reviewText, whyNobody, type Action, type Verb } from './rules.ts';
import { sampleOf } from './samples.ts';
import { rolloutSpec, subjectOf } from './spec.ts';

export interface RolloutsOptions {
  readonly engine: Engine;
  readonly database: ServiceDatabase;
  readonly board: TaskBoard;
  readonly agents: AgentDirectory;
  readonly files: Pick<RunFiles, 'open'>;
  readonly audit: Audit;
  readonly ledger: Ledger;
  nowMs(): number;
  /** Told of rollouts that cannot go on now; they are tried again. */
  note?(text: string): void;
}

/** After a failure to go on, milliseconds. */
const RETRY_MS = 5000;
/** Longest wait of a timer: Node has a limit, and clocks are set. */
const LOOK_MS = 60_000;

export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #runs: RolloutRuns;
  readonly #index: RolloutIndex;
  /** Unfinished ones, by id, as last seen. */
  readonly #live = new Map<string, Rollout>();
  /** What is being done to a rollout, so that it is done one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #stop = new AbortController();
  #unsubscribe: () => void = () => undefined;

  constructor(options: RolloutsOptions) {
    this.#options = options;
    this.#runs = new RolloutRuns(options.engine);
    this.#index = new RolloutIndex(options.database);
  }

  /** Takes up what was under way. @throws ReeveError E_STORE_* */
  async open(): Promise<void> {
    const { board } = this.#options;
    for (const id of this.#index.unfinished()) {
      const rollout = await this.#runs.get(id).catch(absent);
      // Its index came first, and then nothing: nobody was told of it.
      if (rollout === undefined) await this.#options.ledger.write(() => this.#index.remove(id));
      else await this.#keep(rollout);
    }
    board.mayHandOut = (id) => {
      const rollout = this.#live.get(id);
      return rollout !== undefined && isRunning(rollout.state);
    };
    this.#unsubscribe = board.subscribe(({ rollout_id: id }) => {
      if (id !== undefined && this.#live.has(id)) void this.#advance(id);
    });
    for (const id of this.#live.keys()) void this.#advance(id);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#unsubscribe();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.allSettled(this.#turns.values());
  }

  /** @throws AgentsFailure 409 while another one of the same skill and environment is unfinished */
  async create(by: Caller, request: NewRollout): Promise<Rollout> {
    const { nowMs, ledger } = this.#options;
    const spec = rolloutSpec(request, by.tenant);
    const id = newId();
    const other = [...this.#live.values()].find(
      (one) => one.spec.tenant === spec.tenant && subjectOf(one.spec) === subjectOf(spec),
    );
    if (other !== undefined)
      throw conflict(
        'rollout_unfinished',
        `rollout ${other.id} of the same in ${spec.environment} is ${other.state}`,
        {
          rollout_id: other.id,
          state: other.state,
        },
      );
    const { canary, missing } = chooseCanary(id, spec, this.#candidates(spec.tenant));
    const failed = whyNobody(canary, missing);
    // Until it is on record nobody else may take its place.
    this.#live.set(id, emptyRollout(id, spec, nowMs()));
    try {
      await ledger.write(() => this.#index.add(id, spec, nowMs()));
      await this.#runs.create({
        id,
        spec,
        by: by.actor,
        canary,
        ...(failed === undefined ? {} : { failed }),
      });
    } catch (error) {
      this.#live.delete(id);
      throw error;
    }
    const created = await this.#runs.get(id);
    const after = { state: created.state, canary };
    const rollout = await this.#keep(created, {
      actor: by.actor,
      action: 'rollout.create',
      after,
      ...(failed === undefined ? {} : { reason: failed }),
    });
    if (rollout.state !== 'draft' || request.start === false) return rollout;
    return this.act(by, id, 'start', { by: by.actor, reason: 'started with its creation' });
  }

  /** @throws AgentsFailure 404 */
  async get(tenant: string, id: string): Promise<Rollout> {
    if (this.#index.tenantOf(id) !== tenant) throw notFound('rollout', id);
    return this.#live.get(id) ?? this.#runs.get(id);
  }

  /** Newest first. @throws AgentsFailure 422 */
  async list(tenant: string, query: RolloutQuery): Promise<Page<Rollout>> {
    const { items, ...next } = this.#index.list(tenant, query);
    return { items: await Promise.all(items.map((id) => this.get(tenant, id))), ...next };
  }

  /** How many there are in each state, finished ones included. */
  counts(): ReadonlyMap<RolloutState, number> {
    return this.#index.counts();
  }

  /** @throws AgentsFailure 404; 409 in a state that does not allow it, or is not the expected one */
  async act(by: Caller, id: string, verb: Verb, action: Action): Promise<Rollout> {
    await this.get(by.tenant, id);
    const changed = await this.#inTurn(id, async () => {
      const before = await this.#runs.get(id);
      requireState(before, verb, action);
      const after = await this.#carryOut(before, verb, action);
      return this.#keep(after, {
        actor: by.actor,
        action: `rollout.${verb}`,
        before: { state: before.state },
        after: { state: after.state, ...(action.override === true ? { override: true } : {}) },
        reason: action.reason,
      });
    });
    this.#options.board.wake();
    await this.#advance(id);
    return this.#live.get(id) ?? (ROLLOUT_FINAL.includes(changed.state) ? changed : this.#runs.get(id));
  }

  async #carryOut(rollout: Rollout, verb: Verb, { by, reason, override = false }: Action): Promise<Rollout> {
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
  async #promote(rollout: Rollout, act: Act & { readonly override: boolean }): Promise<Rollout> {
    const { id, spec, openDecision, canary, batches } = rollout;
    if (openDecision !== undefined) await this.#runs.approve(id, openDecision, act);
    const done = new Set(canary);
    const planned =
      batches.length > 0 ? {} : { batches: chooseBatches(id, spec, this.#candidates(spec.tenant), done) };
    return this.#runs.record(id, { name: 'rollout.promoted', data: { ...act, ...planned } });
  }

  /** Does what comes next, and again, until something has to be waited for. Never throws. */
  #advance(id: string): Promise<void> {
    return this.#inTurn(id, async () => {
      clearTimeout(this.#timers.get(id));
      while (!this.#stop.signal.aborted) {
        const rollout = await this.#keep(await this.#runs.get(id));
        if (ROLLOUT_FINAL.includes(rollout.state)) return;
        const views = await this.#options.board.ofRollout(rollout.spec.tenant, id);
        const step = nextStep(rollout, new Map(views.map(taskOf)), this.#options.nowMs());
        if (step.do === 'wait') return this.#lookAgain(id, step.untilMs);
        await this.#take(step, rollout, views);
      }
    }).catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      const why = error instanceof Error ? error.message : String(error);
      this.#options.note?.(`rollout ${id} cannot go on now: ${why}`);
      this.#lookAgain(id, this.#options.nowMs() + RETRY_MS);
    });
  }

  async #take(
    step: Exclude<Step, { do: 'wait' }>,
    rollout: Rollout,
    views: readonly TaskView[],
  ): Promise<void> {
    const { id, spec } = rollout;
    const by = { tenant: spec.tenant, actor: `rollout/${id}`, role: 'operator' } as const;
    switch (step.do) {
      case 'create':
        for (const agentId of step.agents) await this.#createTask(by, rollout, agentId, step.phase);
        return;
      case 'cancel':
        await Promise.all(
          step.tasks.map((task) =>
            this.#options.board.cancel(by, task, 'the rollout is aborted').catch(finished),
          ),
        );
        return;
      case 'evaluate':
        return this.#evaluate(rollout, views);
      case 'review':
        await this.#runs.review(id, reviewText(rollout));
        return;
      case 'promote': {
        const act = step.by ?? { by: by.actor, reason: 'auto_promote' };
        const after = await this.#promote(rollout, { ...act, override: false });
        await this.#keep(after, {
          ...told(after),
          actor: act.by,
          action: 'rollout.promote',
          reason: act.reason,
        });
        return;
      }
      case 'end': {
        const after = await this.#runs.end(id, step.state);
        const reason = rollout.lastAct?.reason;
        const note = {
          ...told(after),
          action: `rollout.${step.state}`,
          ...(reason === undefined ? {} : { reason }),
        };
        await this.#keep(after, note);
      }
    }
  }

  async #createTask(by: Caller, { id, spec }: Rollout, agentId: string, phase: Phase): Promise<void> {
    const { action, skill, command, args, timeout_s, env_refs } = spec;
    await this.#options.board.create(
      by,
      {
        action,
        ...(skill === undefined ? {} : { skill }),
        ...(command === undefined ? {} : { command }),
        args,
        target: { agent_ids: [agentId] },
        tenant: spec.tenant,
        ...(timeout_s === undefined ? {} : { timeout_s }),
        ...(env_refs === undefined ? {} : { env_refs }),
        rollout_id: id,
        phase,
      },
      { taskId: derivedId('task', id, agentId), runId: derivedId('run', id, agentId) },
    );
  }

  async #evaluate(rollout: Rollout, views: readonly TaskView[]): Promise<void> {
    const { id, spec, phaseSinceMs } = rollout;
    const { files, nowMs } = this.#options;
    const byAgent = new Map(views.map((view) => [agentOf(view), view]));
    const asked = askedAgents(rollout);
    const samples = await Promise.all(asked.map((agentId) => sampleOf(agentId, byAgent.get(agentId), files)));
    const gate = spec.criteria.health_gate;
    const health = gate === undefined ? undefined : await checkHealth(gate, this.#stop.signal);
    if (this.#stop.signal.aborted) return;
    const elapsedS = Math.max(0, Math.round((nowMs() - phaseSinceMs) / 1000));
    const verdict = evaluate(spec.criteria, samples, {
      elapsedS,
      ...(health === undefined ? {} : { health }),
    });
    const after = await this.#runs.record(id, { name: 'rollout.evaluated', data: verdict });
    const note = { ...told(after), action: 'rollout.evaluate', after: { state: after.state, ...verdict } };
    await this.#keep(after, note);
  }

  #candidates(tenant: string): readonly Candidate[] {
    return this.#options.agents.list(tenant).map(({ agent_id: agentId, labels, state }) => ({
      agentId,
      labels,
      isReady: state === 'online',
    }));
  }

  /** Makes the rollout known as it is, and writes down why it is so. */
  async #keep(rollout: Rollout, note?: Omit<AuditNote, 'tenant' | 'object'>): Promise<Rollout> {
    const { id, state, spec } = rollout;
    if (ROLLOUT_FINAL.includes(state)) this.#live.delete(id);
    else this.#live.set(id, rollout);
    if (note === undefined && this.#index.stateOf(id) === state) return rollout;
    await this.#options.ledger.write(() => {
      this.#index.update(id, state);
      if (note !== undefined)
        this.#options.audit.append({ ...note, tenant: spec.tenant, object: `rollout/${id}` });
    });
    return rollout;
  }

  #lookAgain(id: string, untilMs: number | undefined): void {
    if (untilMs === undefined || this.#stop.signal.aborted) return;
    const waitMs = Math.min(LOOK_MS, Math.max(0, untilMs - this.#options.nowMs()));
    clearTimeout(this.#timers.get(id));
    this.#timers.set(id, setTimeout(() => void this.#advance(id), waitMs).unref());
  }

  #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#turns.set(id, turn);
    const done = (): void => {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    };
    void turn.catch(() => undefined).finally(done);
    return turn;
  }
}

function taskOf(view: TaskView): readonly [string, RolloutTask] {
  const { task_id: taskId, finished_at: finishedAt, cancel_requested: isCancelRequested = false } = view;
  const agentId = agentOf(view);
  const endedAtMs = finishedAt === undefined ? undefined : Date.parse(finishedAt);
  return [agentId, { taskId, agentId, endedAtMs, isCancelRequested }];
}

/** Tasks of a rollout are for one agent each. */
function agentOf({ target }: TaskView): string {
  return target.agent_ids?.[0] ?? '';
}

/** What the rollout did by itself. */
function told({ id, state }: Rollout): {
  readonly actor: string;
  readonly after: { readonly state: string };
} {
  return { actor: `rollout/${id}`, after: { state } };
}

function absent(error: unknown): undefined {
  if (!(error instanceof ReeveError) || error.code !== 'E_INVALID_INPUT_SCHEMA') throw error;
}

/** Who was faster than the cancel has ended, and that was all it was for. */
function finished(error: unknown): undefined {
  if (!(error instanceof AgentsFailure) || error.status !== 409) throw error;
}
