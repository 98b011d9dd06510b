/**
 * Runs the jobs of a process that stays: a worker on the queue, beside jobs that were not made for a queue and are driven
 * one by one. A job belongs to the store, not to the request that started it: whoever waits for it may go.
 */
import { isTerminal } from '../../model/transitions.ts';
import type { ReeveError } from '../../model/errors.ts';
import type { RunState } from '../../model/state.ts';
import { failureOf } from './failure.ts';
import { jobState, workerOf, type Jobs } from './jobs.ts';
import { beginResume, type ResumeOptions } from './resume.ts';
import { DEFAULT_QUEUE, submit, type Ran, type Submitted } from './submit.ts';

/** How often a job is looked at that another process may be driving, milliseconds. */
const LOOK_MS = 500;
/** Pause before a worker that failed as a whole starts again, milliseconds. */
const RESTART_MS = 1000;

export interface Followed extends Ran {
  /** Nothing of the job is under way: it completed, waits for somebody, or failed. */
  readonly stopped: boolean;
}

export class JobRunner {
  readonly #jobs: Jobs;
  readonly #concurrency: number;
  readonly #stop = new AbortController();
  readonly #driven = new Map<string, Promise<unknown>>();
  #working: Promise<void> = Promise.resolve();

  /** @param concurrency jobs of the queue at a time; 0 leaves them to other processes */
  constructor(jobs: Jobs, concurrency: number) {
    this.#jobs = jobs;
    this.#concurrency = concurrency;
  }

  start(): void {
    if (this.#concurrency > 0) this.#working = this.#work();
  }

  /**
   * Hands everything back: attempts in flight are stopped, leases are released, and what was not made for the queue is
   * paused. The next worker goes on with the one, `resume` with the other.
   */
  async stop(reason: string): Promise<void> {
    this.#stop.abort(reason);
    await Promise.allSettled([this.#working, ...this.#driven.values()]);
  }

  /** Creates the job in the queue. It is durable when this returns (I1). */
  submit(specPath: string, jobId: string | undefined): Promise<Submitted> {
    return submit(this.#jobs, {
      specPath,
      ...(jobId === undefined ? {} : { jobId }),
      queue: true,
      signal: this.#stop.signal,
    });
  }

  /** Takes the job up again, here or by way of the queue. @throws as `beginResume`: then nothing has changed. */
  async resume(options: Omit<ResumeOptions, 'queue' | 'signal'>): Promise<void> {
    const { spec, id } = await jobState(this.#jobs, options.jobId);
    const queue = spec.queue === DEFAULT_QUEUE;
    const goOn = await beginResume(this.#jobs, { ...options, queue, signal: this.#stop.signal });
    if (queue) return;
    const driven = goOn()
      .catch((error: unknown) => this.#jobs.note(`${id}: ${(error as Error).message}`))
      .finally(() => {
        if (this.#driven.get(id) === driven) this.#driven.delete(id); // not a later one of the same job
      });
    this.#driven.set(id, driven);
  }

  /** Waits until nothing of the job is under way, or the signal. */
  async follow(jobId: string, signal: AbortSignal): Promise<Followed> {
    const { engine } = this.#jobs;
    for (;;) {
      const changed = Promise.withResolvers<void>();
      const unsubscribe = engine.store.subscribe((id) => {
        if (id === undefined || id === jobId) changed.resolve();
      });
      void this.#driven.get(jobId)?.then(() => changed.resolve());
      const over = new AbortController();
      try {
        const state = await engine.state(jobId);
        if (!(await this.#isUnderWay(state))) return await this.#stopped(state);
        if (signal.aborted) return { jobId, state, stopped: false };
        await Promise.race([
          changed.promise,
          engine.clock.sleep(LOOK_MS, AbortSignal.any([signal, over.signal])),
        ]);
      } finally {
        unsubscribe();
        over.abort('looked');
      }
    }
  }

  async #stopped(state: RunState): Promise<Followed> {
    const error: ReeveError | undefined = await failureOf(this.#jobs, state);
    return { jobId: state.id, state, stopped: true, ...(error === undefined ? {} : { error }) };
  }

  /** A held job is under way until its worker has let it go: only then can it be resumed. */
  async #isUnderWay({ id, standing, spec }: RunState): Promise<boolean> {
    if (this.#driven.has(id)) return true;
    if (standing.phase === 'queued' || standing.phase === 'running') return true;
    if (isTerminal(standing)) return false;
    const rows = await this.#jobs.engine.store.work(id);
    const nowMs = this.#jobs.engine.clock.nowMs();
    return rows.some(
      ({ node, state, untilMs }) => node === spec.rootId && state === 'leased' && (untilMs ?? 0) > nowMs,
    );
  }

  async #work(): Promise<void> {
    const { signal } = this.#stop;
    const { engine } = this.#jobs;
    const worker = workerOf(this.#jobs, 'work', {
      onFailure: (jobId, error) => this.#jobs.note(`${jobId} could not be run: ${error.message}`),
    });
    while (!signal.aborted) {
      try {
        await worker.run({ queues: [DEFAULT_QUEUE], concurrency: this.#concurrency }, signal);
      } catch (error) {
        this.#jobs.note(`the worker failed and starts again: ${(error as Error).message}`);
        await engine.clock.sleep(RESTART_MS, signal);
      }
    }
  }
}
