/** What agents say under a lease, and what happens when they say nothing any more (contract agents §2.2). */
import { setTimeout as timer } from 'node:timers';
import { sha256 } from '../../../../engine/system.ts';
import type { Engine } from '../../../../engine/engine.ts';
import { canonicalJson } from '../../../../model/canonical.ts';
import type { Command } from '../../../../model/commands.ts';
import type { ErrorCode } from '../../../../model/errors.ts';
import type { JsonObject } from '../../../../model/json.ts';
import type { Meter } from '../../../../telemetry/meter.ts';
import { conflict, notFound, type AgentsFailure } from '../../wire/errors.ts';
import { timestamp, newId } from '../../ids.ts';
import { isFinal, type ResultRequest, type TaskResult, type TaskStatus } from '../../wire/tasks.ts';
import type { Caller } from '../ports.ts';
import type { TenantRedaction } from '../redaction.ts';
import { STARTED_FACT, type Lease, type TaskEnd, type TaskRecord } from './record.ts';
import { isLeaseLost, type LiveTask, type Tasks } from './tasks.ts';

/** Before anything but its end is recorded, a lease holds at least this much longer, milliseconds; or half of a short one. */
const MARGIN_MS = 5000;
/** When a store that fails is tried again, milliseconds. */
const AGAIN_MS = 1000;

interface LeasesOptions {
  readonly engine: Engine;
  readonly tasks: Tasks;
  readonly redaction: TenantRedaction;
  readonly meter: Meter | undefined;
  readonly leaseMs: number;
  /** The task is queued again. */
  onFreed(task: LiveTask, agent: string): void;
  /** It is over. */
  onEnded(task: LiveTask, agent: string): void;
  note(text: string): void;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #stopped = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** Watches a lease that was taken. */
  watch(task: LiveTask): void {
    const { lease, view } = task.record;
    clearTimeout(this.#timers.get(view.task_id));
    this.#timers.delete(view.task_id);
    if (lease === undefined || this.#stopped) return;
    const handle = timer(() => void this.#expire(task), Math.max(0, lease.untilMs - this.#nowMs()) + 1);
    this.#timers.set(view.task_id, handle);
  }

  /** As the store has it, after a restart: nobody could renew it meanwhile, so it holds once more. */
  async adopt(task: LiveTask): Promise<void> {
    await this.#extend(task, this.#options.leaseMs);
    this.watch(task);
  }

  stop(): void {
    this.#stopped = true;
    for (const handle of this.#timers.values()) clearTimeout(handle);
    this.#timers.clear();
  }

  /** @returns when the lease ends, RFC 3339. @throws AgentsFailure 404; 409 `lease_lost` */
  async renew(by: Caller, taskId: string, leaseId: string): Promise<string> {
    const { tasks, leaseMs } = this.#options;
    const task = this.#live(by, taskId);
    return tasks.inLane(task, async () => {
      this.#require(task, by, leaseId);
      if (!(await this.#extend(task, leaseMs))) throw leaseLost(task.record);
      return task.record.view.lease_expires_at ?? '';
    });
  }

  /** @throws AgentsFailure 404; 409 `lease_lost` */
  async start(by: Caller, taskId: string, leaseId: string, startedAt: string | undefined): Promise<void> {
    const { tasks } = this.#options;
    const task = this.#live(by, taskId);
    await tasks.inLane(task, async () => {
      this.#require(task, by, leaseId);
      if (task.record.view.status === 'running') return;
      await this.keep(task);
      const data = startedAt === undefined ? {} : { started_at: startedAt };
      await this.#under(task, leaseId, { type: 'record', name: STARTED_FACT, node: taskId, data });
    });
  }

  /** @throws AgentsFailure 404; 409 `lease_lost`: nothing has changed */
  async result(by: Caller, taskId: string, request: ResultRequest): Promise<TaskStatus> {
    const { tasks, redaction } = this.#options;
    const { lease_id: leaseId, ...said } = request;
    const result: TaskResult = redaction.value(by.tenant, said);
    const report = sha256(canonicalJson({ ...result, lease_id: leaseId }));
    const known = tasks.find(by.tenant, taskId);
    if (known === undefined) throw notFound('task', taskId);
    const task = tasks.get(taskId);
    if (task === undefined) return repeated(known, leaseId, report);
    return tasks.inLane(task, async () => {
      if (isFinal(task.record.view.status)) return repeated(task.record, leaseId, report);
      const lease = this.#require(task, by, leaseId);
      const { outcome: status, reason } = result;
      const end: TaskEnd = {
        status,
        result,
        lease_id: leaseId,
        report,
        ...(reason === undefined ? {} : { reason }),
      };
      await this.#under(task, leaseId, endCommand(taskId, lease, end));
      this.#ended(task, lease.agent);
      return task.record.view.status;
    });
  }

  /** In the task's lane: makes sure that the lease does not run out while something else is recorded. */
  async keep(task: LiveTask): Promise<void> {
    const marginMs = Math.min(MARGIN_MS, this.#options.leaseMs / 2);
    if ((task.record.lease?.untilMs ?? 0) < this.#nowMs() + marginMs) await this.#extend(task, marginMs);
  }

  async #extend(task: LiveTask, ms: number): Promise<boolean> {
    const { engineId, lease, view } = task.record;
    if (lease === undefined) return false;
    const untilMs = Math.max(lease.untilMs, this.#nowMs() + ms);
    const { store } = this.#options.engine;
    if (!(await store.renew(engineId, view.task_id, lease.epoch, untilMs))) return false;
    this.#options.tasks.renewed(task, untilMs, timestamp(untilMs));
    return true;
  }

  async #expire(task: LiveTask): Promise<void> {
    const { tasks, note } = this.#options;
    this.#timers.delete(task.record.view.task_id);
    try {
      await tasks.inLane(task, async () => {
        const { lease } = task.record;
        if (lease === undefined || this.#stopped) return;
        if (lease.untilMs > this.#nowMs()) return this.watch(task);
        await this.#lose(task, lease);
      });
    } catch (error) {
      note(
        `the lease of task ${task.record.view.task_id} ran out, and that is not recorded yet: ${String(error)}`,
      );
      if (!this.#stopped)
        this.#timers.set(
          task.record.view.task_id,
          timer(() => void this.#expire(task), AGAIN_MS),
        );
    }
  }

  /** Once for each lost lease: the engine's epoch decides (I4). */
  async #lose(task: LiveTask, { agent, attempt, epoch }: Lease): Promise<void> {
    const { tasks, meter } = this.#options;
    const { task_id: node, max_attempts: most, cancel_requested: isUnwanted, reason } = task.record.view;
    if (isUnwanted === true || attempt >= most) {
      const end: TaskEnd =
        isUnwanted === true
          ? { status: 'cancelled', ...(reason === undefined ? {} : { reason }) }
          : { status: 'lost', reason: `its agent was not heard of again, ${attempt} times` };
      await tasks.execute(task, settle(node, end));
      return this.#ended(task, agent);
    }
    const again = task.record.isOrphan ? await this.#reclaim(task) : epoch;
    await tasks.execute(task, {
      type: 'interrupt',
      node,
      attempt,
      epoch: again,
      found: 'unknown',
      reason: `the lease of ${agent} ran out`,
    });
    meter?.count('jarvas_task_requeues_total', {});
    this.#options.onFreed(task, agent);
  }

  /** Somebody else ended the lease: the attempt can be ended under one of our own only. */
  async #reclaim(task: LiveTask): Promise<number> {
    const { engine, tasks, leaseMs } = this.#options;
    const { task_id: node } = task.record.view;
    const claimant = { worker: 'control-plane', leaseId: newId(), ttlMs: leaseMs };
    await tasks.execute(task, { type: 'claim', node, claimant });
    return (await engine.state(task.record.engineId)).nodes.get(node)?.epoch ?? 0;
  }

  #ended(task: LiveTask, agent: string): void {
    clearTimeout(this.#timers.get(task.record.view.task_id));
    this.#timers.delete(task.record.view.task_id);
    this.#options.onEnded(task, agent);
  }

  /** @throws AgentsFailure 404; 409: it is over */
  #live(by: Caller, taskId: string): LiveTask {
    const known = this.#options.tasks.find(by.tenant, taskId);
    if (known === undefined) throw notFound('task', taskId);
    const task = this.#options.tasks.get(taskId);
    if (task === undefined) throw leaseLost(known);
    return task;
  }

  #require(task: LiveTask, by: Caller, leaseId: string): Lease {
    const { lease } = task.record;
    if (lease?.id !== leaseId || lease.agent !== by.actor) throw leaseLost(task.record);
    return lease;
  }

  /** @throws AgentsFailure 409 `lease_lost` */
  async #under(task: LiveTask, leaseId: string, command: Command): Promise<void> {
    try {
      await this.#options.tasks.execute(task, command, () => task.record.lease?.id === leaseId);
    } catch (error) {
      if (isLeaseLost(error)) throw leaseLost(task.record);
      throw error;
    }
  }

  #nowMs(): number {
    return this.#options.engine.clock.nowMs();
  }
}

/** Ends a task whatever its run is doing. */
export function settle(node: string, end: TaskEnd, by?: string): Command {
  return {
    type: 'settle',
    node,
    regardless: true,
    state: end.status === 'cancelled' ? 'canceled' : 'failed',
    outputs: end as unknown as JsonObject,
    ...(by === undefined ? {} : { by }),
    ...(end.reason === undefined ? {} : { reason: end.reason }),
    ...(end.status === 'lost' ? { error: { code: 'E_OUTCOME_UNKNOWN', message: end.reason ?? '' } } : {}),
  };
}

function endCommand(node: string, { attempt, epoch }: Lease, end: TaskEnd): Command {
  const { status, reason } = end;
  if (status === 'cancelled') return settle(node, end);
  const outputs = end as unknown as JsonObject;
  const about = { type: 'finish', node, attempt, epoch, usage: {}, outputs } as const;
  if (status === 'succeeded') return { ...about, outcome: 'succeeded' };
  const code: ErrorCode = status === 'refused' ? 'E_UNSAFE_OPERATION' : 'E_ADAPTER_FAIL';
  const error = { code, message: reason ?? status };
  return { ...about, outcome: status === 'timed_out' ? 'timed_out' : 'failed', error };
}

/** The same report again is fine, whoever missed our answer to it. @throws AgentsFailure 409 */
function repeated({ view, end }: TaskRecord, leaseId: string, report: string): TaskStatus {
  if (end?.lease_id !== leaseId) throw leaseLost({ view });
  if (end.report === report) return view.status;
  throw conflict('result_conflict', 'another result was reported under this lease', { status: view.status });
}

function leaseLost({ view }: Pick<TaskRecord, 'view'>): AgentsFailure {
  return conflict('lease_lost', 'the lease is not held any more', { status: view.status });
}
