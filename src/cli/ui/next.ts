/** What a person types next, given how a job stands. Every command is complete: it can be copied. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { BudgetView, JobView } from '../../doors/jobs/view.ts';
import { AGENTS_QUEUE, ROLLOUTS_QUEUE } from '../../doors/progress.ts';
import { ERRORS, isErrorCode } from '../../model/errors.ts';
import type { UsageKey } from '../../model/usage.ts';
import type { CliContext } from '../command.ts';

/** How this program is called so that it finds the same store. */
export interface Call {
  readonly program: string;
  /** `--store …`, where the store is not the one that the program looks for by itself. */
  readonly store: readonly string[];
}

export interface Command {
  readonly text: string;
  readonly note: string;
}

const LIMIT_FLAGS: Readonly<Record<UsageKey, string>> = {
  wallMs: 'max-wall-time-seconds',
  retries: 'max-retries',
  steps: 'max-step-count',
  toolCalls: 'max-tool-calls',
  tokens: 'max-tokens',
  costMicros: 'max-estimated-cost',
};
/** For the person to fill in. */
const REASON = '--reason "…"';

export function callOf({ program, storeRoot, postgres, env, cwd }: CliContext): Call {
  if (postgres !== undefined) {
    // Without the password: it is for ~/.pgpass or the environment, not for a screen.
    return { program, store: env['REEVE_STORE_URL'] === postgres.url ? [] : ['--store', postgres.shown] };
  }
  const own = env['REEVE_HOME'] || join(env['HOME'] || homedir(), program === 'reeve' ? '.reeve' : '.wrkr');
  return { program, store: storeRoot === resolve(cwd, own) ? [] : ['--store', storeRoot] };
}

export function approveCommand(call: Call, { jobId, queue }: JobView, checkpoint: string): string {
  if (queue === ROLLOUTS_QUEUE) return `${inPlane(call, ['rollout', 'promote', jobId])} ${REASON}`;
  return line(call, ['approve', jobId, '--checkpoint', checkpoint], REASON);
}

/** @param workerGone the process that holds the job's lease is not there any more. */
export function nextCommands(view: JobView, call: Call, nowMs: number, workerGone: boolean): Command[] {
  const { jobId, status, queue } = view;
  // What the control plane drives is not resumed, nor waited for, by commands of jobs.
  if (queue === AGENTS_QUEUE) return [];
  if (queue === ROLLOUTS_QUEUE)
    return [{ text: inPlane(call, ['rollout', 'status', jobId]), note: 'as its control plane tells it' }];
  const resume = (...more: readonly string[]): string => line(call, ['resume', jobId], ...more);
  switch (status) {
    case 'queued':
      return [
        { text: line(call, ['watch', jobId]), note: 'wait for a worker to take it' },
        { text: resume(), note: 'run it here' },
      ];
    case 'running':
      if (view.worker === undefined || view.worker.untilMs <= nowMs)
        return [{ text: resume(), note: 'nobody works on it' }];
      if (workerGone) return [{ text: resume('--takeover'), note: 'its worker is gone' }];
      return [{ text: line(call, ['watch', jobId]), note: 'follow it' }];
    case 'paused':
      return [{ text: resume(), note: 'go on' }];
    case 'blocked_decision':
      return afterDecision(view, call, resume());
    case 'blocked_budget':
      return [{ text: resume(...raised(view.budget), REASON), note: 'with higher limits' }];
    case 'blocked_error':
      return afterError(view, resume);
    case 'completed':
    case 'canceled':
      return [{ text: line(call, ['checkpoint', 'list', jobId]), note: 'look at what it did' }];
    default:
      return status satisfies never;
  }
}

function afterDecision(view: JobView, call: Call, resume: string): Command[] {
  const { openDecisions } = view;
  const [first] = openDecisions;
  if (first === undefined) return [{ text: resume, note: 'all is approved: go on' }];
  const count = openDecisions.length;
  return [
    { text: approveCommand(call, view, first), note: 'after a look at it' },
    { text: resume, note: count > 1 ? `once all ${count} decisions are approved` : 'once approved' },
  ];
}

function afterError(view: JobView, resume: (...more: readonly string[]) => string): Command[] {
  if (view.reasonCodes.includes('E_ENV_FINGERPRINT_MISMATCH')) {
    return [
      { text: resume(), note: 'once the environment is as it was' },
      { text: resume('--force-env', REASON), note: 'accept it as it is now' },
    ];
  }
  const unknown = view.steps.filter(
    ({ state, lastOutcome }) => lastOutcome === 'unknown' && state !== 'succeeded',
  );
  return [
    ...unknown.map(({ name }) => ({
      text: resume('--mark-done', quoted(name), REASON),
      note: 'it took effect',
    })),
    { text: resume(), note: unknown.length > 0 ? 'it did not: run it again' : 'once the cause is mended' },
  ];
}

/** Limits that are used up, doubled. */
function raised(budget: readonly BudgetView[]): string[] {
  return budget.flatMap(({ key, used, limit }) => {
    if (limit === undefined || used < limit) return [];
    const more = Math.max(2 * limit, Math.ceil(used * 1.5));
    return [`--${LIMIT_FLAGS[key]}`, limitText(key, more)];
  });
}

function limitText(key: UsageKey, value: number): string {
  if (key === 'wallMs') return String(Math.ceil(value / 1000));
  return key === 'costMicros' ? String(Math.ceil(value / 10_000) / 100) : String(value);
}

/** What the error table says to do about the first known reason. */
export function hintOf(reasonCodes: readonly string[]): string | undefined {
  const code = reasonCodes.find(isErrorCode);
  return code === undefined ? undefined : ERRORS[code].hint;
}

/** A command that asks a control plane, and no store. */
function inPlane({ program }: Call, words: readonly string[]): string {
  return [program, ...words].map(quoted).join(' ');
}

/** A command line. @param more comes as it is, quoted where it has to be. */
function line({ program, store }: Call, words: readonly string[], ...more: readonly string[]): string {
  return [...[program, ...words].map(quoted), ...more, ...store.map(quoted)].join(' ');
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w.,:@%+=/-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
