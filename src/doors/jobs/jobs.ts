/** What the verbs of the jobs door share: the engine, the place of the store, and how a job is found. */
import type { Engine } from '../../engine/engine.ts';
import type { Executor } from '../../engine/executor.ts';
import { newLeaseId } from '../../engine/process-proof.ts';
import { Worker } from '../../engine/worker.ts';
import { ReeveError } from '../../model/errors.ts';
import type { RecordedEvent, RunEvent } from '../../model/events.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import type { RunState } from '../../model/state.ts';
import type { RunHead } from '../../store/run-store.ts';
import type { JobDirectories } from './directory.ts';
import { captureFingerprint, type Surroundings } from './fingerprint.ts';
import { importDirectory } from './import-dir.ts';
import { jobDir, requireJobId } from './job-id.ts';
import type { RunSurroundings } from './to-run.ts';

type EventType = RunEvent['type'];

export interface Jobs {
  readonly engine: Engine;
  readonly root: string;
  /** This machine's name in a store that several share. */
  readonly place: string | undefined;
  readonly surroundings: Surroundings;
  readonly version: string;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly directories: JobDirectories;
  /** Time that a lease of this process holds without renewal, milliseconds. */
  readonly leaseTtlMs: number;
  /** Arguments of wrapped commands that only this process knows, by job id (I9). */
  readonly secretArguments: Map<string, readonly string[]>;
  /** A line for a person, beside the result. */
  note(text: string): void;
  close(): Promise<void>;
}

/** Where and by whom a run of this process is made. @param cwd working directory of its commands. */
export function runSurroundings(jobs: Jobs, jobId: string, cwd: string): RunSurroundings {
  return {
    tenant: 'default',
    actor: jobs.surroundings.env['USER'] || 'unknown',
    producerVersion: jobs.version,
    cwd,
    jobDir: jobDir(jobs.root, jobId),
  };
}

/** A worker for this process. @param prefix `dispatch` drives one job in the foreground, `work` serves a queue. */
export function workerOf(
  jobs: Jobs,
  prefix: 'dispatch' | 'work',
  told: {
    readonly onChange?: ((jobId: string) => void) | undefined;
    readonly onFailure?: (jobId: string, error: Error) => void;
  } = {},
): Worker {
  return new Worker({
    engine: jobs.engine,
    executors: jobs.executors,
    worker: `${prefix}-${process.pid}${jobs.place === undefined ? '' : `@${jobs.place}`}`,
    newLeaseId,
    ttlMs: jobs.leaseTtlMs,
    environmentOf: (rules) => captureFingerprint(rules, jobs.surroundings),
    onChange: (jobId) => {
      jobs.directories.touch(jobId);
      told.onChange?.(jobId);
    },
    ...(told.onFailure === undefined ? {} : { onFailure: told.onFailure }),
  });
}

/**
 * The job's head, imported first when only a directory of another implementation knows it (W34).
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: ill-formed or unknown id; E_STORE_CORRUPT for a damaged directory.
 */
export async function requireJob(jobs: Jobs, id: string): Promise<RunHead> {
  const jobId = requireJobId(id);
  const head = await jobs.engine.store.head(jobId);
  if (head !== undefined) {
    jobs.directories.touch(jobId); // a process that was killed may have left it behind
    return head;
  }
  if (await importJob(jobs, jobId)) {
    const imported = await jobs.engine.store.head(jobId);
    if (imported !== undefined) return imported;
  }
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `unknown job '${jobId}'`, { job_id: jobId });
}

export async function jobState(jobs: Jobs, id: string): Promise<RunState> {
  return jobs.engine.state((await requireJob(jobs, id)).id);
}

/** Whether a job of this id is there, in the store or as a directory that could be imported. */
export async function jobExists(jobs: Jobs, jobId: string): Promise<boolean> {
  return (await jobs.engine.store.head(jobId)) !== undefined || (await importJob(jobs, jobId));
}

/** Takes a directory into the store. False: there is none. */
export async function importJob(jobs: Jobs, jobId: string): Promise<boolean> {
  const dir = jobDir(jobs.root, jobId);
  const found = await importDirectory(dir, jobId, runSurroundings(jobs, jobId, jobs.surroundings.cwd));
  if (found === undefined) return false;
  if (found.tornBytes > 0)
    jobs.note(`${jobId}: left out ${found.tornBytes} bytes of a line that was never finished`);
  // Created here since somebody looked: the directory is our own, and its worker ours.
  if ((await jobs.engine.store.head(jobId)) !== undefined) return true;
  refuseForeignLease(jobs, jobId, found.job.lease);
  const { lines, timesMs, spec, state } = found;
  try {
    await jobs.engine.execute(jobId, { type: 'import', lines, timesMs, spec, state });
  } catch (error) {
    // Another process imported it at the same moment.
    if ((await jobs.engine.store.head(jobId)) === undefined) throw error;
  }
  return true;
}

/** A worker of the reference may still be writing: its log is taken over only once its lease has ended. */
function refuseForeignLease(
  jobs: Jobs,
  jobId: string,
  lease: { worker_id: string; lease_id: string; expires_at: string } | undefined,
): void {
  if (lease === undefined || Date.parse(lease.expires_at) <= jobs.engine.clock.nowMs()) return;
  throw new ReeveError(
    'E_LEASE_CONFLICT',
    `job ${jobId} is being run by another program, as ${lease.worker_id}`,
    {
      job_id: jobId,
      existing_worker_id: lease.worker_id,
      existing_lease_id: lease.lease_id,
      expires_at: lease.expires_at,
    },
  );
}

/** Most events that are in memory at a time. */
const PAGE = 2000;

/** Events of some types, in order. @param after number of the last event that is not wanted */
export async function* eventsIn(
  { engine }: Pick<Jobs, 'engine'>,
  jobId: string,
  types: readonly EventType[],
  after = 0,
): AsyncGenerator<RecordedEvent> {
  for (let last = after; ; ) {
    const page = await engine.events(jobId, last, PAGE, types);
    yield* page;
    last = page.at(-1)?.seq ?? last;
    if (page.length < PAGE) return;
  }
}

/** Reads the spec of a run from its events; the state keeps only what deciding needs. */
export async function runSpecOf(jobs: Jobs, jobId: string): Promise<RunSpec> {
  const [created] = await jobs.engine.events(jobId, 0, 1, ['run_created', 'run_imported']);
  if (created?.event.type === 'run_created' || created?.event.type === 'run_imported')
    return created.event.spec;
  throw new ReeveError('E_STORE_CORRUPT', `job ${jobId} has no first event`, { job_id: jobId });
}
