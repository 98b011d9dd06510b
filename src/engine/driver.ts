/**
 * Drives one claimed node: starts what is ready, watches it, records how it ends, and stops when nothing is left, when
 * the run is held or over, or when the lease is lost. The lease is the right to write (I4): once it may have run out,
 * the driver stops its children and writes nothing more.
 */
import { isPlan } from '../model/node.ts';
import { awaitsDecision, deadlineOf, leaseOwner, type RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import type { Admit } from './admission.ts';
import { AttemptStarter } from './attempt-starter.ts';
import { AttemptWatcher } from './attempt-watcher.ts';
import type { Engine } from './engine.ts';
import type { Executor } from './executor.ts';
import type { HeldLease } from './lease-keeper.ts';
import { LeasedRun } from './leased-run.ts';

export interface DriverOptions {
  readonly engine: Engine;
  readonly executors: ReadonlyMap<string, Executor>;
  /** How often the driver looks whether someone paused or canceled the run, milliseconds. */
  readonly lookMs?: number;
  /** Asked before each attempt whether it may start. Default: it may. */
  readonly admit?: Admit;
  /** Told after each durable change of the run; must not throw. */
  readonly onChange?: (runId: string) => void;
}

export type DriveEnd = 'done' | 'held' | 'lost' | 'stopped';

/** Default of `lookMs`. */
const LOOK_MS = 1000;
/** Ends on their way to the store before the driver waits for one: bounds memory and keeps timers running. */
const SETTLING_MAX = 64;

export class Driver {
  readonly #engine: Engine;
  readonly #lookMs: number;
  readonly #lease: HeldLease;
  readonly #run: LeasedRun;
  readonly #watcher: AttemptWatcher;
  readonly #starter: AttemptStarter;
  readonly #working = new Map<string, Promise<void>>();
  /** Work whose end is decided and not durable yet: the next step is started meanwhile, in the same transaction. */
  readonly #settling = new Set<Promise<void>>();
  /** Aborted once the driver goes: what is being admitted does not start any more. */
  readonly #leaving = new AbortController();
  /** The claim is durable. */
  #isClaimed: boolean;
  /** Of the run, from the store, and not of what this process did to it. */
  #isNews = true;
  #lookedMs = 0;
  #woken: () => void = () => undefined;

  /**
   * @param isClaimed Where the claim is decided and not durable yet: whether it came to be; never rejects. What is decided
   * meanwhile goes into its transaction or fails with it, and no effect begins before that (I5).
   */
  constructor(options: DriverOptions, lease: HeldLease, isClaimed?: Promise<boolean>) {
    const { engine, executors, admit, lookMs = LOOK_MS } = options;
    this.#engine = engine;
    this.#lookMs = lookMs;
    this.#lease = lease;
    this.#isClaimed = isClaimed === undefined;
    const told = Promise.resolve(isClaimed ?? true).then((is) => {
      this.#isClaimed = is;
      this.#woken();
      return is;
    });
    this.#run = new LeasedRun(options, lease, told, () => this.#woken());
    this.#watcher = new AttemptWatcher(this.#run, lookMs, (id) => this.#makeRoom(id));
    const leaving = this.#leaving.signal;
    this.#starter = new AttemptStarter({ run: this.#run, watcher: this.#watcher, executors, admit, leaving });
  }

  /**
   * @param signal Stop soon: attempts in flight are stopped and will be started again by whoever comes next.
   * @throws what the store threw, after the children were stopped.
   */
  async drive(signal: AbortSignal): Promise<DriveEnd> {
    const { runId } = this.#lease;
    const wake = (): void => this.#woken();
    const unsubscribe = this.#engine.store.subscribe((changed) => {
      if (changed !== undefined && changed !== runId) return;
      // Told while a commit of ours is on its way, it is that commit, which is in memory already; or one before it, with
      // which it fails. One just behind it is found by the next write, or the next look.
      if (changed === undefined || !this.#engine.isCommitting(runId)) this.#isNews = true;
      wake();
    });
    signal.addEventListener('abort', wake);
    try {
      const end = await this.#loop(signal);
      const { failure } = this.#run;
      if (failure !== undefined) {
        await this.#run.release().catch(() => undefined); // best effort: otherwise the lease runs out
        throw failure;
      }
      if (end !== 'lost') await this.#run.release();
      return end;
    } finally {
      signal.removeEventListener('abort', wake);
      unsubscribe();
      this.#run.stop();
    }
  }

  async #loop(signal: AbortSignal): Promise<DriveEnd> {
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        this.#woken = resolve;
      });
      const state = await this.#look();
      const end = state === undefined ? 'stopped' : this.#endOf(state, signal);
      if (end !== undefined && end !== 'held') this.#leaving.abort('over');
      await this.#stopChildren(state, end !== undefined && end !== 'held');
      if (end !== undefined && this.#working.size === 0) {
        await Promise.allSettled(this.#settling);
        return end;
      }
      if (end === undefined && state !== undefined) {
        this.#adopt(state);
        await this.#expire(state);
        this.#startReady(state);
      }
      while (this.#settling.size > SETTLING_MAX) await Promise.race(this.#settling);
      await this.#pause(woken, state);
    }
  }

  /**
   * The run as it is now; undefined when the store does not say. What this process did to it we know: the store is asked
   * when it told of another change, and otherwise from time to time.
   */
  async #look(): Promise<RunState | undefined> {
    const { runId } = this.#lease;
    const engine = this.#engine;
    const known = engine.peek(runId);
    const nowMs = engine.clock.nowMs();
    if (known !== undefined && !this.#isNews && nowMs - this.#lookedMs < this.#lookMs) return known;
    this.#isNews = false;
    this.#lookedMs = nowMs;
    try {
      return await engine.state(runId);
    } catch (error) {
      this.#run.fail(error);
      return undefined;
    }
  }

  /** Why driving should end, if it should. */
  #endOf(state: RunState, signal: AbortSignal): DriveEnd | undefined {
    if (this.#run.failure !== undefined) return 'stopped';
    if (isTerminal(state.standing)) return 'done';
    if (state.open.has(this.#lease.node)) return 'done'; // it runs without us until it is settled
    if (!this.#run.holds() || !this.#run.isOurs(state)) return 'lost';
    if (signal.aborted) return 'stopped';
    if (state.standing.phase !== 'running') return 'held';
    if (state.settled.has(this.#lease.node)) return 'done';
    const node = state.nodes.get(this.#lease.node);
    if (node !== undefined && awaitsDecision(state, node)) return 'held';
    // Whoever has begun to leave goes: a claim that is decided again may look like ours for the second time.
    return this.#leaving.signal.aborted ? 'lost' : undefined;
  }

  /** Ready nodes under our lease, in order of declaration. */
  #mine(state: RunState): string[] {
    const owner = state.nodes.get(this.#lease.node);
    if (owner === undefined) return [];
    if (!isPlan(owner.spec)) return state.ready.has(this.#lease.node) ? [this.#lease.node] : [];
    const ready = [...state.ready.keys()].filter((id) => leaseOwner(state, id) === this.#lease.node);
    return ready.length < 2
      ? ready
      : ready.toSorted((a, b) => (state.nodes.get(a)?.index ?? 0) - (state.nodes.get(b)?.index ?? 0));
  }

  /** Open nodes under our lease whose time is up. Those that are nobody's have work rows for that. */
  async #expire(state: RunState): Promise<void> {
    for (const [id, atMs] of this.#deadlines(state)) {
      if (atMs > this.#engine.clock.nowMs()) continue;
      await this.#run.write({ type: 'expire', node: id }).catch((error: unknown) => this.#run.fail(error));
    }
  }

  #deadlines(state: RunState): [string, number][] {
    return [...state.open.keys()].flatMap((id): [string, number][] => {
      const node = state.nodes.get(id);
      const atMs = node === undefined ? undefined : deadlineOf(state, node);
      return atMs === undefined || leaseOwner(state, id) !== this.#lease.node ? [] : [[id, atMs]];
    });
  }

  /** Takes over attempts that were started before we came; not before it is sure that they are ours. */
  #adopt(state: RunState): void {
    if (!this.#isClaimed) return;
    for (const id of state.live.keys()) {
      if (!this.#working.has(id) && leaseOwner(state, id) === this.#lease.node)
        this.#track(id, () => this.#starter.recover(id));
    }
  }

  #startReady(state: RunState): void {
    const owner = state.nodes.get(this.#lease.node);
    const room = (owner?.spec.maxParallel ?? 1) - this.#working.size;
    if (room <= 0) return;
    const nowMs = this.#engine.clock.nowMs();
    const due = this.#mine(state).filter((id) => (state.nodes.get(id)?.notBeforeMs ?? 0) <= nowMs);
    for (const id of due.slice(0, room))
      this.#track(id, () => this.#starter.start(id, state.nodes.get(id)?.spec.executor));
  }

  #track(id: string, work: () => Promise<void>): void {
    const tracked = Promise.resolve()
      .then(work)
      .catch((error: unknown) => this.#run.fail(error))
      .finally(() => {
        this.#settling.delete(tracked);
        // Its next attempt may be at work already.
        if (this.#working.get(id) === tracked) this.#working.delete(id);
        this.#woken();
      });
    this.#working.set(id, tracked);
  }

  /** The end of its attempt is decided: the next may start, and goes into the same transaction. */
  #makeRoom(id: string): void {
    const tracked = this.#working.get(id);
    if (tracked !== undefined) this.#settling.add(tracked);
    this.#working.delete(id);
    this.#woken();
  }

  /**
   * Stops our children: all of them when we go, otherwise those whose composite has ended. Not when someone else holds
   * the run by now: the children are theirs, found again and watched, and only our own watching ends (W15).
   */
  async #stopChildren(state: RunState | undefined, all: boolean): Promise<void> {
    if (state !== undefined && !isTerminal(state.standing) && !this.#run.isOurs(state))
      this.#watcher.abandon();
    else await this.#watcher.stop(state, all);
  }

  /** Waits for the next thing to look at: a child's end, a change of the run, a retry that falls due, a second. */
  async #pause(woken: Promise<void>, state: RunState | undefined): Promise<void> {
    const { clock } = this.#engine;
    const nowMs = clock.nowMs();
    // What is due already waits for room, and room is made by a child's end.
    const dueMs = [...(state?.ready.keys() ?? [])].flatMap((id) => state?.nodes.get(id)?.notBeforeMs ?? []);
    if (state !== undefined) dueMs.push(...this.#deadlines(state).map(([, atMs]) => atMs));
    const untilDue = Math.min(this.#lookMs, ...dueMs.filter((ms) => ms > nowMs).map((ms) => ms - nowMs));
    const stop = new AbortController();
    await Promise.race([woken, clock.sleep(untilDue, stop.signal)]);
    stop.abort('over'); // a reason of its own: the default one costs a stack trace each time
  }
}
