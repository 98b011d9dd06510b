/**
 * Hands tasks to agents: one task, one agent. What waits, and who waits for it, is in memory; taking a task off its queue is
 * one step of this process, and the lease is the engine's own (I4, I5).
 */
import { setTimeout as timer } from 'node:timers';
import type { Clock } from '../../../../engine/ports.ts';
import { ReeveError } from '../../../../model/errors.ts';
import type { Agent } from '../agent-rows.ts';
import { isDestructive, type HandedOut } from '../../wire/tasks.ts';
import { newId } from '../../ids.ts';
import { fits, TaskQueue, type Candidate, type QueuedTask } from './queue.ts';
import type { Lease, TaskRecord } from './record.ts';
import type { LiveTask, Tasks } from './tasks.ts';

const TIMER_MS_MAX = 2 ** 31 - 1;

interface Waiter {
  readonly agent: Agent;
  /** Somebody has work for it: if it goes away all the same, another one must be told. */
  isCalled: boolean;
  wake(): void;
}

interface DispatchOptions {
  readonly tasks: Tasks;
  readonly clock: Clock;
  readonly leaseMs: number;
  /** The agent as it is now: its labels or its standing may have changed while it waits. */
  agentNow(agent: Agent): Agent | undefined;
  mayHandOut(rolloutId: string): boolean;
  isApproved(tenant: string, taskId: string): boolean;
  onLeased(task: LiveTask): void;
  note(text: string): void;
}

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #queues = new Map<string, TaskQueue>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #held = new Map<string, Set<string>>();
  readonly #later = new Map<string, NodeJS.Timeout>();
  #stopped = false;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Offers a queued task, from its time on. */
  offer(task: LiveTask): void {
    const { view } = task.record;
    if (this.#stopped) return;
    const waitMs = notBeforeMs(task.record) - this.#options.clock.nowMs();
    if (waitMs > 0) {
      const handle = timer(() => this.offer(task), Math.min(waitMs, TIMER_MS_MAX));
      handle.unref();
      clearTimeout(this.#later.get(view.task_id));
      this.#later.set(view.task_id, handle);
      return;
    }
    this.#later.delete(view.task_id);
    const queued = queuedOf(task);
    this.#queueOf(view.tenant).add(queued);
    this.#callFor(view.tenant, queued);
  }

  /** Calls the first who waits and may have the task; it is not called twice. */
  #callFor(tenant: string, task: QueuedTask): void {
    if (!this.#may(tenant, task)) return;
    const waiters = this.#waiters.get(tenant) ?? new Set();
    for (const waiter of waiters) {
      const agent = this.#options.agentNow(waiter.agent);
      if (agent === undefined || !this.#isFree(agent) || !fits(task.target, candidate(agent))) continue;
      waiters.delete(waiter);
      waiter.isCalled = true;
      return waiter.wake();
    }
  }

  /** It is not to be handed out any more. */
  withdraw(task: LiveTask): void {
    const { view } = task.record;
    clearTimeout(this.#later.get(view.task_id));
    this.#later.delete(view.task_id);
    this.#queueOf(view.tenant).remove(queuedOf(task));
  }

  /** An agent holds a task: found so at the start. */
  holds({ record: { view } }: LiveTask, agentId: string): void {
    this.#heldBy(view.tenant, agentId).add(view.task_id);
  }

  /** It holds it no more; a poll of it may go on. */
  frees({ record: { view } }: LiveTask, agentId: string): void {
    const key = keyOf(view.tenant, agentId);
    const held = this.#held.get(key);
    held?.delete(view.task_id);
    if (held?.size === 0) this.#held.delete(key);
    this.wake(view.tenant, agentId);
  }

  /** Polls of this agent look again: more may be for it by now. */
  wake(tenant: string, agentId: string): void {
    for (const waiter of this.#waiters.get(tenant) ?? []) if (waiter.agent.id === agentId) waiter.wake();
  }

  heldBy(tenant: string, agentId: string): readonly string[] {
    return [...(this.#held.get(keyOf(tenant, agentId)) ?? [])];
  }

  /** Everybody who waits looks again. */
  wakeAll(): void {
    for (const waiters of this.#waiters.values()) for (const { wake } of waiters) wake();
  }

  stop(): void {
    this.#stopped = true;
    for (const handle of this.#later.values()) clearTimeout(handle);
    this.#later.clear();
    this.wakeAll();
  }

  /**
   * A task for the agent, at once or as soon as there is one.
   * @param waitMs 0: it does not wait.
   * @returns undefined: there is none.
   */
  async poll(agent: Agent, waitMs: number, signal: AbortSignal): Promise<HandedOut | undefined> {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + waitMs;
    for (;;) {
      if (this.#stopped || signal.aborted) return undefined;
      const now = this.#options.agentNow(agent);
      if (now === undefined) return undefined;
      const task = this.#isFree(now) ? this.#matchFor(now) : undefined;
      if (task !== undefined) {
        const handed = await this.#handOut(task, now);
        if (handed !== undefined) return handed;
        continue;
      }
      const leftMs = untilMs - clock.nowMs();
      if (leftMs <= 0) return undefined;
      await this.#wait(agent, leftMs, signal);
    }
  }

  async #wait(agent: Agent, ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const handle = timer(resolve, ms);
    const waiter: Waiter = { agent, isCalled: false, wake: resolve };
    let waiters = this.#waiters.get(agent.tenant);
    if (waiters === undefined) {
      waiters = new Set();
      this.#waiters.set(agent.tenant, waiters);
    }
    waiters.add(waiter);
    signal.addEventListener('abort', waiter.wake, { once: true });
    try {
      await promise;
    } finally {
      clearTimeout(handle);
      waiters.delete(waiter);
      signal.removeEventListener('abort', waiter.wake);
    }
    if (waiter.isCalled && signal.aborted) this.#passOn(agent.tenant);
  }

  /** Who was called is gone: what it was called for is for others. */
  #passOn(tenant: string): void {
    for (const { wake } of this.#waiters.get(tenant) ?? []) wake();
  }

  #matchFor(agent: Agent): LiveTask | undefined {
    const queue = this.#queueOf(agent.tenant);
    const found = queue.firstFor(candidate(agent), (task) => this.#may(agent.tenant, task));
    if (found === undefined) return undefined;
    const task = this.#options.tasks.get(found.taskId);
    queue.remove(found);
    if (task === undefined) return this.#matchFor(agent); // it is over
    this.#heldBy(agent.tenant, agent.id).add(found.taskId);
    return task;
  }

  /** The task is off its queue: from here on it is this agent's, or it goes back. */
  async #handOut(task: LiveTask, agent: Agent): Promise<HandedOut | undefined> {
    const { tasks, leaseMs, onLeased, note } = this.#options;
    const { task_id: id } = task.record.view;
    try {
      const lease = await tasks.inLane(task, async () => {
        if (task.record.view.status !== 'queued') return undefined;
        const claimant = { worker: agent.id, leaseId: newId(), ttlMs: leaseMs };
        const record = await tasks.execute(task, { type: 'start', node: id, epoch: 0, claimant });
        if (record.lease === undefined) note(`task ${id} cannot be handed out: its run does not go on`);
        else onLeased(task);
        return record.lease;
      });
      if (lease !== undefined) return handedOut(task.record, lease);
      this.frees(task, agent.id);
      return undefined;
    } catch (error) {
      this.frees(task, agent.id);
      if (error instanceof ReeveError && !error.code.startsWith('E_STORE_')) {
        // Somebody holds its run by other means: that must not keep other tasks from agents.
        note(`task ${id} cannot be handed out: ${error.message}`);
        return undefined;
      }
      // The store failed. Where nothing was recorded, somebody else may have more luck.
      if (tasks.get(id) === task && task.record.view.status === 'queued') this.offer(task);
      throw error;
    }
  }

  #isFree(agent: Agent): boolean {
    if (agent.drained) return false;
    const held = this.#held.get(keyOf(agent.tenant, agent.id))?.size ?? 0;
    return held < agent.about.max_parallel;
  }

  #may(tenant: string, { taskId, rolloutId, isDestructive: changes }: QueuedTask): boolean {
    if (changes && !this.#options.isApproved(tenant, taskId)) return false;
    return rolloutId === undefined || this.#options.mayHandOut(rolloutId);
  }

  #queueOf(tenant: string): TaskQueue {
    let queue = this.#queues.get(tenant);
    if (queue === undefined) {
      queue = new TaskQueue();
      this.#queues.set(tenant, queue);
    }
    return queue;
  }

  #heldBy(tenant: string, agentId: string): Set<string> {
    const key = keyOf(tenant, agentId);
    let held = this.#held.get(key);
    if (held === undefined) {
      held = new Set();
      this.#held.set(key, held);
    }
    return held;
  }
}

function candidate({ id, about }: Agent): Candidate {
  return { id, labels: about.labels };
}

function keyOf(tenant: string, agentId: string): string {
  return `${tenant}~${agentId}`;
}

function queuedOf({ record: { view }, order }: LiveTask): QueuedTask {
  const { task_id: taskId, target, priority, rollout_id: rolloutId } = view;
  return { taskId, target, priority, order, rolloutId, isDestructive: isDestructive(view) };
}

function notBeforeMs({ view }: TaskRecord): number {
  return view.not_before === undefined ? 0 : Date.parse(view.not_before);
}

function handedOut({ view }: TaskRecord, lease: Lease): HandedOut {
  const { task_id, run_id, action, skill, command, args, timeout_s, max_output_bytes, env_refs } = view;
  return {
    task_id,
    run_id,
    action,
    ...(skill?.digest === undefined ? {} : { skill: { ...skill, digest: skill.digest } }),
    ...(command === undefined ? {} : { command }),
    args,
    timeout_s,
    max_output_bytes,
    env_refs,
    attempt: lease.attempt,
    lease_id: lease.id,
    lease_expires_at: view.lease_expires_at ?? '',
    created_at: view.created_at,
    ...(view.rollout_id === undefined ? {} : { rollout_id: view.rollout_id }),
    ...(view.phase === undefined ? {} : { phase: view.phase }),
  };
}
