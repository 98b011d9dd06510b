import type { Fingerprint, RunSpec } from '../../model/run-spec.ts';
import { ReeveError } from '../../model/errors.ts';
import type { RunState } from '../../model/state.ts';
import { isTerminal } from '../../model/transitions.ts';
import { captureFingerprint } from './fingerprint.ts';
import { failureOf } from './failure.ts';
import { defaultJobId, normaliseJobId, requireJobId } from './job-id.ts';
import { jobExists, runSurroundings, workerOf, type Jobs } from './jobs.ts';
import { loadSpec } from './load-spec.ts';
import { aboutRun, traceLabels } from '../../telemetry/request-context.ts';
import { resolveWorkspace } from './paths.ts';
import { refuseSecrets } from './spec-secrets.ts';
import { toRun } from './to-run.ts';

/** Queue of jobs that their submitter runs himself: no `reeve work` takes them. */
const FOREGROUND_QUEUE = 'foreground';
export const DEFAULT_QUEUE = 'default';

export interface Ran {
  readonly jobId: string;
  readonly state: RunState;
  /** Why the job stopped short; absent when it completed, waits for a decision, or was paused or canceled. */
  readonly error?: ReeveError;
  /** The signal came: the job is as it was, and can be resumed. */
  readonly interrupted?: true;
}

export interface SubmitOptions {
  readonly specPath: string;
  readonly jobId?: string;
  /** Leave it to a worker. */
  readonly queue: boolean;
  /** Store the spec even if it holds what looks like a secret. */
  readonly allowSecrets?: boolean;
  readonly signal: AbortSignal;
  /** Told after each change, with the job's id. */
  readonly onChange?: (jobId: string) => void;
}

export interface Submitted extends Ran {
  readonly name: string;
  readonly objective: string;
  readonly adapter: string;
  readonly specPath: string;
}

/**
 * Checks everything, creates the job, and runs it until it completes or stops (contract wrkr §e).
 * @throws ReeveError before anything exists: E_INVALID_INPUT_SCHEMA: bad spec, existing id (W35, W37);
 * E_UNSAFE_OPERATION: a secret in the spec (I9).
 */
export async function submit(jobs: Jobs, options: SubmitOptions): Promise<Submitted> {
  const { cwd } = jobs.surroundings;
  const { spec, path } = await loadSpec(options.specPath, cwd);
  if (options.allowSecrets !== true) refuseSecrets(spec, jobs.surroundings);
  const workspace = await resolveWorkspace(spec.inputs.workspace, cwd);
  const jobId = await createJob(jobs, {
    name: spec.name,
    ...(options.jobId === undefined ? {} : { jobId: options.jobId }),
    run: (id) => toRun(spec, runSurroundings(jobs, id, workspace)),
    queued: options.queue,
    ...(spec.environment_fingerprint === undefined ? {} : { rules: spec.environment_fingerprint.rules }),
  });
  const described = {
    name: spec.name,
    objective: spec.objective,
    adapter: spec.adapter.name.trim().toLowerCase(),
    specPath: path,
  };
  options.onChange?.(jobId);
  if (options.queue) return { jobId, state: await jobs.engine.state(jobId), ...described };
  return { ...(await runJob(jobs, jobId, options.signal, options.onChange)), ...described };
}

export interface NewJob {
  /** What an id is made of when none is given. */
  readonly name: string;
  readonly jobId?: string;
  readonly run: (jobId: string) => RunSpec;
  readonly queued?: boolean;
  readonly rules?: readonly string[];
}

/**
 * Creates a job under the given id, normalised, or under one made of name and time, which is new even when several
 * processes make one at the same moment.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: the given id exists.
 */
export async function createJob(jobs: Jobs, job: NewJob): Promise<string> {
  const environment = captureFingerprint(job.rules, jobs.surroundings);
  const base =
    job.jobId === undefined
      ? defaultJobId(job.name, jobs.engine.clock.nowMs())
      : requireJobId(normaliseJobId(job.jobId));
  for (let n = 1; ; n += 1) {
    const jobId = n === 1 ? base : `${base}_${n}`;
    const asked = job.run(jobId);
    const spec: RunSpec = {
      ...asked,
      labels: { ...asked.labels, ...traceLabels() },
      queue: job.queued === true ? DEFAULT_QUEUE : FOREGROUND_QUEUE,
    };
    if (await createUnder(jobs, jobId, spec, environment)) {
      aboutRun(jobId);
      return jobId;
    }
    if (job.jobId !== undefined)
      throw new ReeveError(
        'E_INVALID_INPUT_SCHEMA',
        `job '${jobId}' exists already${job.jobId === jobId ? '' : ` (${JSON.stringify(job.jobId.slice(0, 200))} was normalised to that)`}`,
        { job_id: jobId },
      );
  }
}

/** False: there is a job of this id. */
async function createUnder(
  jobs: Jobs,
  jobId: string,
  spec: RunSpec,
  environment: Fingerprint,
): Promise<boolean> {
  if (await jobExists(jobs, jobId)) return false;
  try {
    await jobs.engine.execute(jobId, { type: 'create', spec, environment });
  } catch (error) {
    const isTaken = error instanceof ReeveError && error.code === 'E_INVALID_INPUT_SCHEMA';
    if (isTaken && (await jobs.engine.store.head(jobId)) !== undefined) return false;
    throw error;
  }
  jobs.directories.touch(jobId);
  return true;
}

/** Claims a queued job and drives it in this process. */
export async function runJob(
  jobs: Jobs,
  jobId: string,
  signal: AbortSignal,
  onChange?: (jobId: string) => void,
): Promise<Ran> {
  const worker = workerOf(jobs, 'dispatch', { onChange });
  const claimed = await worker.claim(jobId);
  if (claimed !== undefined && !isTerminal(claimed.state.standing)) await worker.drive(claimed.lease, signal);
  return ran(jobs, jobId, signal);
}

/** How a job stands after this process drove it. */
export async function ran(jobs: Jobs, jobId: string, signal: AbortSignal): Promise<Ran> {
  const state = await jobs.engine.state(jobId);
  const error = await failureOf(jobs, state);
  if (error !== undefined) return { jobId, state, error };
  if (state.standing.phase !== 'running') return { jobId, state };
  if (signal.aborted) {
    // Nobody drives it any more: it must not look as if somebody did.
    const by = jobs.surroundings.env['USER'] || 'unknown';
    const reason = `interrupted by ${String(signal.reason)}`;
    const paused = await jobs.engine.execute(jobId, { type: 'pause', by, reason });
    jobs.directories.touch(jobId);
    return { jobId, state: paused.state, interrupted: true };
  }
  const holder = state.nodes.get(state.spec.rootId)?.lease;
  const lost = new ReeveError(
    'E_LEASE_CONFLICT',
    `the lease on job ${jobId} was lost; it is held by ${holder?.worker ?? 'nobody'}`,
    {
      job_id: jobId,
      ...(holder === undefined
        ? {}
        : { existing_worker_id: holder.worker, existing_lease_id: holder.leaseId }),
    },
  );
  return { jobId, state, error: lost };
}
