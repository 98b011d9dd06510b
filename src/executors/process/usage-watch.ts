/** Follows what a command reports on standard output, and says when it must stop. */
import type { Usage } from '../../model/usage.ts';
import type { UsageSourceChoice } from './input.ts';
import type { StopCause } from './outcome.ts';
import { LineSplitter } from './output.ts';
import { createUsageSource } from './usage/index.ts';
import { exceeds } from './usage-report.ts';
import type { UsageReport, UsageSource } from './usage-source.ts';

/** Longest line that a source sees, in bytes; agents print whole files in one event. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;

export class UsageWatch {
  readonly lines = new LineSplitter(LINE_BYTES_MAX, (line) => this.#onLine(line));
  readonly #source: UsageSource;
  readonly #allowance: Partial<Usage>;
  readonly #onUsage: (usage: Partial<Usage>) => void;
  readonly #onStop: (cause: StopCause) => void;
  #usage: Partial<Usage> = {};

  constructor(
    choice: UsageSourceChoice,
    allowance: Partial<Usage>,
    onUsage: (usage: Partial<Usage>) => void,
    onStop: (cause: StopCause) => void,
  ) {
    const { name, prices, model } = choice;
    this.#source = createUsageSource(name, {
      prices,
      model,
      requirePrices: allowance.costMicros !== undefined,
    });
    this.#allowance = allowance;
    this.#onUsage = onUsage;
    this.#onStop = onStop;
  }

  get usage(): Partial<Usage> {
    return this.#usage;
  }

  report(): UsageReport {
    return this.#source.report();
  }

  #onLine(line: string): void {
    this.#source.line(line);
    const { tokens, toolCalls, costMicros, problem } = this.#source.report();
    const last = this.#usage;
    if (tokens !== last.tokens || toolCalls !== last.toolCalls || costMicros !== last.costMicros) {
      this.#usage = { tokens, toolCalls, costMicros };
      this.#onUsage(this.#usage);
    }
    if (problem !== undefined) this.#onStop('problem');
    else if (exceeds(this.#usage, this.#allowance)) this.#onStop('over_budget');
  }
}
