/**
 * An executor whose effects are a script. The world is where effects happen: it outlives executors, and so shows what
 * one that comes after a crash would find.
 */
import type { Clock } from '../../src/engine/ports.ts';
import type {
  Executor,
  NodeWork,
  RuntimeError,
  RuntimeOutcome,
  RuntimeRef,
  RuntimeStatus,
} from '../../src/engine/executor.ts';
import type { JsonObject } from '../../src/model/json.ts';
import type { Usage } from '../../src/model/usage.ts';

/** What a node's input may ask for; without it the work goes on until the test or a cancel ends it. */
interface Script extends JsonObject {
  readonly fate: 'succeed' | 'fail' | 'hang';
}

interface Effect {
  readonly work: NodeWork;
  status: RuntimeStatus;
  starts: number;
}

interface End {
  readonly outcome?: RuntimeOutcome;
  readonly usage?: Partial<Usage>;
  readonly outputs?: JsonObject;
  readonly error?: RuntimeError;
}

export class ScriptedWorld {
  readonly clock: Clock;
  readonly #effects = new Map<string, Effect>();
  /** Keys that were asked about before they were submitted: they never start. */
  readonly #fenced = new Set<string>();
  readonly #listeners = new Set<() => void>();
  /** Keys in the order in which their effects began. */
  readonly began: string[] = [];
  readonly canceled: string[] = [];
  readonly forgotten: string[] = [];

  constructor(clock: Clock) {
    this.clock = clock;
  }

  begin(work: NodeWork): void {
    const { effectKey, input, timeoutMs } = work;
    if (this.#effects.has(effectKey) || this.#fenced.has(effectKey)) return;
    const startedAtMs = this.clock.nowMs();
    this.#effects.set(effectKey, { work, status: { phase: 'running', startedAtMs, usage: {} }, starts: 1 });
    this.began.push(effectKey);
    this.#changed();
    const fate = (input as Partial<Script> | null)?.fate;
    if (fate === 'succeed') this.end(effectKey);
    if (fate === 'fail') this.end(effectKey, { outcome: 'failed' });
    if (timeoutMs !== undefined)
      void this.clock.sleep(timeoutMs).then(() => this.end(effectKey, { outcome: 'timed_out' }));
  }

  /** Ends running work; nothing when it has ended. */
  end(effectKey: string, { outcome = 'succeeded', usage, outputs, error }: End = {}): void {
    const effect = this.#effects.get(effectKey);
    if (effect?.status.phase !== 'running') return;
    const { startedAtMs, usage: reported } = effect.status;
    const failure = error ?? { code: 'E_ADAPTER_FAIL', message: `the script ended as ${outcome}` };
    effect.status = {
      phase: 'finished',
      outcome,
      startedAtMs,
      finishedAtMs: this.clock.nowMs(),
      usage: usage ?? reported,
      ...(outputs === undefined ? {} : { outputs }),
      ...(outcome === 'succeeded' ? {} : { error: failure }),
    };
    this.#changed();
  }

  /** What the work says it has used so far. */
  report(effectKey: string, usage: Partial<Usage>): void {
    const effect = this.#effects.get(effectKey);
    if (effect?.status.phase !== 'running') return;
    effect.status = { ...effect.status, usage };
    this.#changed();
  }

  /** From now on nobody can tell what became of it. */
  lose(effectKey: string): void {
    const effect = this.#effects.get(effectKey);
    if (effect === undefined) return;
    effect.status = { phase: 'unknown', reason: 'the machine is gone' };
    this.#changed();
  }

  cancel(effectKey: string, reason: 'canceled' | 'over_budget'): void {
    this.canceled.push(effectKey);
    this.end(effectKey, { outcome: reason });
  }

  status(effectKey: string): RuntimeStatus {
    const effect = this.#effects.get(effectKey);
    if (effect !== undefined) return effect.status;
    this.#fenced.add(effectKey);
    return { phase: 'not_started' };
  }

  forget(effectKey: string): void {
    if (!this.#effects.delete(effectKey)) return;
    this.forgotten.push(effectKey);
    this.#changed();
  }

  work(effectKey: string): NodeWork | undefined {
    return this.#effects.get(effectKey)?.work;
  }
  /** Keys of what runs now. */
  running(): string[] {
    return [...this.#effects].filter(([, { status }]) => status.phase === 'running').map(([key]) => key);
  }
  /** How often the effect of a key began, ever. */
  starts(effectKey: string): number {
    return this.began.filter((key) => key === effectKey).length;
  }

  /** Resolves with the next change, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#listeners.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#listeners.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

export class ScriptedExecutor implements Executor {
  readonly name: string;
  readonly world: ScriptedWorld;
  /** Called before each submission takes effect. */
  onSubmit: (work: NodeWork) => void | Promise<void> = () => undefined;

  constructor(world: ScriptedWorld, name = 'x') {
    this.world = world;
    this.name = name;
  }

  async submit(work: NodeWork): Promise<RuntimeRef> {
    await this.onSubmit(work);
    this.world.begin(work);
    return { executor: this.name, effectKey: work.effectKey };
  }

  status({ effectKey }: RuntimeRef): Promise<RuntimeStatus> {
    return Promise.resolve(this.world.status(effectKey));
  }

  cancel({ effectKey }: RuntimeRef, reason: 'canceled' | 'over_budget'): Promise<void> {
    this.world.cancel(effectKey, reason);
    return Promise.resolve();
  }

  async *watch({ effectKey }: RuntimeRef, signal: AbortSignal): AsyncIterable<RuntimeStatus> {
    let last: RuntimeStatus | undefined;
    while (!signal.aborted) {
      const next = this.world.next(signal);
      const status = this.world.status(effectKey);
      if (status !== last) yield status;
      if (status.phase !== 'running') return;
      last = status;
      await next;
    }
  }

  forget({ effectKey }: RuntimeRef): Promise<void> {
    this.world.forget(effectKey);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
