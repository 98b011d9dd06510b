/** The tasks of an agent, each from the moment it was handed out until its result is at the control plane. */
import type { HandedOut } from '../wire/tasks.ts';
import { pause } from './backoff.ts';
import { deliver } from './delivery.ts';
import { keepLease } from './lease.ts';
import type { Delivery } from './spool.ts';
import type { StopReason, TaskWorld } from './task-work.ts';

/** For what is on its way when the agent ends, milliseconds; the rest stays in the spool. */
const DELIVER_MS = 5000;
/** A machine that cannot keep the files of a run, such as one whose disk is full, takes no task for so long, milliseconds. */
const TROUBLE_MS = 30_000;

interface Running {
  readonly leaseId: string;
  readonly stop: AbortController;
  /** Its command has ended, and what came of it is in the spool. */
  readonly worked: Promise<void>;
  /** It is at the control plane, too. */
  readonly done: Promise<void>;
}

type TasksOptions = TaskWorld & {
  /** Of a lease that is renewed now, milliseconds. */
  leaseMs(): number;
};

export class Tasks {
  readonly #world: TasksOptions;
  readonly #running = new Map<string, Running>();
  readonly #deliveries = new Set<Promise<void>>();
  /** Ends what is on its way: after the drain. */
  readonly #ending = new AbortController();
  /** Resolved when a task has ended, so that there is room for the next. */
  #freed: () => void = () => undefined;

  constructor(world: TasksOptions) {
    this.#world = world;
  }

  get running(): number {
    return this.#running.size;
  }

  ids(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** Begins it, and does not wait for it. @returns false: it is under way already, under this very lease */
  take(task: HandedOut): boolean {
    const { task_id: id, action, attempt, lease_id: leaseId } = task;
    const earlier = this.#running.get(id);
    if (earlier?.leaseId === leaseId) return false;
    this.#world.note(`task ${id} (${action}, attempt ${attempt}) begins`);
    // It is handed out again, so the lease of the earlier attempt was lost.
    earlier?.stop.abort('lost' satisfies StopReason);
    const stop = new AbortController();
    const { promise: worked, resolve } = Promise.withResolvers<void>();
    const done = this.#carryOut(task, { stop, after: earlier?.worked, onWorked: resolve });
    this.#running.set(id, { leaseId, stop, worked, done });
    return true;
  }

  /** Stops its command, if it runs. */
  cancel(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined || running.stop.signal.aborted) return;
    this.#world.note(`task ${id} is to be stopped`);
    running.stop.abort('SIGTERM' satisfies StopReason);
  }

  /** Brings what an earlier process of this agent has left in the spool. */
  redeliver(delivery: Delivery): void {
    const over = new AbortController();
    const { taskId, result, isLate } = delivery;
    const lease = { task_id: taskId, lease_id: result.lease_id, lease_expires_at: '' };
    if (isLate !== true) void this.#keep(lease, () => undefined, over.signal);
    void this.#deliver(delivery).then(() => over.abort());
  }

  /** Waits until a task has ended, at most so long. */
  async freed(ms: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const freed = new Promise<void>((resolve) => {
      this.#freed = resolve;
    });
    await Promise.race([freed, pause(ms, AbortSignal.any([signal, over.signal]))]);
    over.abort();
  }

  /** What runs has so long to end; then it is stopped. What is not delivered soon stays in the spool. */
  async drain(ms: number): Promise<void> {
    const running = [...this.#running.values()];
    const worked = Promise.all(running.map((one) => one.worked));
    if (running.length > 0) {
      this.#world.note(
        `${running.length} ${running.length === 1 ? 'task is' : 'tasks are'} given ${ms / 1000} s to end`,
      );
      await before(worked, ms);
      for (const { stop } of running) if (!stop.signal.aborted) stop.abort('SIGTERM' satisfies StopReason);
      await worked;
    }
    await before(Promise.all(this.#deliveries), DELIVER_MS);
    this.#ending.abort();
    await Promise.all([...running.map(({ done }) => done), ...this.#deliveries]);
  }

  /** From the lease to the delivered result. Never throws. */
  async #carryOut(
    task: HandedOut,
    { stop, after, onWorked }: { stop: AbortController; after: Promise<void> | undefined; onWorked(): void },
  ): Promise<void> {
    const { task_id: id, lease_id: leaseId } = task;
    const { note } = this.#world;
    const over = new AbortController();
    const lose = (): void => {
      note(`task ${id} is another's by now`);
      stop.abort('lost' satisfies StopReason);
    };
    // The lease is kept until the result is there.
    const keeping = this.#keep(task, lose, over.signal);
    try {
      await after;
      // The runner and what judges: an agent that only waits does without.
      const { work } = await import('./task-work.ts');
      const delivery = await work(task, this.#world, stop.signal);
      if (delivery !== undefined) {
        note(`task ${id} has ${delivery.result.outcome} (exit ${delivery.result.exit_code})`);
        onWorked();
        await this.#deliver(delivery);
      }
    } catch (error) {
      note(`task ${id} could not be worked on: ${(error as Error).message}`);
      onWorked();
      over.abort(); // others may have more luck
      await pause(TROUBLE_MS, this.#ending.signal);
    } finally {
      onWorked();
      over.abort();
      await keeping;
      if (this.#running.get(id)?.leaseId === leaseId) this.#running.delete(id);
      this.#freed();
    }
  }

  #keep(
    lease: Pick<HandedOut, 'task_id' | 'lease_id' | 'lease_expires_at'>,
    onLost: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    return keepLease(lease, this.#world.leaseMs(), () => this.#world.address(), onLost, signal);
  }

  /** Never throws. */
  async #deliver(delivery: Delivery): Promise<void> {
    const delivering = this.#bring(delivery);
    this.#deliveries.add(delivering);
    await delivering;
    this.#deliveries.delete(delivering);
  }

  async #bring(delivery: Delivery): Promise<void> {
    const { taskId, attempt } = delivery;
    const { note } = this.#world;
    try {
      const how = await deliver(delivery, this.#world, this.#ending.signal);
      if (how === 'late') note(`task ${taskId}: what attempt ${attempt} found is kept beside the winner's`);
    } catch (error) {
      note(`the result of task ${taskId} stays in the spool: ${(error as Error).message}`);
    }
  }
}

async function before(what: Promise<unknown>, ms: number): Promise<void> {
  const over = new AbortController();
  await Promise.race([what, pause(ms, over.signal)]);
  over.abort();
}
