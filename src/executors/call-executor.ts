/**
 * Work that is one call: it begins and ends with it, in this process. Nothing of it outlives the process: of a call
 * that somebody else made, nobody can tell any more whether it took effect, and that is the answer (I5).
 */
import type { Clock } from '../engine/ports.ts';
import type {
  Executor,
  NodeWork,
  RuntimeError,
  RuntimeOutcome,
  RuntimeRef,
  RuntimeStatus,
} from '../engine/executor.ts';
import type { JsonObject } from '../model/json.ts';
import type { Usage } from '../model/usage.ts';

export interface CallEnd {
  readonly outcome: 'succeeded' | 'accepted' | 'failed';
  readonly outputs?: JsonObject;
  readonly error?: RuntimeError;
  readonly usage?: Partial<Usage>;
}

/** @param signal aborts when nobody waits for the end any more; whoever does the work should stop it. */
export type Call = (work: NodeWork, signal: AbortSignal) => Promise<CallEnd>;

interface Calling {
  status: RuntimeStatus;
  readonly stop: AbortController;
  readonly listeners: Set<() => void>;
}

const LOST: RuntimeStatus = {
  phase: 'unknown',
  reason: 'the process that made the call ended before its answer was recorded',
};

export class CallExecutor implements Executor {
  readonly name: string;
  readonly #call: Call;
  readonly #clock: Clock;
  readonly #calls = new Map<string, Calling>();
  readonly #making = new Set<Promise<void>>();

  constructor(name: string, call: Call, clock: Clock) {
    this.name = name;
    this.#call = call;
    this.#clock = clock;
  }

  async submit(work: NodeWork): Promise<RuntimeRef> {
    const { effectKey } = work;
    const ref = { executor: this.name, effectKey };
    if (this.#calls.has(effectKey)) return ref;
    const calling: Calling = {
      status: { phase: 'running', startedAtMs: this.#clock.nowMs(), usage: {} },
      stop: new AbortController(),
      listeners: new Set(),
    };
    this.#calls.set(effectKey, calling);
    const made = this.#make(work, calling).finally(() => this.#making.delete(made));
    this.#making.add(made);
    return ref;
  }

  async status({ effectKey }: RuntimeRef): Promise<RuntimeStatus> {
    return this.#calls.get(effectKey)?.status ?? LOST;
  }

  async cancel({ effectKey }: RuntimeRef, reason: 'canceled' | 'over_budget'): Promise<void> {
    const calling = this.#calls.get(effectKey);
    if (calling === undefined) return;
    calling.stop.abort(reason);
    this.#end(calling, { outcome: reason });
  }

  async *watch(
    { effectKey }: RuntimeRef,
    signal: AbortSignal,
  ): AsyncGenerator<RuntimeStatus, void, undefined> {
    const calling = this.#calls.get(effectKey);
    if (calling === undefined) {
      yield LOST;
      return;
    }
    if (calling.status.phase === 'running') {
      yield calling.status;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          calling.listeners.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        calling.listeners.add(done);
        signal.addEventListener('abort', done);
        if (signal.aborted || calling.status.phase !== 'running') done();
      });
    }
    if (!signal.aborted) yield calling.status;
  }

  async forget({ effectKey }: RuntimeRef): Promise<void> {
    this.#calls.delete(effectKey);
  }

  async close(): Promise<void> {
    for (const { stop } of this.#calls.values()) stop.abort('closed');
    await Promise.allSettled(this.#making);
  }

  async #make(work: NodeWork, calling: Calling): Promise<void> {
    const { timeoutMs } = work;
    const late =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            this.#end(calling, { outcome: 'timed_out' });
            calling.stop.abort('timed_out');
          }, timeoutMs);
    try {
      this.#end(calling, await this.#call(work, calling.stop.signal));
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      this.#end(calling, { outcome: 'failed', error: { code: 'E_ADAPTER_FAIL', message } });
    } finally {
      clearTimeout(late);
    }
  }

  /** The first end counts. */
  #end(
    calling: Calling,
    { outcome, ...end }: Omit<CallEnd, 'outcome'> & { readonly outcome: RuntimeOutcome },
  ): void {
    if (calling.status.phase !== 'running') return;
    const { startedAtMs, usage } = calling.status;
    calling.status = {
      phase: 'finished',
      startedAtMs,
      finishedAtMs: this.#clock.nowMs(),
      usage,
      outcome,
      ...end,
    };
    for (const listener of calling.listeners) listener();
  }
}
