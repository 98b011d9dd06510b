/** Applies retention every hour and looks for orphans once a day, beginning with the start; one pass at a time. */
import type { Clock } from '../../../../engine/ports.ts';

export interface SweeperOptions {
  readonly clock: Clock;
  readonly retention: () => Promise<unknown>;
  readonly orphans: () => Promise<unknown>;
  /** A pass that failed is told here, and comes again with the next. */
  note(text: string): void;
}

const HOUR_MS = 3_600_000;
const ORPHANS_EVERY = 24;

/** @returns how to stop; resolves once the pass under way has ended */
export function startSweeper({ clock, retention, orphans, note }: SweeperOptions): () => Promise<void> {
  const stopping = new AbortController();
  const attempt = async (what: string, pass: () => Promise<unknown>): Promise<void> => {
    if (stopping.signal.aborted) return;
    await pass().catch((error: unknown) => note(`${what} failed: ${(error as Error).message}`));
  };
  const work = (async () => {
    for (let hour = 0; !stopping.signal.aborted; hour += 1) {
      await attempt('retention', retention);
      if (hour % ORPHANS_EVERY === 0) await attempt('the search for orphaned files', orphans);
      await clock.sleep(HOUR_MS, stopping.signal);
    }
  })();
  return async () => {
    stopping.abort();
    await work;
  };
}
