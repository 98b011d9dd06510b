/** Waiting longer each time, with full jitter, so that a fleet does not come back in one instant. */
import { setTimeout as sleep } from 'node:timers/promises';

export class Backoff {
  readonly #firstMs: number;
  readonly #lastMs: number;
  #failures = 0;

  /** @param firstMs longest first wait, milliseconds; it doubles up to `lastMs`. */
  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** @param leastMs somebody has asked for at least this, milliseconds; it is believed up to the longest wait. */
  nextMs(leastMs = 0): number {
    const most = Math.min(this.#lastMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return Math.max(Math.min(leastMs, this.#lastMs), most / 2 + (Math.random() * most) / 2);
  }

  /** Ends early with the signal, without an error. */
  async wait(signal: AbortSignal, leastMs?: number): Promise<void> {
    await pause(this.nextMs(leastMs), signal);
  }
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
