/**
 * Drives one claimed node: starts what is ready, watches it, records how it ends, and stops when nothing is left, when
 * the run is held or over, or when the lease is lost. The lease is the right to write (I4): once it may have run out,
 * the driver stops its children and writes nothing more.
 */
import type { AttemptError, Fact, RecordedEvent } from '../model/events.ts';
import { allowance } from '../model/budget.ts';
import type { Command } from '../model/commands.ts';
import { ReeveError } from '../model/errors.ts';
import { isApproved } from '../model/decide/checkpoint.ts';
import { isExternal, isPlan } from '../model/node.ts';
import { awaitsDecision, deadlineOf, leaseOwner, usageAt, type Node, type RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import { NO_USAGE, reportedUsage, USAGE_KEYS, type Usage } from '../model/usage.ts';
import { stopPoint } from '../telemetry/stop-points.ts';
import type { Admit } from './admission.ts';
import type { Engine, Executed } from './engine.ts';
import type { Executor, NodeWork, RuntimeRef, RuntimeStatus } from './executor.ts';
import { watchPatiently } from './executor-calls.ts';
import { LeaseKeeper, type HeldLease } from './lease-keeper.ts';
import { sha256 } from './system.ts';

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

interface Effect {
  readonly executor: Executor;
  readonly ref: RuntimeRef;
  /** Started by this driver; not found under way. */
  readonly isOurs: boolean;
  /** It used more than the budget allows. */
  isOver: boolean;
  /** This driver asked for its end; the executor failed to hear that. */
  isStopped: boolean;
  isUnheard: boolean;
}

type Finished = Extract<RuntimeStatus, { phase: 'finished' }>;

export class Driver {
  readonly #engine: Engine;
  readonly #options: DriverOptions;
  readonly #lease: HeldLease;
  readonly #keeper: LeaseKeeper;
  readonly #working = new Map<string, Promise<void>>();
  /** Effects that may be under way, by node: what has to be stopped before we go. */
  readonly #effects = new Map<string, Effect>();
  /** Work whose end is decided and not durable yet: the next step is started meanwhile, in the same transaction. */
  readonly #settling = new Set<Promise<void>>();
  readonly #charged = new Map<string, Usage>();
  readonly #abandon = new AbortController();
  /** Aborted once the driver goes: what is being admitted does not start any more. */
  readonly #leaving = new AbortController();
  /** The claim is durable. */
  #isClaimed: boolean;
  /** Of the run, from the store; our own commits are among them. */
  #isNews = true;
  #lookedMs = 0;
  #woken: () => void = () => undefined;
  #failure: Error | undefined;

  /**
   * @param isClaimed Where the claim is decided and not durable yet: whether it came to be; never rejects. What is decided
   * meanwhile goes into its transaction or fails with it, and no effect begins before that (I5).
   */
  constructor(options: DriverOptions, lease: HeldLease, isClaimed?: Promise<boolean>) {
    this.#engine = options.engine;
    this.#options = options;
    this.#lease = lease;
    this.#isClaimed = isClaimed === undefined;
    const told = Promise.resolve(isClaimed ?? true).then((is) => {
      this.#isClaimed = is;
      this.#woken();
      return is;
    });
    this.#keeper = new LeaseKeeper(options.engine, lease, told, () => this.#woken());
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
      this.#isNews = true;
      wake();
    });
    signal.addEventListener('abort', wake);
    try {
      const end = await this.#loop(signal);
      if (this.#failure !== undefined) {
        await this.#release().catch(() => undefined); // best effort: otherwise the lease runs out
        throw this.#failure;
      }
      if (end !== 'lost') await this.#release();
      return end;
    } finally {
      signal.removeEventListener('abort', wake);
      unsubscribe();
      this.#keeper.stop();
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
   * The run as it is now; undefined when the store does not say. What our own work did to it we know: the store is asked
   * when it told of a change, and otherwise from time to time.
   */
  async #look(): Promise<RunState | undefined> {
    const { runId } = this.#lease;
    const { lookMs = LOOK_MS, engine } = this.#options;
    const known = engine.peek(runId);
    const nowMs = engine.clock.nowMs();
    if (known !== undefined && !this.#isNews && nowMs - this.#lookedMs < lookMs) return known;
    this.#isNews = false;
    this.#lookedMs = nowMs;
    try {
      return await engine.state(runId);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Why driving should end, if it should. */
  #endOf(state: RunState, signal: AbortSignal): DriveEnd | undefined {
    if (this.#failure !== undefined) return 'stopped';
    if (isTerminal(state.standing)) return 'done';
    if (state.open.has(this.#lease.node)) return 'done'; // it runs without us until it is settled
    if (!this.#keeper.holds() || !this.#isOurs(state)) return 'lost';
    if (signal.aborted) return 'stopped';
    if (state.standing.phase !== 'running') return 'held';
    if (state.settled.has(this.#lease.node)) return 'done';
    const node = state.nodes.get(this.#lease.node);
    if (node !== undefined && awaitsDecision(state, node)) return 'held';
    // Whoever has begun to leave goes: a claim that is decided again may look like ours for the second time.
    return this.#leaving.signal.aborted ? 'lost' : undefined;
  }

  #isOurs(state: RunState): boolean {
    const node = state.nodes.get(this.#lease.node);
    if (node === undefined) return true;
    return node.lease !== undefined && node.epoch === this.#lease.epoch && !this.#isAnothers(state);
  }

  /** Of a claim that did not come about somebody else may have the epoch. */
  #isAnothers(state: RunState): boolean {
    const { node, leaseId } = this.#lease;
    const held = state.nodes.get(node)?.lease ?? (node === state.spec.rootId ? state.rootLease : undefined);
    return held !== undefined && held.leaseId !== leaseId;
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
      await this.#write({ type: 'expire', node: id }).catch((error: unknown) => this.#fail(error));
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
        this.#track(id, () => this.#recover(id));
    }
  }

  #startReady(state: RunState): void {
    const owner = state.nodes.get(this.#lease.node);
    const room = (owner?.spec.maxParallel ?? 1) - this.#working.size;
    if (room <= 0) return;
    const nowMs = this.#engine.clock.nowMs();
    const due = this.#mine(state).filter((id) => (state.nodes.get(id)?.notBeforeMs ?? 0) <= nowMs);
    for (const id of due.slice(0, room))
      this.#track(id, () => this.#perform(id, state.nodes.get(id)?.spec.executor));
  }

  #track(id: string, work: () => Promise<void>): void {
    const tracked = Promise.resolve()
      .then(work)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#settling.delete(tracked);
        // Its next attempt may be at work already.
        if (this.#working.get(id) === tracked) this.#working.delete(id);
        this.#woken();
      });
    this.#working.set(id, tracked);
  }

  /** Being refused because the run moved on is how a driver learns of it; anything else stops the driving. */
  #fail(error: unknown): void {
    if (!isOvertaken(error)) this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /**
   * Every write under our lease. None is made once it may have run out: what is under way is left for whoever takes over
   * to find. What is left of a composite that ended has no lease any more; who stops it says how it ended.
   */
  async #write(command: Command): Promise<Executed> {
    const { runId } = this.#lease;
    const id = 'node' in command ? command.node : undefined;
    const isLeftover = (): boolean =>
      id !== undefined && this.#engine.peek(runId)?.nodes.get(id)?.state === 'canceled';
    return this.#engine.execute(
      runId,
      command,
      (state) => isLeftover() || (this.#keeper.holds() && !this.#isAnothers(state)),
    );
  }

  async #perform(id: string, executorName: string | undefined): Promise<void> {
    const { runId, epoch } = this.#lease;
    if (executorName !== undefined && !this.#options.executors.has(executorName))
      return this.#holdWithout(executorName);
    const { admit } = this.#options;
    const admitted = admit === undefined ? {} : await this.#admit(id, admit);
    if (admitted === undefined) return;
    const starting = this.#write({ type: 'start', node: id, epoch, ...admitted });
    const live = this.#engine.peek(runId)?.nodes.get(id)?.live;
    if (live !== undefined && live.executor === null && live.epoch === epoch) {
      // No effect, so nothing to wait for: its start and its end go into one transaction.
      await Promise.all([starting, this.#finish(id, live.attempt, { outcome: 'succeeded', usage: {} })]);
      return;
    }
    const { events } = await starting;
    this.#options.onChange?.(runId);
    const started = startedEvent(events);
    if (started === undefined) return; // held for its budget, or waiting for an approval
    if (started.executor === null) {
      await this.#finish(id, started.attempt, { outcome: 'succeeded', usage: {} });
      return;
    }
    const executor = this.#executor(started.executor);
    const ref: RuntimeRef = { executor: started.executor, effectKey: started.effectKey };
    // The store has just taken the start: as good as asking it again.
    const state = this.#engine.peek(runId) ?? (await this.#engine.state(runId));
    const node = state.nodes.get(id);
    if (node?.live?.attempt !== started.attempt) return;
    if (node.state === 'canceled') {
      await this.#interrupt(
        { node: id, attempt: started.attempt, epoch },
        'not_started',
        'the run was canceled',
      );
      return;
    }
    if (!this.#keeper.holds()) return; // the intent is recorded, the effect never begins: whoever recovers finds that out
    stopPoint('effect:intended');
    await this.#submit(executor, ref, this.#workOf(state, node, started.attempt, started.effectKey));
  }

  /** What goes on record with the start; undefined when the node does not start now. */
  async #admit(id: string, admit: Admit): Promise<{ facts?: readonly Fact[] } | undefined> {
    const { runId, epoch } = this.#lease;
    const { signal } = this.#leaving;
    // As the start will be decided on it. Asking the store would take a turn, and the transaction of the claim leaves with it.
    const state = this.#engine.peek(runId) ?? (await this.#engine.state(runId));
    const node = state.nodes.get(id);
    if (node === undefined || !state.ready.has(id)) return undefined;
    const approved = isApproved(state, node, sha256);
    const said = await admit(state, node, { isApproved: approved, signal });
    if (signal.aborted) return undefined;
    if (said === 'go') return {};
    const facts = said.facts === undefined ? {} : { facts: said.facts };
    if ('go' in said || ('ask' in said && approved)) return facts;
    const about = { node: id, epoch, ...facts };
    if ('refuse' in said) await this.#write({ type: 'reject', ...about, error: said.refuse });
    else await this.#write({ type: 'ask', ...about, ...said.ask });
    this.#options.onChange?.(runId);
    return undefined;
  }

  /** Hands work to its executor. What the executor refuses has failed, once it is sure that nothing of it began. */
  async #submit(executor: Executor, ref: RuntimeRef, work: NodeWork): Promise<void> {
    const { nodeId, attempt } = work;
    const effect = effectOf(executor, ref, true);
    this.#effects.set(nodeId, effect);
    let refused: string | undefined;
    try {
      await executor.submit(work);
    } catch (cause) {
      refused = cause instanceof Error ? cause.message : String(cause);
    }
    stopPoint('effect:submitted');
    await this.#watch(nodeId, attempt, effect, refused);
  }

  async #recover(id: string): Promise<void> {
    const state = await this.#engine.state(this.#lease.runId);
    const live = state.nodes.get(id)?.live;
    if (live === undefined) return;
    const attempt = { node: id, attempt: live.attempt, epoch: this.#lease.epoch };
    if (live.executor === null) {
      await this.#interrupt(attempt, 'not_started', 'its worker ended before the step was recorded');
      return;
    }
    if (!this.#options.executors.has(live.executor)) return this.#holdWithout(live.executor);
    this.#charged.set(id, live.charged);
    const ref = { executor: live.executor, effectKey: live.effectKey };
    await this.#watch(id, live.attempt, effectOf(this.#executor(live.executor), ref, false));
  }

  /** No other worker than one that has the executor can go on: a person must see to it. */
  async #holdWithout(executor: string): Promise<void> {
    return this.#holdFor(`worker ${this.#lease.worker} has no executor named '${executor}'`);
  }

  async #holdFor(summary: string): Promise<void> {
    if (this.#engine.peek(this.#lease.runId)?.standing.phase !== 'running') return;
    await this.#write({ type: 'hold', hold: 'error', summary, reasonCodes: ['E_ADAPTER_FAIL'] });
    this.#options.onChange?.(this.#lease.runId);
  }

  #workOf(state: RunState, node: Node, attempt: number, effectKey: string): NodeWork {
    const { spec } = node;
    const left = allowance(state.limits, usageAt(state, this.#engine.clock.nowMs()));
    const limits = [spec.timeoutMs, left.wallMs].filter((ms) => ms !== undefined);
    return {
      runId: state.id,
      nodeId: spec.id,
      attempt,
      effectKey,
      input: spec.input ?? null,
      ...(limits.length === 0 ? {} : { timeoutMs: Math.max(1, Math.min(...limits)) }),
      allowance: left,
    };
  }

  /**
   * Watches an effect to its end and records that. An executor that keeps failing holds the run, with the attempt live:
   * whoever resumes it asks again.
   * @param refused What the executor said when it was given the work: once it is sure that nothing began, it has failed.
   */
  async #watch(id: string, attempt: number, effect: Effect, refused?: string): Promise<void> {
    const { executor, ref } = effect;
    this.#effects.set(id, effect);
    const how = {
      clock: this.#engine.clock,
      pauseMs: this.#options.lookMs ?? LOOK_MS,
      signal: this.#abandon.signal,
    };
    try {
      for await (const status of watchPatiently(executor, ref, how)) {
        if (status.phase === 'running') {
          await this.#charge(id, attempt, status.usage, effect);
          continue;
        }
        stopPoint('effect:ended');
        this.#effects.delete(id);
        if (status.phase === 'not_started') return await this.#neverBegan(id, attempt, refused);
        let recorded = true;
        if (status.phase === 'finished') recorded = await this.#settle(id, attempt, status, effect);
        else
          await this.#interrupt({ node: id, attempt, epoch: this.#lease.epoch }, status.phase, status.reason);
        stopPoint('effect:recorded');
        // I5: until its end is on record, the executor's own record is all that keeps the effect from being repeated.
        if (recorded) await executor.forget(ref).catch(() => undefined); // then pruning removes it
        return;
      }
    } catch (error) {
      if (!(error instanceof ReeveError) || error.code !== 'E_ADAPTER_FAIL') throw error;
      this.#effects.delete(id);
      await this.#holdFor(`step '${id}' cannot be watched: ${error.message}`);
    }
  }

  /**
   * The executor's fence is left standing: a worker that was stopped between the intent and the submission may still
   * wake up and submit (I5).
   */
  async #neverBegan(id: string, attempt: number, refused: string | undefined): Promise<void> {
    if (refused === undefined) {
      const ref = { node: id, attempt, epoch: this.#lease.epoch };
      return this.#interrupt(ref, 'not_started', 'it was never started');
    }
    const error = { code: 'E_ADAPTER_FAIL', message: refused };
    await this.#finish(id, attempt, { outcome: 'failed', usage: {}, error });
  }

  /** Charges what an agent has used so far; what is over the budget stops it at once. */
  async #charge(id: string, attempt: number, reported: Partial<Usage>, effect: Effect): Promise<void> {
    const usage = reportedUsage(reported);
    const before = this.#charged.get(id);
    const more: { -readonly [K in keyof Usage]?: number } = {};
    for (const key of USAGE_KEYS) {
      const grown = (usage[key] ?? 0) - (before?.[key] ?? 0);
      if (grown > 0) more[key] = grown;
    }
    if (Object.keys(more).length === 0) return;
    const { runId, epoch } = this.#lease;
    const { state } = await this.#write({
      type: 'charge',
      node: id,
      attempt,
      epoch,
      usage: more,
    });
    this.#charged.set(id, { ...NO_USAGE, ...usage });
    this.#options.onChange?.(runId);
    const left = allowance(state.limits, state.used);
    const isOver = (['tokens', 'toolCalls', 'costMicros'] as const).some(
      (key) => left[key] === 0 && (state.limits[key] ?? 0) < state.used[key],
    );
    if (!isOver) return;
    effect.isOver = true;
    await this.#stop(effect);
  }

  /** Asks an effect to end. An executor that fails to hear it is asked again at the next look. */
  async #stop(effect: Effect): Promise<void> {
    effect.isStopped = true;
    effect.isUnheard = false;
    await effect.executor.cancel(effect.ref, effect.isOver ? 'over_budget' : 'canceled').catch(() => {
      effect.isUnheard = true;
    });
  }

  async #settle(id: string, attempt: number, given: Finished, effect: Effect): Promise<boolean> {
    const status = (await this.#isUnasked(id, given, effect)) ? { ...given, ...UNASKED } : given;
    const { usage, outputs, error } = status;
    const state = this.#engine.peek(this.#lease.runId);
    const wallLeft =
      state === undefined
        ? undefined
        : allowance(state.limits, usageAt(state, this.#engine.clock.nowMs())).wallMs;
    // The time limit given to the executor was the nearer of the step's own and what the budget had left.
    const outcome = status.outcome === 'timed_out' && wallLeft === 0 ? 'over_budget' : status.outcome;
    const spec = state?.nodes.get(id)?.spec;
    if (outcome === 'accepted' && spec !== undefined && !isExternal(spec))
      return this.#finish(id, attempt, { outcome: 'failed', usage, error: NOT_DONE });
    return this.#finish(id, attempt, {
      outcome,
      usage,
      ...(outputs === undefined ? {} : { outputs }),
      ...(error === undefined ? {} : { error }),
    });
  }

  /**
   * Whether an executor canceled by itself what this driver started. That is a failure, with its retries: otherwise what
   * is always canceled would be started again for ever.
   */
  async #isUnasked(id: string, { outcome }: Finished, { isOurs, isStopped }: Effect): Promise<boolean> {
    if (outcome !== 'canceled' || !isOurs || isStopped) return false;
    const { nodes } = await this.#engine.state(this.#lease.runId);
    return nodes.get(id)?.state !== 'canceled';
  }

  /** @returns whether the end is on record. */
  async #finish(
    id: string,
    attempt: number,
    end: {
      outcome: Finished['outcome'];
      usage: Partial<Usage>;
      outputs?: NonNullable<Finished['outputs']>;
      error?: AttemptError;
    },
  ): Promise<boolean> {
    const { runId, epoch } = this.#lease;
    this.#charged.delete(id);
    const recorded = this.#write({ type: 'finish', node: id, attempt, epoch, ...end }).then(
      () => true,
      (error: unknown) => {
        this.#fail(error);
        return false;
      },
    );
    const tracked = this.#working.get(id);
    if (tracked !== undefined) this.#settling.add(tracked);
    this.#working.delete(id);
    this.#woken();
    if (!(await recorded)) return false;
    this.#options.onChange?.(runId);
    return true;
  }

  async #interrupt(
    attempt: { node: string; attempt: number; epoch: number },
    found: 'not_started' | 'unknown',
    reason: string,
  ): Promise<void> {
    await this.#write({ type: 'interrupt', ...attempt, found, reason });
    this.#options.onChange?.(this.#lease.runId);
  }

  /**
   * Stops our children: all of them when we go, otherwise those whose composite has ended. Not when someone else holds
   * the run by now: the children are theirs, found again and watched, and only our own watching ends (W15).
   */
  async #stopChildren(state: RunState | undefined, all: boolean): Promise<void> {
    if (state !== undefined && !isTerminal(state.standing) && !this.#isOurs(state)) {
      this.#abandon.abort();
      return;
    }
    for (const [id, effect] of this.#effects) {
      if (all || effect.isUnheard || state?.nodes.get(id)?.state === 'canceled') await this.#stop(effect);
    }
  }

  async #release(): Promise<void> {
    const { runId, node, epoch } = this.#lease;
    const state = await this.#engine.state(runId);
    if (state.nodes.get(node)?.lease === undefined && state.rootLease?.epoch !== epoch) return;
    const seenMs = this.#engine.clock.nowMs();
    try {
      await this.#write({ type: 'release', node, epoch, cause: 'released', seenMs });
    } catch (error) {
      if (!isOvertaken(error)) throw error;
    }
    this.#options.onChange?.(runId);
  }

  /** Waits for the next thing to look at: a child's end, a change of the run, a retry that falls due, a second. */
  async #pause(woken: Promise<void>, state: RunState | undefined): Promise<void> {
    const { lookMs = LOOK_MS, engine } = this.#options;
    const nowMs = engine.clock.nowMs();
    // What is due already waits for room, and room is made by a child's end.
    const dueMs = [...(state?.ready.keys() ?? [])].flatMap((id) => state?.nodes.get(id)?.notBeforeMs ?? []);
    if (state !== undefined) dueMs.push(...this.#deadlines(state).map(([, atMs]) => atMs));
    const untilDue = Math.min(lookMs, ...dueMs.filter((ms) => ms > nowMs).map((ms) => ms - nowMs));
    const stop = new AbortController();
    await Promise.race([woken, engine.clock.sleep(untilDue, stop.signal)]);
    stop.abort('over'); // a reason of its own: the default one costs a stack trace each time
  }

  #executor(name: string): Executor {
    const executor = this.#options.executors.get(name);
    if (executor === undefined)
      throw new ReeveError('E_ADAPTER_FAIL', `no executor named '${name}' here`, { executor: name });
    return executor;
  }
}

function effectOf(executor: Executor, ref: RuntimeRef, isOurs: boolean): Effect {
  return { executor, ref, isOurs, isOver: false, isStopped: false, isUnheard: false };
}

const UNASKED = {
  outcome: 'failed',
  error: { code: 'E_ADAPTER_FAIL', message: 'its executor canceled it, and nobody here had asked for that' },
} as const;
const NOT_DONE: AttemptError = {
  code: 'E_ADAPTER_FAIL',
  message: 'its executor took it over instead of doing it, and nobody is to settle an atomic node later',
};

/** The run moved on under someone else, or to where this has no place any more. */
function isOvertaken(error: unknown): boolean {
  return error instanceof ReeveError && OVERTAKEN.includes(error.code);
}
const OVERTAKEN: readonly string[] = [
  'E_LEASE_CONFLICT',
  'E_INVALID_STATE_TRANSITION',
  'E_CHECKPOINT_APPROVAL_REQUIRED',
];

function startedEvent(events: readonly RecordedEvent[]) {
  for (const { event } of events) if (event.type === 'attempt_started') return event;
  return undefined;
}
