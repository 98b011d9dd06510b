import { ReeveError } from '../../model/errors.ts';
import type { AttemptError } from '../../model/events.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { runSurroundings, type Jobs } from './jobs.ts';
import { statusOf, type Status } from './map.ts';
import { createJob, runJob, type Ran } from './submit.ts';
import { wrapRun, type WrapOptions } from './to-run.ts';

export interface WrapRequest extends WrapOptions {
  readonly argv: readonly string[];
  readonly jobId?: string;
  readonly signal: AbortSignal;
  readonly onChange?: (jobId: string) => void;
}

export interface AdapterResult {
  readonly job_id: string;
  readonly status: Status;
  readonly exit_code: number;
  /** The last 64 KiB. */
  readonly stdout?: string;
  readonly stderr?: string;
}

/** Runs one command as a job of its own (contract wrkr §e, W42). */
export async function wrap(
  jobs: Jobs,
  request: WrapRequest,
): Promise<Ran & { readonly result: AdapterResult }> {
  const run = (id: string): RunSpec =>
    wrapRun(request.argv, request, runSurroundings(jobs, id, jobs.surroundings.cwd));
  const jobId = await createJob(jobs, {
    name: 'job_wrap',
    ...(request.jobId === undefined ? {} : { jobId: request.jobId }),
    run,
  });
  jobs.secretArguments.set(jobId, request.argv);
  request.onChange?.(jobId);
  const done = await runJob(jobs, jobId, request.signal, request.onChange);
  const { outputs = {}, error: failure } = await lastEnd(jobs, jobId);
  // A program that was not found counts as 1 (contract wrkr §e), like one that a signal ended.
  const isRun = failure?.details?.['not_run'] !== true;
  const exitCode = isRun && typeof outputs['exit_code'] === 'number' ? outputs['exit_code'] : 1;
  const result: AdapterResult = {
    job_id: jobId,
    status: statusOf(done.state.standing),
    exit_code: exitCode,
    ...textOf('stdout', outputs['stdout_tail']),
    ...textOf('stderr', outputs['stderr_tail']),
  };
  return {
    ...done,
    result,
    ...(done.error === undefined ? {} : { error: withCommand(done.error, run(jobId), exitCode) }),
  };
}

function withCommand(error: ReeveError, run: RunSpec, exitCode: number): ReeveError {
  if (error.code !== 'E_ADAPTER_FAIL') return error;
  const command = run.nodes[0]?.labels?.['command'];
  return new ReeveError(
    error.code,
    error.message,
    { ...error.details, command, exit_code: exitCode },
    { cause: error },
  );
}

async function lastEnd(jobs: Jobs, jobId: string): Promise<{ outputs?: JsonObject; error?: AttemptError }> {
  const ends = await jobs.engine.events(jobId, 0, 1000, ['attempt_ended']);
  const last = ends.at(-1)?.event;
  return last?.type === 'attempt_ended' ? last : {};
}

function textOf(key: 'stdout' | 'stderr', value: Json | undefined): { stdout?: string; stderr?: string } {
  return typeof value === 'string' && value !== '' ? { [key]: value } : {};
}
