import type { Executor, NodeWork, RuntimeRef, RuntimeStatus } from '../../engine/executor.ts';

/** An executor that is loaded when work first needs it: most commands never run any. */
export class LazyExecutor implements Executor {
  readonly name: string;
  readonly #open: () => Promise<Executor>;
  #opened: Promise<Executor> | undefined;

  constructor(name: string, open: () => Promise<Executor>) {
    this.name = name;
    this.#open = open;
  }

  async submit(work: NodeWork): Promise<RuntimeRef> {
    return (await this.#executor()).submit(work);
  }
  async status(ref: RuntimeRef): Promise<RuntimeStatus> {
    return (await this.#executor()).status(ref);
  }
  async cancel(ref: RuntimeRef, reason: 'canceled' | 'over_budget'): Promise<void> {
    return (await this.#executor()).cancel(ref, reason);
  }
  async *watch(ref: RuntimeRef, signal: AbortSignal): AsyncIterable<RuntimeStatus> {
    yield* (await this.#executor()).watch(ref, signal);
  }
  async forget(ref: RuntimeRef): Promise<void> {
    return (await this.#executor()).forget(ref);
  }
  async close(): Promise<void> {
    await (await this.#opened)?.close();
  }

  #executor(): Promise<Executor> {
    this.#opened ??= this.#open();
    return this.#opened;
  }
}
