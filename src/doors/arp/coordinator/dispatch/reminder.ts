/**
 * Composites that were handed over run without a lease, and an executor that was restarted knows nothing of them. So they
 * are begun again: when the coordinator starts, and from time to time. Who has them in progress takes that without harm.
 */
import type { Engine } from '../../../../engine/engine.ts';
import type { CompositeBeginResponse } from '../../wire/requests.ts';
import type { RunViews } from '../run-views.ts';
import { QUEUE } from '../spec.ts';

export interface ReminderParts {
  readonly engine: Engine;
  readonly views: RunViews;
  begin(runId: string, nodeRunId: string): Promise<CompositeBeginResponse>;
  /** Between rounds, milliseconds. Default one minute. */
  readonly everyMs?: number;
}

const EVERY_MS = 60_000;
const PAGE = 200;

export class Reminder {
  readonly #parts: ReminderParts;

  constructor(parts: ReminderParts) {
    this.#parts = parts;
  }

  start(signal: AbortSignal): void {
    void this.#remind(signal);
  }

  async #remind(signal: AbortSignal): Promise<void> {
    const { engine, everyMs = EVERY_MS } = this.#parts;
    while (!signal.aborted) {
      await this.#round(signal).catch(() => undefined); // whoever cannot be asked is asked again in the next round
      await engine.clock.sleep(everyMs, signal);
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { engine } = this.#parts;
    let after: Awaited<ReturnType<typeof engine.store.list>>['next'];
    do {
      const page = await engine.store.list({
        limit: PAGE,
        phases: ['running'],
        ...(after === undefined ? {} : { after }),
      });
      for (const { id, queue } of page.runs) {
        if (signal.aborted) return;
        if (queue === QUEUE) await this.#remindOf(id);
      }
      after = page.next;
    } while (after !== undefined && !signal.aborted);
  }

  async #remindOf(runId: string): Promise<void> {
    const { engine, views, begin } = this.#parts;
    const { open } = await engine.state(runId);
    if (open.size === 0) return;
    const view = await views.get(runId);
    for (const node of open.keys()) {
      if (view?.nodes.get(node)?.endedSeq === undefined) await begin(runId, node).catch(() => undefined);
    }
  }
}
