/** Tells executors that what they work on was canceled (H6). The cancellation is on record, whether they hear of it or not. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AtomicExecution, CompositeExecution } from '../ports.ts';
import type { NodeRecord } from './view.ts';

export interface CancelableExecutors {
  readonly atomic?: Pick<AtomicExecution, 'cancel'>;
  readonly composite?: Pick<CompositeExecution, 'cancel'>;
}

/** How long whoever cancels waits until they have heard, milliseconds. */
const PATIENCE_MS = 1000;
const AT_ONCE = 16;

export class CancelNotices {
  readonly #executors: CancelableExecutors;

  constructor(executors: CancelableExecutors) {
    this.#executors = executors;
  }

  /** Never throws. Returns once all have heard, or after a second; the rest is told meanwhile. */
  async send(stopped: readonly NodeRecord[]): Promise<void> {
    if (stopped.length === 0) return;
    const waiting = [...stopped];
    const tell = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { atomic, composite } = this.#executors;
        const executor = next.isComposite ? composite : atomic;
        await executor?.cancel(next.id).catch(() => undefined);
      }
    };
    const told = Promise.all(Array.from({ length: Math.min(AT_ONCE, stopped.length) }, tell));
    await Promise.race([told, delay(PATIENCE_MS, undefined, { ref: false })]);
  }
}
