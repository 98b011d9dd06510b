/** Ctrl-C and its like: the first signal asks a command to stop, the second one ends it. */
import type { CommandResult } from './command.ts';

const NAMES = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Listens for signals. Whoever takes `signal` answers for it: it stops soon and tidily. Until then nothing would come of
 * an abort, so a signal ends the process there and then, as if nobody listened. That is safe anywhere: so does kill -9.
 */
export class Interruption {
  readonly #controller = new AbortController();
  #isTaken = false;

  constructor() {
    for (const name of NAMES) process.on(name, this.#onSignal);
  }
  get signal(): AbortSignal {
    this.#isTaken = true;
    return this.#controller.signal;
  }
  /** How the command is to end, once it was asked to stop. */
  get exitCode(): number | undefined {
    return interruptedBy(this.#controller.signal).exitCode;
  }
  off(): void {
    for (const name of NAMES) process.off(name, this.#onSignal);
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    this.off();
    if (this.#isTaken) this.#controller.abort(name);
    else process.kill(process.pid, name); // an exit would wait for threads, and one may be waiting for a pipe
  };
}

/** The result of a command that was asked to stop: 130 for Ctrl-C, 143 for others, as shells say it. */
export function interruptedBy(signal: AbortSignal): Pick<CommandResult, 'exitCode'> {
  return signal.aborted ? { exitCode: exitCodeOf(signal.reason) } : {};
}

function exitCodeOf(name: unknown): number {
  return name === 'SIGINT' ? 130 : 143;
}
