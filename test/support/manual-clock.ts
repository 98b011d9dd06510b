/** A clock that stands still until the test moves it. */
import type { Clock } from '../../src/engine/ports.ts';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Turns of the event loop that are given to whoever was woken before time moves on. */
const TURNS = 12;
/** Real time that anything may take, milliseconds. */
const PATIENCE_MS = 15_000;

export class ManualClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();
  readonly #isBusy: () => boolean;

  /** @param isBusy whether somebody waits for something outside of this process, which takes real time */
  constructor(startMs = 1_800_000_000_000, isBusy = () => false) {
    this.#nowMs = startMs;
    this.#isBusy = isBusy;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { atMs: this.#nowMs + Math.max(0, ms), wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  /** Moves time on, from sleeper to sleeper, and lets each do its work before the next. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await turns(TURNS, this.#isBusy);
    for (;;) {
      const next = [...this.#sleepers].toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      await turns(TURNS, this.#isBusy);
    }
    this.#nowMs = untilMs;
    await turns(TURNS, this.#isBusy);
  }

  /** Sets the time without waking anybody: what happens to a process that was stopped. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }

  /** When the next sleeper wakes, as seen from now, milliseconds. */
  nextMs(): number {
    return Math.min(...[...this.#sleepers].map(({ atMs }) => atMs - this.#nowMs));
  }

  /** Waits, in real time, until something holds; time of this clock stands still. */
  async until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await new Promise(setImmediate);
    }
  }
}

/** Lets everything that is ready run, and what that waits for. */
export async function turns(count = TURNS, isBusy = () => false): Promise<void> {
  for (let turn = 0; turn < count; turn = isBusy() ? 0 : turn + 1) await new Promise(setImmediate);
}
