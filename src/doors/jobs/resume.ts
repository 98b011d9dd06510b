import type { Resume } from '../../model/commands.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import { ReeveError } from '../../model/errors.ts';
import type { RunState } from '../../model/state.ts';
import { isTerminal } from '../../model/transitions.ts';
import { endDeadLease } from '../../engine/dead-workers.ts';
import { isAlive } from './process-alive.ts';
import { jobState, workerOf, type Jobs } from './jobs.ts';
import { DEFAULT_QUEUE, ran, type Ran } from './submit.ts';

export interface ResumeOptions {
  readonly jobId: string;
  readonly resume: Resume;
  /**
   * Take over from a worker that is dead, before its lease ends: `proven` where its end is certain (engine/process-proof.ts),
   * `told` also where a person says so and no process of its id is here.
   */
  readonly takeover?: 'proven' | 'told' | undefined;
  /** Steps with an unknown outcome that took effect: they do not run again. */
  readonly markDone: readonly string[];
  /** Hand the job back to the queue's workers instead of running it here. */
  readonly queue: boolean;
  readonly signal: AbortSignal;
  readonly onChange?: (jobId: string) => void;
}

/** Goes on with a job at its cursor (contract wrkr §c): finished steps never run again. */
export async function resume(jobs: Jobs, options: ResumeOptions): Promise<Ran> {
  return (await beginResume(jobs, options))();
}

/**
 * Does what may be refused: looks at lease, environment and decisions, and takes the job or hands it to the queue.
 * @returns what goes on with it, to its end.
 */
export async function beginResume(jobs: Jobs, given: ResumeOptions): Promise<() => Promise<Ran>> {
  const { by, reason } = given.resume;
  const told = { by: redactText(by), ...(reason === undefined ? {} : { reason: redactText(reason) }) };
  const options = { ...given, resume: { ...given.resume, ...told } };
  const state = await jobState(jobs, options.jobId);
  const { id: jobId } = state;
  if (options.queue && state.spec.queue !== DEFAULT_QUEUE) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `job ${jobId} was not submitted with --queue`, {
      job_id: jobId,
      flag: '--queue',
    });
  }
  if (options.takeover !== undefined) await expireDead(jobs, state, options.takeover);
  await settleDone(jobs, state, options);
  const worker = workerOf(jobs, 'dispatch', { onChange: options.onChange });
  const claimed = await claimOrExplain();
  if (claimed !== undefined && !isTerminal(claimed.state.standing)) {
    if (options.queue) {
      const { node, epoch } = claimed.lease;
      await jobs.engine.execute(jobId, {
        type: 'release',
        node,
        epoch,
        cause: 'released',
        seenMs: jobs.engine.clock.nowMs(),
      });
      return async () => ({ jobId, state: await jobs.engine.state(jobId) });
    }
    return async () => {
      await worker.drive(claimed.lease, options.signal);
      return ran(jobs, jobId, options.signal);
    };
  }
  return () => ran(jobs, jobId, options.signal);

  async function claimOrExplain() {
    try {
      return await worker.claim(jobId, undefined, options.resume);
    } catch (error) {
      throw error instanceof ReeveError && error.code === 'E_LEASE_CONFLICT'
        ? await explainConflict(jobs, jobId, error)
        : error;
    }
  }
}

/** A conflict says until when; and whether waiting is needed at all. */
async function explainConflict(jobs: Jobs, jobId: string, error: ReeveError): Promise<ReeveError> {
  const row = (await jobs.engine.store.work(jobId)).find(({ state }) => state === 'leased');
  if (row?.untilMs == null) return error;
  const seconds = Math.max(1, Math.ceil((row.untilMs - jobs.engine.clock.nowMs()) / 1000));
  const dead = isDeadWorker(row.worker, jobs.place);
  const what = dead
    ? `its worker ${row.worker} is gone, its lease ends in ${seconds} s: wait, or take it over now with resume --takeover`
    : `its worker ${row.worker} is at work`;
  return new ReeveError('E_LEASE_CONFLICT', `job ${jobId} is leased: ${what}`, {
    ...error.details,
    lease_ends_in_seconds: seconds,
    worker_alive: !dead,
  });
}

/**
 * Whether a worker is surely gone. Workers are named `<kind>-<pid>`, and `<kind>-<pid>@<place>` in a store that several
 * machines share: of those elsewhere only their lease tells.
 */
export function isDeadWorker(worker: string | null, here: string | undefined): boolean {
  const [, pid, place] = /-(\d+)(?:@(.+))?$/.exec(worker ?? '') ?? [];
  return pid !== undefined && Number(pid) > 0 && place === here && !isAlive(Number(pid));
}

/** Ends the lease of a dead worker now. A worker that lives keeps it: nothing is taken from it. */
async function expireDead(jobs: Jobs, state: RunState, by: 'proven' | 'told'): Promise<void> {
  const row = (await jobs.engine.store.work(state.id)).find(({ node }) => node === state.spec.rootId);
  if (row?.leaseId == null) return;
  const isProven = jobs.engine.deaths?.isDead(row.leaseId) === true;
  if (isProven || (by === 'told' && isDeadWorker(row.worker, jobs.place)))
    await endDeadLease(jobs.engine, row).catch(ignoreOvertaken);
}

/** Somebody else took it at the same moment: the claim says who. */
function ignoreOvertaken(error: unknown): void {
  if (!(error instanceof ReeveError && error.code === 'E_LEASE_CONFLICT')) throw error;
}

async function settleDone(
  jobs: Jobs,
  state: RunState,
  { markDone, resume: { by, reason } }: ResumeOptions,
): Promise<void> {
  for (const step of markDone) {
    const node = [...state.nodes.keys()].find((id) => id === step || state.nodes.get(id)?.spec.name === step);
    if (node === undefined) {
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', `job ${state.id} has no open step '${step}'`, {
        job_id: state.id,
        step,
      });
    }
    await jobs.engine.execute(state.id, {
      type: 'settle',
      node,
      state: 'succeeded',
      by,
      reason: reason ?? '',
    });
  }
}
