/** The board of tasks: what operators, rollouts and agents ask of it, put together of its parts. */
import type { Engine } from '../../../../engine/engine.ts';
import { canonicalJson } from '../../../../model/canonical.ts';
import { ReeveError } from '../../../../model/errors.ts';
import type { Json } from '../../../../model/json.ts';
import type { RunSpec } from '../../../../model/run-spec.ts';
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import type { Meter } from '../../../../telemetry/meter.ts';
import { AGENTS_QUEUE } from '../../../progress.ts';
import type { Agent } from '../agent-rows.ts';
import type { AllowLists } from '../allow-lists.ts';
import { type Page } from '../../wire/common.ts';
import { conflict, invalidField, notFound } from '../../wire/errors.ts';
import { timestamp, engineRunId, newId } from '../../ids.ts';
import {
  isDestructive,
  isFinal,
  TASK_DEFAULTS,
  type HandedOut,
  type NewTask,
  type TaskView,
} from '../../wire/tasks.ts';
import type { Audit, Caller, Ledger, LiveLease, TaskBoard, TaskIds, TaskQuery } from '../ports.ts';
import type { TenantRedaction } from '../redaction.ts';
import { Dispatch } from './dispatch.ts';
import { Leases, settle } from './leases.ts';
import { CANCEL_FACT, DOOR, EXECUTOR, type TaskDocument } from './record.ts';
import { TaskIndex } from './task-index.ts';
import { Tasks, type LiveTask } from './tasks.ts';

export interface BoardOptions {
  readonly engine: Engine;
  readonly rows: ServiceDatabase;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly allowLists: Pick<AllowLists, 'verify'>;
  readonly redaction: TenantRedaction;
  readonly meter: Meter | undefined;
  readonly leaseMs: number;
  agentNow(agent: Agent): Agent | undefined;
  note(text: string): void;
}

export class Board implements TaskBoard {
  mayHandOut: (rolloutId: string) => boolean = () => true;
  isApproved: (tenant: string, taskId: string) => boolean = () => true;
  readonly leases: Leases;
  readonly index: TaskIndex;
  readonly #options: BoardOptions;
  readonly #tasks: Tasks;
  readonly #dispatch: Dispatch;

  constructor(options: BoardOptions) {
    this.#options = options;
    const { engine, rows, leaseMs, redaction, meter, note } = options;
    this.index = new TaskIndex(rows);
    const tasks = new Tasks({ ...options, index: this.index });
    this.#tasks = tasks;
    this.leases = new Leases({
      engine,
      tasks,
      redaction,
      meter,
      leaseMs,
      onFreed: (task, agent) => {
        this.#dispatch.frees(task, agent);
        this.#dispatch.offer(task);
      },
      onEnded: (task, agent) => this.#dispatch.frees(task, agent),
      note,
    });
    this.#dispatch = new Dispatch({
      tasks,
      clock: engine.clock,
      leaseMs,
      agentNow: (agent) => options.agentNow(agent),
      mayHandOut: (rolloutId) => this.mayHandOut(rolloutId),
      isApproved: (tenant, taskId) => this.isApproved(tenant, taskId),
      onLeased: (task) => this.leases.watch(task),
      note,
    });
  }

  /** Takes over what a process before this one left: tasks, and leases, which are not given out anew. */
  async open(): Promise<void> {
    for (const task of await this.#tasks.open()) {
      const { lease, view } = task.record;
      if (lease !== undefined) {
        this.#dispatch.holds(task, lease.agent);
        await this.leases.adopt(task);
      } else if (view.status === 'queued') this.#dispatch.offer(task);
    }
  }

  /** Nothing is handed out from then on, and nobody waits. */
  stop(): void {
    this.leases.stop();
    this.#dispatch.stop();
  }

  async create(by: Caller, task: NewTask, ids?: TaskIds): Promise<TaskView> {
    const { tenant } = by;
    const runId = ids?.runId ?? task.run_id ?? newId();
    const taskId = ids?.taskId ?? newId();
    const engineId = engineRunId(tenant, runId);
    const asked = documentOf(task, { tenant, taskId, runId, digest: undefined });
    const repeated = (): TaskView | undefined => {
      const known = ids === undefined ? undefined : this.index.ofRun(engineId);
      return known !== undefined && isSame(known.view, asked) ? known.view : undefined;
    };
    const before = repeated();
    if (before !== undefined) return before;
    const digest = this.#verify(tenant, task);
    const document = documentOf(task, { tenant, taskId, runId, digest });
    let made: LiveTask;
    try {
      made = await this.#tasks.create(engineId, specOf(document, by.actor));
    } catch (error) {
      const meanwhile = repeated();
      if (meanwhile !== undefined) return meanwhile;
      if (error instanceof ReeveError && error.code === 'E_INVALID_INPUT_SCHEMA')
        throw conflict('duplicate_run_id', `there is a run ${JSON.stringify(runId)} already`, {
          field: 'run_id',
          value: runId,
        });
      throw error;
    }
    this.#dispatch.offer(made);
    return made.record.view;
  }

  check(tenant: string, task: NewTask): void {
    this.#verify(tenant, task);
  }

  /** @returns the digest of its skill. @throws AgentsFailure 422 */
  #verify(tenant: string, task: NewTask): string | undefined {
    const { redaction, allowLists } = this.#options;
    if (redaction.finds(tenant, [task.command ?? null, (task.args ?? null) as Json]))
      throw invalidField(
        task.command === undefined ? 'args' : 'command',
        'holds a secret: name it in env_refs, and the agent finds it out',
      );
    return allowLists.verify(tenant, task);
  }

  async get(tenant: string, taskId: string): Promise<TaskView | undefined> {
    const view = this.#tasks.find(tenant, taskId)?.view;
    return view === undefined ? undefined : this.#shown(view);
  }

  async list(tenant: string, query: TaskQuery): Promise<Page<TaskView>> {
    const page = this.index.list(tenant, query);
    const items = page.items.map((view) => this.#shown(this.#tasks.get(view.task_id)?.record.view ?? view));
    return { ...page, items };
  }

  async ofRollout(tenant: string, rolloutId: string): Promise<readonly TaskView[]> {
    return this.index.ofRollout(tenant, rolloutId).map(({ view }) => this.#shown(view));
  }

  async ofRun(tenant: string, runId: string): Promise<TaskView | undefined> {
    return this.index.ofRun(engineRunId(tenant, runId))?.view;
  }

  async cancel(by: Caller, taskId: string, reason?: string): Promise<TaskView> {
    const known = this.#tasks.find(by.tenant, taskId);
    if (known === undefined) throw notFound('task', taskId);
    const task = this.#tasks.get(taskId);
    if (task === undefined) throw finished(known.view);
    const why = reason === undefined ? undefined : this.#options.redaction.text(by.tenant, reason);
    const said = why === undefined ? {} : { reason: why };
    return this.#tasks.inLane(task, async () => {
      const { view, lease } = task.record;
      if (isFinal(view.status)) throw finished(view);
      if (lease === undefined) {
        await this.#tasks.execute(task, settle(taskId, { status: 'cancelled', ...said }, by.actor));
        this.#dispatch.withdraw(task);
      } else if (view.cancel_requested !== true) {
        await this.leases.keep(task);
        const data = { by: by.actor, ...said };
        await this.#tasks.execute(task, { type: 'record', name: CANCEL_FACT, node: taskId, data });
      }
      return task.record.view;
    });
  }

  /** @param waitMs 0: it does not wait. */
  async poll(agent: Agent, waitMs: number, signal: AbortSignal): Promise<HandedOut | undefined> {
    return this.#dispatch.poll(agent, waitMs, signal);
  }

  /** Of the tasks that an agent says it runs, those that it is to stop: nobody wants them, or they are not its own. */
  toStop(by: Caller, running: readonly string[]): readonly string[] {
    return running.filter((taskId) => {
      const record = this.#tasks.find(by.tenant, taskId);
      return record?.lease?.agent !== by.actor || record.view.cancel_requested === true;
    });
  }

  heldBy(tenant: string, agentId: string): readonly string[] {
    return this.#dispatch.heldBy(tenant, agentId);
  }

  /** The agent may take more than before. */
  wakeAgent(tenant: string, agentId: string): void {
    this.#dispatch.wake(tenant, agentId);
  }

  lease(tenant: string, runId: string): LiveLease | undefined {
    const record = this.index.ofRun(engineRunId(tenant, runId));
    const lease = record === undefined ? undefined : this.#tasks.get(record.view.task_id)?.record.lease;
    if (record === undefined || lease === undefined) return undefined;
    const { id: leaseId, attempt, agent: agentId } = lease;
    return { taskId: record.view.task_id, leaseId, attempt, agentId };
  }

  subscribe(listener: (task: TaskView) => void): () => void {
    return this.#tasks.subscribe(listener);
  }

  wake(): void {
    this.#dispatch.wakeAll();
  }

  /** An approval is no event of the run: whether there is one is looked up. */
  #shown(view: TaskView): TaskView {
    const waits =
      view.status === 'queued' && isDestructive(view) && !this.isApproved(view.tenant, view.task_id);
    return waits ? { ...view, waits_for: 'approval' } : view;
  }
}

function documentOf(
  task: NewTask,
  about: { tenant: string; taskId: string; runId: string; digest: string | undefined },
): TaskDocument {
  const { skill, command, not_before, rollout_id, phase } = task;
  const { tenant, taskId, runId, digest } = about;
  const target = task.target ?? {};
  return {
    task_id: taskId,
    run_id: runId,
    tenant,
    action: task.action,
    ...(skill === undefined ? {} : { skill: { ...skill, ...(digest === undefined ? {} : { digest }) } }),
    ...(command === undefined ? {} : { command }),
    args: task.args ?? {},
    target: Object.keys(target).length === 0 ? { any: true } : target,
    timeout_s: task.timeout_s ?? TASK_DEFAULTS.timeout_s,
    max_output_bytes: task.max_output_bytes ?? TASK_DEFAULTS.max_output_bytes,
    max_attempts: task.max_attempts ?? TASK_DEFAULTS.max_attempts,
    priority: task.priority ?? TASK_DEFAULTS.priority,
    env_refs: task.env_refs ?? [],
    ...(not_before === undefined ? {} : { not_before: timestamp(Date.parse(not_before)) }),
    ...(rollout_id === undefined ? {} : { rollout_id }),
    ...(phase === undefined ? {} : { phase }),
  };
}

function specOf(document: TaskDocument, actor: string): RunSpec {
  const { tenant, task_id: id, action, rollout_id: rollout, phase } = document;
  return {
    tenant,
    actor,
    name: action,
    queue: AGENTS_QUEUE,
    limits: {},
    // A lost lease is counted by the board: the engine runs the task again as long as it is asked to.
    root: { id, kind: 'atomic', name: action, executor: EXECUTOR, onInterrupt: 'rerun' },
    nodes: [],
    addressable: true,
    labels: {
      door: DOOR,
      action,
      ...(rollout === undefined ? {} : { rollout }),
      ...(phase === undefined ? {} : { phase }),
    },
    document: document as unknown as Json,
  };
}

/** Whether a task is the one that is asked for again; what was found out about its skill does not count. */
function isSame({ skill, ...view }: TaskView, asked: TaskDocument): boolean {
  const known: Readonly<Record<string, unknown>> = {
    ...view,
    ...(skill === undefined ? {} : { skill: { name: skill.name, version: skill.version } }),
  };
  const same = Object.fromEntries(Object.keys(asked).map((name) => [name, known[name]]));
  return canonicalJson(same) === canonicalJson(asked);
}

function finished({ status }: TaskView) {
  return conflict('task_finished', `the task is ${status}: it cannot be cancelled any more`, { status });
}
