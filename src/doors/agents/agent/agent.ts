/**
 * A polling agent (contract agents §1, §2.2): asks for work, judges and runs it as its own machine allows, and brings what
 * came of it. Only it opens connections. What was begun survives outages of the control plane and of the network.
 */
import { statfs, readdir, rm, stat } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { callControl, ControlRefusal, type ControlAddress } from '../client/control-client.ts';
import { requireUnprivileged } from '../runner/privilege.ts';
import { LEASE_S, WAIT_MAX_S, type HeartbeatReply } from '../wire/agents.ts';
import type { HandedOut } from '../wire/tasks.ts';
import { Backoff, pause } from './backoff.ts';
import { deliver } from './delivery.ts';
import { AllowListFile } from './downloads.ts';
import { keepLease } from './lease.ts';
import { register } from './registration.ts';
import type { AgentSettings } from './settings.ts';
import { Spool, type Delivery } from './spool.ts';
import { StateDir } from './state-dir.ts';
import { work, type StopReason } from './task-work.ts';

/** Between polls that fail, milliseconds. */
const FIRST_MS = 1000;
const LAST_MS = 60_000;
/** A poll that was answered faster than this was not held by the control plane, milliseconds. */
const AT_ONCE_MS = 1000;
const DAY_MS = 86_400_000;
const TIDY_MS = 3_600_000;

interface Running {
  readonly stop: AbortController;
  /** Its command has ended, and what came of it is in the spool. */
  readonly worked: Promise<void>;
  /** It is at the control plane, too. */
  readonly done: Promise<void>;
}

export interface AgentOptions {
  readonly settings: AgentSettings;
  /** What it does, for its operator; never a secret. */
  note(text: string): void;
}

export class Agent {
  readonly #settings: AgentSettings;
  readonly #note: (text: string) => void;
  readonly #state: StateDir;
  readonly #spool: Spool;
  readonly #allowList: AllowListFile;
  readonly #running = new Map<string, Running>();
  readonly #deliveries = new Set<Promise<void>>();
  /** Ends what is on its way: after the drain, or because nobody waits for it. */
  readonly #ending = new AbortController();
  #address: ControlAddress;
  #leaseMs = LEASE_S * 1000;
  #pollMs: number;
  #serial: number | undefined;
  #isDrained = false;
  /** Resolved when a task has ended, so that there is room for the next. */
  #freed: () => void = () => undefined;

  private constructor({ settings, note }: AgentOptions, state: StateDir) {
    this.#settings = settings;
    this.#note = note;
    this.#state = state;
    this.#spool = new Spool(state.spool);
    this.#allowList = new AllowListFile(state);
    this.#address = settings.control;
    this.#pollMs = settings.pollS * 1000;
  }

  /**
   * Works until the signal, then drains: nothing new, what runs has `drainS` seconds, what is not delivered stays in the spool.
   * @throws Refusal privileged; ReeveError E_LEASE_CONFLICT, E_STORE_UNAVAILABLE; what the registration is refused with
   */
  static async run(options: AgentOptions, signal: AbortSignal): Promise<void> {
    requireUnprivileged(options.settings.env);
    const state = await StateDir.open(options.settings.dataDir);
    const agent = new Agent(options, state);
    try {
      await agent.#work(signal);
    } finally {
      await agent.#drain();
      await state.close();
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (const delivery of await this.#spool.all(this.#note)) void this.#deliver(delivery);
    if (!(await this.#register(signal))) return;
    await Promise.all([this.#poll(signal), this.#beat(signal), this.#tidy(signal)]);
  }

  /** Until somebody answers. @returns false: the signal came first. @throws when it is refused for good */
  async #register(signal: AbortSignal): Promise<boolean> {
    const settings = this.#settings;
    const backoff = new Backoff(FIRST_MS, LAST_MS);
    for (let isTold = false; !signal.aborted; ) {
      try {
        const { address, reply } = await register(settings, this.#state, signal);
        this.#address = address;
        this.#leaseMs = (reply.lease_s ?? LEASE_S) * 1000;
        this.#note(`agent ${settings.agentId} is registered at ${address.baseUrl}`);
        await this.#renewAllowList(reply.allowlist_serial, signal);
        return true;
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof ReeveError) || !mayPass(error)) throw error;
        if (!isTold) this.#note(`${error.message}; it is asked again`);
        isTold = true;
        await backoff.wait(signal, error instanceof ControlRefusal ? error.retryAfterMs : undefined);
      }
    }
    return false;
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(FIRST_MS, LAST_MS);
    let isAway = false;
    while (!signal.aborted) {
      if (this.#running.size >= this.#settings.maxParallel || this.#isDrained) {
        await this.#room(signal);
        continue;
      }
      const askedAt = performance.now();
      try {
        const { json } = await callControl(this.#address, {
          method: 'GET',
          path: `/task?wait=${WAIT_MAX_S}&agent_id=${encodeURIComponent(this.#settings.agentId)}`,
          timeoutMs: (WAIT_MAX_S + 15) * 1000,
          signal,
        });
        if (isAway) this.#note('the control plane answers again');
        isAway = false;
        backoff.reset();
        const { task } = (json ?? {}) as { readonly task?: HandedOut | null };
        if (task !== null && task !== undefined) this.#take(task);
        else if (performance.now() - askedAt < AT_ONCE_MS) await pause(this.#pollMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!isAway) this.#note(`${(error as Error).message}; work goes on, and it is asked again`);
        isAway = true;
        await backoff.wait(signal, error instanceof ControlRefusal ? error.retryAfterMs : undefined);
      }
    }
  }

  /** Waits until a task has ended, or somebody may have changed their mind. */
  async #room(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const freed = new Promise<void>((resolve) => {
      this.#freed = resolve;
    });
    await Promise.race([freed, pause(this.#pollMs, AbortSignal.any([signal, over.signal]))]);
    over.abort();
  }

  #take(task: HandedOut): void {
    const { task_id: id, action, attempt } = task;
    if (this.#running.has(id)) return;
    this.#note(`task ${id} (${action}, attempt ${attempt}) begins`);
    const stop = new AbortController();
    const { promise: worked, resolve } = Promise.withResolvers<void>();
    this.#running.set(id, { stop, worked, done: this.#carryOut(task, stop, resolve) });
  }

  /** From the lease to the delivered result. Never throws. */
  async #carryOut(task: HandedOut, stop: AbortController, onWorked: () => void): Promise<void> {
    const { task_id: id } = task;
    const over = new AbortController();
    const lose = (): void => {
      this.#note(`task ${id} is another's by now`);
      stop.abort('lost' satisfies StopReason);
    };
    // The lease is kept until the result is there.
    const keeping = keepLease(task, this.#leaseMs, () => this.#address, lose, over.signal);
    try {
      const world = {
        settings: this.#settings,
        state: this.#state,
        address: () => this.#address,
        note: this.#note,
      };
      const delivery = await work(task, world, stop.signal);
      if (delivery !== undefined) {
        await this.#spool.put(delivery);
        this.#note(`task ${id} has ${delivery.result.outcome} (exit ${delivery.result.exit_code})`);
        onWorked();
        await this.#deliver(delivery);
      }
    } catch (error) {
      this.#note(`task ${id} could not be worked on: ${(error as Error).message}`);
    } finally {
      onWorked();
      over.abort();
      await keeping;
      this.#running.delete(id);
      this.#freed();
    }
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
    const options = { address: () => this.#address, spool: this.#spool, note: this.#note };
    try {
      const how = await deliver(delivery, options, this.#ending.signal);
      if (how === 'late')
        this.#note(`task ${taskId}: what attempt ${attempt} found is kept beside the winner's`);
    } catch (error) {
      this.#note(`the result of task ${taskId} stays in the spool: ${(error as Error).message}`);
    }
  }

  async #beat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.#pollMs, signal);
      if (signal.aborted) return;
      await this.#heartbeat(signal).catch(() => undefined); // the poll tells of outages
    }
  }

  async #heartbeat(signal: AbortSignal): Promise<void> {
    const { bavail, bsize } = await statfs(this.#state.root);
    const { json } = await callControl(this.#address, {
      method: 'POST',
      path: '/heartbeat',
      json: { running: [...this.#running.keys()], load: loadavg()[0] ?? 0, disk_free: bavail * bsize },
      signal,
    });
    const { cancel, allowlist_serial: serial, drain } = json as HeartbeatReply;
    for (const id of cancel) {
      const running = this.#running.get(id);
      if (running === undefined || running.stop.signal.aborted) continue;
      this.#note(`task ${id} is to be stopped`);
      running.stop.abort('SIGTERM' satisfies StopReason);
    }
    if (drain !== this.#isDrained)
      this.#note(drain ? 'drained: it takes no new task' : 'it takes tasks again');
    this.#isDrained = drain;
    await this.#renewAllowList(serial, signal);
  }

  async #renewAllowList(serial: number | undefined, signal: AbortSignal): Promise<void> {
    if (serial !== undefined && serial === this.#serial) return;
    await this.#allowList.refresh(this.#address, signal);
    this.#serial = serial;
  }

  /** Removes runs that were delivered long ago. */
  async #tidy(signal: AbortSignal): Promise<void> {
    const { runsDir, keepDays } = this.#settings;
    while (!signal.aborted) {
      const waiting = new Set((await this.#spool.all(this.#note)).map(({ directory }) => directory));
      for (const name of await readdir(runsDir).catch(() => [])) {
        const path = join(runsDir, name);
        const summary = await stat(join(path, 'artifacts', 'summary.json')).catch(() => undefined);
        const isOld = summary !== undefined && Date.now() - summary.mtimeMs > keepDays * DAY_MS;
        if (isOld && !waiting.has(path)) await rm(path, { recursive: true, force: true });
      }
      await pause(TIDY_MS, signal);
    }
  }

  async #drain(): Promise<void> {
    const running = [...this.#running.values()];
    if (running.length > 0) {
      this.#note(
        `${running.length} ${running.length === 1 ? 'task is' : 'tasks are'} given ${this.#settings.drainS} s to end`,
      );
      const over = new AbortController();
      const all = Promise.all(running.map(({ worked }) => worked));
      await Promise.race([all, pause(this.#settings.drainS * 1000, over.signal)]);
      over.abort();
      for (const { stop } of running) if (!stop.signal.aborted) stop.abort('SIGTERM' satisfies StopReason);
    }
    const last = new AbortController();
    await Promise.race([Promise.allSettled(this.#deliveries), pause(DELIVER_MS, last.signal)]);
    last.abort();
    this.#ending.abort();
    await Promise.allSettled([...running.map(({ done }) => done), ...this.#deliveries]);
  }
}

/** For what is on its way when the agent ends, milliseconds; the rest stays in the spool. */
const DELIVER_MS = 5000;

/** Whether asking again may be answered otherwise. */
function mayPass(error: ReeveError): boolean {
  if (error instanceof ControlRefusal)
    return error.status >= 500 || error.status === 429 || error.status === 408;
  return error.code === 'E_SERVICE_UNAVAILABLE';
}
