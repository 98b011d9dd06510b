/** How a run ended, and with which exit code (contract agents §3.1). Pure. */
import { constants } from 'node:os';
import type { Ended } from '../../../executors/process/command.ts';

const EXIT_TIMEOUT = 124;
const EXIT_RUNNER_FAILURE = 125;
export const EXIT_REFUSED = 126;

export type Outcome = 'succeeded' | 'failed' | 'refused' | 'cancelled' | 'timed_out';

export interface End {
  readonly exitCode: number;
  readonly outcome: Outcome;
  readonly reason?: string;
}

/** What the runner itself was told. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** @param reason of an AbortSignal. */
export function stopSignalOf(reason: unknown): StopSignal {
  return reason === 'SIGINT' || reason === 'SIGHUP' ? reason : 'SIGTERM';
}

/** @param stopped why the command was stopped; undefined if it ended by itself. */
export function judge(ended: Ended, stopped: StopSignal | 'timed_out' | undefined): End {
  if (stopped === 'timed_out') return { exitCode: EXIT_TIMEOUT, outcome: 'timed_out', reason: 'timeout' };
  if (stopped !== undefined)
    return { exitCode: exitOfSignal(stopped), outcome: 'cancelled', reason: stopped };
  if (ended.kind === 'not_run')
    return { exitCode: ended.exitCode ?? EXIT_RUNNER_FAILURE, outcome: 'failed', reason: ended.message };
  if (ended.signal !== null)
    return {
      exitCode: exitOfSignal(ended.signal),
      outcome: 'failed',
      reason: `the command was ended by ${ended.signal}`,
    };
  const exitCode = ended.code ?? EXIT_RUNNER_FAILURE;
  return { exitCode, outcome: exitCode === 0 ? 'succeeded' : 'failed' };
}

/** The runner could not do its part. */
export function failure(error: unknown): End {
  const reason = error instanceof Error ? error.message : String(error);
  return { exitCode: EXIT_RUNNER_FAILURE, outcome: 'failed', reason };
}

function exitOfSignal(name: string): number {
  const numbers: Readonly<Record<string, number | undefined>> = constants.signals;
  return 128 + (numbers[name] ?? 0);
}
