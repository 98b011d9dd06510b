import type { Executor, NodeWork, RuntimeRef, RuntimeStatus } from '../../src/engine/executor.ts';

/** Performs a trivial asynchronous function in this process, as soon as it is given the work. */
export class TrivialExecutor implements Executor {
  readonly name = 'bench';
  readonly #onBegin: (work: NodeWork) => void;
  readonly #done = new Map<string, Promise<RuntimeStatus>>();

  constructor(onBegin: (work: NodeWork) => void) {
    this.#onBegin = onBegin;
  }

  submit(work: NodeWork): Promise<RuntimeRef> {
    this.#onBegin(work);
    this.#done.set(work.effectKey, perform(work));
    return Promise.resolve({ executor: this.name, effectKey: work.effectKey });
  }
  status({ effectKey }: RuntimeRef): Promise<RuntimeStatus> {
    return this.#done.get(effectKey) ?? Promise.resolve({ phase: 'not_started' });
  }
  cancel(): Promise<void> {
    return Promise.resolve();
  }
  async *watch(ref: RuntimeRef): AsyncIterable<RuntimeStatus> {
    yield await this.status(ref);
  }
  forget({ effectKey }: RuntimeRef): Promise<void> {
    this.#done.delete(effectKey);
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function perform(work: NodeWork): Promise<RuntimeStatus> {
  const startedAtMs = Date.now();
  const outputs = { n: await Promise.resolve(work.attempt) };
  return {
    phase: 'finished',
    outcome: 'succeeded',
    startedAtMs,
    finishedAtMs: startedAtMs,
    outputs,
    usage: {},
  };
}
