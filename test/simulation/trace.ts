/** The last things that happened, for people. Cheap while nothing is wrong: words are joined only when shown. */
import type { Scheduler } from './scheduler.ts';

export class Trace {
  /** A number that says what happened, in order: two runs of one seed have the same. */
  digest = 0;
  readonly #scheduler: Scheduler;
  readonly #startMs: number;
  readonly #kept: (readonly [number, number, string, readonly (string | number)[]])[] = [];
  readonly #most: number;
  #next = 0;

  constructor(scheduler: Scheduler, most: number) {
    this.#scheduler = scheduler;
    this.#startMs = scheduler.nowMs;
    this.#most = most;
  }

  add(who: string, ...words: readonly (string | number)[]): void {
    const { steps, nowMs } = this.#scheduler;
    this.digest = (Math.imul(this.digest, 31) + nowMs + (words[0] as string).length * 7 + who.length) | 0;
    this.#kept[this.#next % this.#most] = [steps, nowMs - this.#startMs, who, words];
    this.#next += 1;
  }

  lines(): string[] {
    const start = Math.max(0, this.#next - this.#most);
    return Array.from({ length: this.#next - start }, (_, at) => {
      const [step, ms, who, words] = this.#kept[(start + at) % this.#most] ?? [0, 0, '', []];
      return `${String(step).padStart(6)} ${(ms / 1000).toFixed(3).padStart(9)}s  ${who.padEnd(8)} ${words.join(' ')}`;
    });
  }
}
