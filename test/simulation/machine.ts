/**
 * Where effects happen, and the ledger of what really happened. It outlives every process. Executors are handles on
 * it, as a process has them: their answers may be late, lost or wrong.
 */
import type {
  Executor,
  NodeWork,
  RuntimeOutcome,
  RuntimeRef,
  RuntimeStatus,
} from '../../src/engine/executor.ts';
import type { Json, JsonObject } from '../../src/model/json.ts';
import type { Usage } from '../../src/model/usage.ts';
import { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** What really became of an effect. */
export interface LedgerEntry {
  readonly runId: string;
  readonly node: string;
  starts: number;
  /** `lost`: nobody can tell any more, and it does not run. */
  end: RuntimeOutcome | 'lost' | undefined;
  refused: boolean;
  cancelAsked: boolean;
}

export interface Watchers {
  readonly begins: (work: NodeWork) => void;
  readonly forgets: (effectKey: string) => void;
}

interface Effect {
  readonly work: NodeWork;
  readonly origin: string;
  status: RuntimeStatus;
}

interface Fate {
  readonly outcome: RuntimeOutcome;
  readonly refuses: boolean;
  readonly lastsMs: number;
  readonly reports: readonly Partial<Usage>[];
  readonly outputs: JsonObject | undefined;
  readonly cancelMs: number;
}

export class Machine {
  readonly ledger = new Map<string, LedgerEntry>();
  /** From now on everything goes well and soon. */
  isBenign = false;
  readonly #scheduler: Scheduler;
  readonly #seed: number;
  readonly #watchers: Watchers;
  /** Of a hundred effects, how many take seconds. */
  readonly #slow: number;
  readonly #effects = new Map<string, Effect>();
  readonly #fenced = new Set<string>();
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(scheduler: Scheduler, seed: number, watchers: Watchers, slow = 22) {
    this.#scheduler = scheduler;
    this.#seed = seed;
    this.#watchers = watchers;
    this.#slow = slow;
  }

  /** @throws Error when the work is refused: nothing has begun, and nothing will. */
  submit(work: NodeWork, origin: string): void {
    const key = work.effectKey;
    if (this.#effects.has(key) || this.#fenced.has(key)) return;
    const fate = this.#fateOf(work);
    const entry = this.#entry(work);
    if (fate.refuses) {
      entry.refused = true;
      this.#fenced.add(key);
      throw new Error('the machine refuses this work');
    }
    this.#watchers.begins(work);
    entry.starts += 1;
    entry.end = undefined;
    const startedAtMs = this.#scheduler.nowMs;
    this.#effects.set(key, { work, origin, status: { phase: 'running', startedAtMs, usage: {} } });
    this.#changed(key);
    fate.reports.forEach((usage, at) =>
      this.#scheduler.after((fate.lastsMs * (at + 1)) / (fate.reports.length + 1), () =>
        this.#report(key, usage),
      ),
    );
    this.#scheduler.after(fate.lastsMs, () => this.#end(key, fate.outcome, fate.outputs));
    if (work.timeoutMs !== undefined && work.timeoutMs <= fate.lastsMs)
      this.#scheduler.after(work.timeoutMs, () => this.#end(key, 'timed_out'));
  }

  status(key: string): RuntimeStatus {
    const effect = this.#effects.get(key);
    if (effect !== undefined) return effect.status;
    this.#fenced.add(key);
    return { phase: 'not_started' };
  }

  cancel(key: string, reason: 'canceled' | 'over_budget'): void {
    const effect = this.#effects.get(key);
    if (effect === undefined) {
      this.#fenced.add(key);
      return;
    }
    if (effect.status.phase !== 'running') return;
    this.#entry(effect.work).cancelAsked = true;
    this.#scheduler.after(this.#fateOf(effect.work).cancelMs, () => this.#end(key, reason));
  }

  forget(key: string): void {
    this.#watchers.forgets(key);
    if (this.#effects.get(key)?.status.phase === 'running') throw new Error(`${key} still runs`);
    this.#effects.delete(key);
    this.#fenced.delete(key);
  }

  /** What the process started dies with it; of some of it nothing is known then. */
  dieWith(origin: string): void {
    for (const [key, effect] of this.#effects) {
      if (effect.origin === origin && effect.status.phase === 'running') this.lose(key);
    }
  }

  /** It runs no more, and nobody can tell how far it came. */
  lose(key: string): void {
    const effect = this.#effects.get(key);
    if (effect?.status.phase !== 'running') return;
    this.#entry(effect.work).end = 'lost';
    effect.status = { phase: 'unknown', reason: 'the machine has no record of it' };
    this.#changed(key);
  }

  /** Everything still running ends soon. */
  hurry(): void {
    this.isBenign = true;
    for (const [key, { status }] of this.#effects)
      if (status.phase === 'running') this.#scheduler.after(1000, () => this.#end(key, 'succeeded'));
  }

  /** Keys of what runs now. */
  running(): string[] {
    return [...this.#effects].filter(([, { status }]) => status.phase === 'running').map(([key]) => key);
  }

  /** @returns how to stop listening. */
  listen(key: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(key);
    };
  }

  #end(key: string, outcome: RuntimeOutcome, outputs?: JsonObject): void {
    const effect = this.#effects.get(key);
    if (effect?.status.phase !== 'running') return;
    const { startedAtMs, usage } = effect.status;
    this.#entry(effect.work).end = outcome;
    effect.status = {
      phase: 'finished',
      outcome,
      startedAtMs,
      finishedAtMs: this.#scheduler.nowMs,
      usage,
      ...(outputs === undefined ? {} : { outputs }),
      ...(outcome === 'succeeded' || outcome === 'accepted'
        ? {}
        : {
            error: {
              code: 'E_ADAPTER_FAIL',
              message: `it ended as ${outcome}`,
              ...(usage.tokens === undefined ? {} : { retryable: usage.tokens % 2 === 0 }),
            },
          }),
    };
    this.#changed(key);
  }

  #report(key: string, usage: Partial<Usage>): void {
    const effect = this.#effects.get(key);
    if (effect?.status.phase !== 'running') return;
    effect.status = { ...effect.status, usage };
    const { allowance = {} } = effect.work;
    const isOver = Object.entries(usage).some(
      ([name, used]) => used > (allowance[name as keyof Usage] ?? Infinity),
    );
    if (isOver) this.#end(key, 'over_budget');
    else this.#changed(key);
  }

  #changed(key: string): void {
    for (const listener of this.#listeners.get(key) ?? []) listener();
  }

  #entry({ effectKey, runId, nodeId }: NodeWork): LedgerEntry {
    let entry = this.ledger.get(effectKey);
    if (entry === undefined) {
      entry = { runId, node: nodeId, starts: 0, end: undefined, refused: false, cancelAsked: false };
      this.ledger.set(effectKey, entry);
    }
    return entry;
  }

  #fateOf({ effectKey, input }: NodeWork): Fate {
    const wanted = wish(input);
    const random = new Random(this.#seed, 'fate', effectKey);
    const kind = random.weighed({
      soon: 73 - Math.min(73, this.#slow - 4),
      slow: this.#slow - 4,
      slowest: 4,
      fails: 11,
      cancels: 2,
      over: 1,
      refuses: 4,
      messy: 9,
    });
    const ms = { slow: random.int(3000, 40_000), slowest: random.int(40_000, 100_000) };
    const lastsMs = kind === 'slow' || kind === 'slowest' ? ms[kind] : random.int(1, 2000);
    const outcomes: Partial<Record<typeof kind, RuntimeOutcome>> = {
      fails: 'failed',
      cancels: 'canceled',
      over: 'over_budget',
    };
    const reports = Array.from({ length: random.int(0, 2) }, (_, at) =>
      usageOf(random, at + 1, kind === 'messy'),
    );
    const outputs = wanted.fat === true ? { text: 'x'.repeat(random.int(8000, 22_000)) } : undefined;
    const fate: Fate = {
      outcome: outcomes[kind] ?? 'succeeded',
      refuses: kind === 'refuses',
      lastsMs,
      reports,
      outputs,
      cancelMs: random.oneIn(3) ? random.int(100, 5000) : random.int(0, 20),
    };
    if (wanted.fate === 'hang')
      return { ...fate, outcome: 'succeeded', refuses: false, lastsMs: 1e12, reports: [], cancelMs: 1 };
    if (wanted.fate !== undefined)
      return {
        ...fate,
        outcome: wanted.fate === 'fail' ? 'failed' : 'succeeded',
        refuses: false,
        lastsMs: 5,
        reports: [],
      };
    if (wanted.accepts === true && fate.outcome === 'succeeded')
      return { ...fate, outcome: 'accepted', refuses: false, lastsMs: Math.min(lastsMs, 2000) };
    return this.isBenign ? { ...fate, outcome: 'succeeded', refuses: false, lastsMs: 10, reports: [] } : fate;
  }
}

/** What the input may ask for, as far as the executor contract needs it. */
function wish(input: Json): {
  readonly fate?: 'succeed' | 'fail' | 'hang';
  readonly fat?: boolean;
  readonly accepts?: boolean;
} {
  return (input ?? {}) as ReturnType<typeof wish>;
}

/** Usage grows; a messy executor reports what is no count, and what it should not speak of. */
function usageOf(random: Random, factor: number, isMessy: boolean): Partial<Usage> {
  const usage = {
    tokens: factor * random.int(0, 40),
    toolCalls: factor * random.int(0, 2),
    costMicros: factor * 100,
  };
  if (!isMessy) return usage;
  const mess = [
    { tokens: 0.5 },
    { tokens: -3 },
    { costMicros: 1.25 },
    { wallMs: 5000 },
    { steps: 2, retries: 1 },
  ];
  return { ...usage, ...random.pick(mess) };
}

/** How a process reaches the machine: both may be late, fail, or never come back. */
export interface Line {
  call<T>(what: string, effectKey: string, land: () => T): Promise<T>;
  /** Resolves some time after the next change, or as soon as the signal aborts. */
  change(
    effectKey: string,
    signal: AbortSignal,
  ): { readonly heard: Promise<void>; readonly stop: () => void };
}

export class SimExecutor implements Executor {
  readonly name = 'x';
  readonly #machine: Machine;
  readonly #line: Line;
  readonly #origin: string;

  constructor(machine: Machine, line: Line, origin: string) {
    this.#machine = machine;
    this.#line = line;
    this.#origin = origin;
  }

  async submit(work: NodeWork): Promise<RuntimeRef> {
    await this.#line.call('submit', work.effectKey, () => this.#machine.submit(work, this.#origin));
    return { executor: this.name, effectKey: work.effectKey };
  }

  status({ effectKey }: RuntimeRef): Promise<RuntimeStatus> {
    return this.#line.call('status', effectKey, () => this.#machine.status(effectKey));
  }

  cancel({ effectKey }: RuntimeRef, reason: 'canceled' | 'over_budget'): Promise<void> {
    return this.#line.call('cancel', effectKey, () => this.#machine.cancel(effectKey, reason));
  }

  async *watch({ effectKey }: RuntimeRef, signal: AbortSignal): AsyncIterable<RuntimeStatus> {
    let last = '';
    while (!signal.aborted) {
      const change = this.#line.change(effectKey, signal);
      try {
        const status = await this.#line.call('watch', effectKey, () => this.#machine.status(effectKey));
        const text = JSON.stringify(status);
        if (text !== last) yield status;
        last = text;
        if (status.phase !== 'running') return;
        await change.heard;
      } finally {
        change.stop();
      }
    }
  }

  forget({ effectKey }: RuntimeRef): Promise<void> {
    return this.#line.call('forget', effectKey, () => this.#machine.forget(effectKey));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
