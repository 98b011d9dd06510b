/** Waiting that ends when it should. */
import { unlessAborted } from '../waiting.ts';
import { ArpError } from '../wire/errors.ts';

/** Time as a driver sees it. */
export interface Clock {
  nowMs(): number;
  /** @throws when the signal aborts first */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

const PAUSE_FIRST_MS = 250;
const PAUSE_MOST_MS = 30_000;

/** Asks again, ever less often, while the failure is one that passes. @throws the last failure after `forMs` */
export async function persistently<T>(
  ask: () => Promise<T>,
  forMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<T> {
  const untilMs = clock.nowMs() + forMs;
  for (let pauseMs = PAUSE_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MOST_MS)) {
    try {
      return await unlessAborted(signal, ask());
    } catch (error) {
      const passes = error instanceof ArpError && error.retryable === true;
      if (!passes || clock.nowMs() + pauseMs > untilMs) throw error;
    }
    await clock.pause(pauseMs, signal);
  }
}
