/**
 * A polling agent (contract agents §1, §2.2): asks for work, judges and runs it as its own machine allows, and brings what
 * came of it. Only it opens connections. What was begun survives outages of the control plane and of the network.
 */
import { resolve } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { callControl, ControlRefusal, type ControlAddress } from '../client/control-client.ts';
import { requireUnprivileged } from '../runner/privilege.ts';
import { LEASE_S, WAIT_MAX_S } from '../wire/agents.ts';
import { intervalMsOf, leaseMsOf, taskIn } from './answers.ts';
import { Backoff, pause } from './backoff.ts';
import { recover } from './begun.ts';
import { AllowListFile } from './downloads.ts';
import { heartbeat } from './heartbeat.ts';
import { register } from './registration.ts';
import { folderWithoutRoom } from './room.ts';
import type { AgentSettings } from './settings.ts';
import { Spool } from './spool.ts';
import { StateDir } from './state-dir.ts';
import { Tasks } from './tasks.ts';
import { tidy } from './tidy.ts';

/** Between polls that fail, milliseconds. */
const FIRST_MS = 1000;
const LAST_MS = 60_000;
/** A poll that was answered faster than this was not held by the control plane, milliseconds. */
const AT_ONCE_MS = 1000;
const TIDY_MS = 3_600_000;

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
  readonly #tasks: Tasks;
  /** Until the drain is over. */
  readonly #ending = new AbortController();
  #address: ControlAddress;
  #leaseMs = LEASE_S * 1000;
  #pollMs: number;
  #serial: number | undefined;
  #isDrained = false;
  /** What the operator was told of. */
  #full: string | undefined;

  private constructor({ settings, note }: AgentOptions, state: StateDir) {
    this.#settings = settings;
    this.#note = note;
    this.#state = state;
    this.#spool = new Spool(state.spool, note);
    this.#allowList = new AllowListFile(state);
    this.#address = settings.control;
    this.#pollMs = settings.pollS * 1000;
    this.#tasks = new Tasks({
      settings,
      state,
      note,
      spool: this.#spool,
      allowList: this.#allowList,
      address: () => this.#address,
      leaseMs: () => this.#leaseMs,
    });
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
      await state.close();
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    const settings = this.#settings;
    await recover(this.#spool, settings.agentId, this.#note);
    let beating: Promise<void> | undefined;
    try {
      if (!(await this.#register(signal))) return;
      for (const delivery of await this.#spool.all()) this.#tasks.redeliver(delivery);
      beating = this.#beat(this.#ending.signal);
      void this.#tidy(this.#ending.signal);
      await this.#poll(signal);
    } finally {
      // Heartbeats go on meanwhile: somebody may want to cancel what still runs.
      await this.#tasks.drain(settings.drainS * 1000);
      this.#ending.abort();
      await beating;
    }
  }

  /** Until somebody answers. @returns false: the signal came first. @throws when it is refused for good */
  async #register(signal: AbortSignal): Promise<boolean> {
    const settings = this.#settings;
    const backoff = new Backoff(FIRST_MS, LAST_MS);
    for (let isTold = false; !signal.aborted; ) {
      try {
        const { address, reply } = await register(settings, this.#state, signal);
        this.#address = address;
        this.#leaseMs = leaseMsOf(reply.lease_s);
        this.#pollMs = intervalMsOf(reply.poll_interval_s, settings.pollS);
        this.#note(`agent ${settings.agentId} is registered at ${address.baseUrl}`);
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
      if (this.#tasks.running >= this.#settings.maxParallel || this.#isDrained) {
        await this.#tasks.freed(this.#pollMs, signal);
        continue;
      }
      if (!(await this.#hasRoom())) {
        await pause(this.#pollMs, signal);
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
        const task = await taskIn(json);
        if (typeof task === 'string') this.#note(`what the control plane answers is passed over: ${task}`);
        const isTaken = typeof task === 'object' && task !== null && this.#tasks.take(task);
        // Whoever answers at once, whatever it is, is not asked in one breath again.
        if (!isTaken && performance.now() - askedAt < AT_ONCE_MS) await pause(this.#pollMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!isAway) this.#note(`${(error as Error).message}; work goes on, and it is asked again`);
        isAway = true;
        await backoff.wait(signal, error instanceof ControlRefusal ? error.retryAfterMs : undefined);
      }
    }
  }

  async #hasRoom(): Promise<boolean> {
    const full = await folderWithoutRoom([this.#state.root, resolve(this.#settings.runsDir)]);
    if (full !== this.#full)
      this.#note(
        full === undefined ? 'there is room again' : `there is no room in ${full}: it takes no task`,
      );
    this.#full = full;
    return full === undefined;
  }

  /** At once and every interval. Never throws: the poll tells of outages. */
  async #beat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const said = await heartbeat(this.#address, this.#state.root, this.#tasks.ids(), signal);
        for (const id of said?.cancel ?? []) this.#tasks.cancel(id);
        this.#drained(said?.drain ?? this.#isDrained);
        await this.#renewAllowList(said?.allowlist_serial, signal);
      } catch {}
      await pause(this.#pollMs, signal);
    }
  }

  #drained(isDrained: boolean): void {
    if (isDrained !== this.#isDrained)
      this.#note(isDrained ? 'drained: it takes no new task' : 'it takes tasks again');
    this.#isDrained = isDrained;
  }

  async #renewAllowList(serial: number | undefined, signal: AbortSignal): Promise<void> {
    if (serial === undefined || serial === this.#serial) return;
    await this.#allowList.refresh(this.#address, signal);
    this.#serial = serial;
  }

  async #tidy(signal: AbortSignal): Promise<void> {
    const { runsDir, keepDays, agentId } = this.#settings;
    while (!signal.aborted) {
      try {
        const waiting = new Set((await this.#spool.all()).map(({ directory }) => directory));
        await tidy({ runsDir: resolve(runsDir), packages: this.#state.packages, agentId, keepDays, waiting });
      } catch (error) {
        this.#note(`old runs could not be removed: ${(error as Error).message}`);
      }
      await pause(TIDY_MS, signal);
    }
  }
}

/** Whether asking again may be answered otherwise. */
function mayPass(error: ReeveError): boolean {
  if (error instanceof ControlRefusal)
    return error.status >= 500 || error.status === 429 || error.status === 408;
  return error.code === 'E_SERVICE_UNAVAILABLE';
}
