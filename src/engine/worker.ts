/** Claims work rows and drives them, several at a time. */
import type { Fingerprint } from '../model/run-spec.ts';
import type { Resume } from '../model/commands.ts';
import { ReeveError } from '../model/errors.ts';
import { isPlan } from '../model/node.ts';
import type { RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import type { WorkRow } from '../store/run-store.ts';
import { Crowd } from './crowd.ts';
import { DeadWorkers, keyOf } from './dead-workers.ts';
import { Driver, type DriveEnd, type DriverOptions } from './driver.ts';
import { executorFailure, watchPatiently } from './executor-calls.ts';
import type { Executor } from './executor.ts';
import type { HeldLease } from './lease-keeper.ts';

/** Time a lease holds without renewal, milliseconds (contract wrkr §c); it is renewed every third of it. */
export const LEASE_TTL_MS = 30_000;

export interface WorkerOptions extends DriverOptions {
  readonly worker: string;
  /** Default: random. */
  readonly newLeaseId?: () => string;
  readonly ttlMs?: number;
  /** The environment to be compared with what the run recorded, by its rules. */
  readonly environmentOf?: (rules: readonly string[]) => Fingerprint;
  /** Told of a run that could not be driven, which is then left alone for `FAILED_MS`. Default: `run` ends and throws. */
  readonly onFailure?: (runId: string, error: Error) => void;
}

/** How long a worker that goes on leaves a run alone which it could not drive, milliseconds. */
const FAILED_MS = 30_000;

export interface ClaimedRun {
  readonly lease: HeldLease;
  readonly state: RunState;
}

interface BegunClaim {
  readonly claimed: Promise<ClaimedRun | undefined>;
  /** The lease as it is in memory where the claim is decided already and nobody's work is to be taken over. */
  readonly early?: HeldLease;
  /** Whether the claim came to be as it was decided first; never rejects. */
  readonly stands: Promise<boolean>;
}

export class Worker {
  readonly options: WorkerOptions;

  constructor(options: WorkerOptions) {
    this.options = options;
  }

  /**
   * Claims a run's root, or another node. With `resume` also a held run.
   * @returns undefined when the claim was granted the right to look, but the run is now held (its environment differs).
   * @throws ReeveError E_LEASE_CONFLICT, E_CHECKPOINT_APPROVAL_REQUIRED, E_INVALID_STATE_TRANSITION.
   */
  async claim(runId: string, node?: string, resume?: Resume): Promise<ClaimedRun | undefined> {
    return (await this.#beginClaim(runId, node, resume)).claimed;
  }

  async #beginClaim(runId: string, node?: string, resume?: Resume): Promise<BegunClaim> {
    const { engine, worker, newLeaseId, ttlMs = LEASE_TTL_MS, environmentOf } = this.options;
    const before = await engine.state(runId);
    const target = node ?? before.spec.rootId;
    const leaseId = newLeaseId?.() ?? engine.chance.id('lease-');
    const environment =
      before.environment === undefined ? undefined : environmentOf?.(before.environment.rules);
    const executing = engine.execute(runId, {
      type: 'claim',
      node: target,
      claimant: { worker, leaseId, ttlMs },
      ...(environment === undefined ? {} : { environment }),
      ...(resume === undefined ? {} : { resume }),
    });
    const leaseOf = (epoch: number, takenMs: number): HeldLease => {
      return { runId, node: target, epoch, worker, leaseId, ttlMs, takenMs };
    };
    const claimed = executing.then(({ state, events }): ClaimedRun | undefined => {
      this.options.onChange?.(runId);
      const taken = events.find(({ event }) => event.type === 'node_assigned');
      const assigned = taken?.event;
      if (assigned?.type !== 'node_assigned') return undefined;
      // From there the store counts the lease, not from when we heard of it.
      return { lease: leaseOf(assigned.lease.epoch, taken?.atMs ?? 0), state };
    });
    const stands = executing.then(
      ({ isDecidedAgain }) => !isDecidedAgain,
      () => false,
    );
    // Nothing had to be asked, so it is decided already, and applied to the run in memory.
    const after = engine.peek(runId);
    const given = after?.nodes.get(target);
    if (after === undefined || given?.lease?.leaseId !== leaseId) return { claimed, stands };
    const isFresh = isPlan(given.spec) ? after.live.size === 0 : given.live === undefined;
    return { claimed, stands, ...(isFresh ? { early: leaseOf(given.epoch, after.lastAtMs) } : {}) };
  }

  drive(lease: HeldLease, signal: AbortSignal): Promise<DriveEnd> {
    return new Driver(this.options, lease).drive(signal);
  }

  /**
   * Claims and drives whatever is due in these queues, `concurrency` at a time, until the signal; or, with
   * `untilIdle`, until nothing is due and nothing runs.
   */
  async run(
    {
      queues,
      concurrency,
      untilIdle = false,
    }: { queues: readonly string[]; concurrency: number; untilIdle?: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const { engine, lookMs = 1000, onFailure } = this.options;
    const driving = new Map<string, Promise<unknown>>();
    const refused = new Map<string, number>();
    const crowd = new Crowd(engine.chance);
    let failure: Error | undefined;
    const failed = new AbortController(); // one failure stops the others as gently as the signal does
    const stopping = AbortSignal.any([signal, failed.signal]);
    let woken: () => void = () => undefined;
    const unsubscribe = engine.store.subscribe((_, queue) => {
      if (queue === undefined || (queue !== null && queues.includes(queue))) woken();
    });
    const dead = new DeadWorkers(engine, queues);
    await dead.look();
    const over = new AbortController();
    const burying = dead.watch(lookMs, AbortSignal.any([stopping, over.signal]));
    try {
      for (;;) {
        const wake = new Promise<void>((resolve) => {
          woken = resolve;
        });
        if (failure !== undefined) throw failure;
        const nowMs = engine.clock.nowMs();
        if (!signal.aborted) {
          const room = concurrency - driving.size;
          for (const [key, untilMs] of refused) if (untilMs <= nowMs) refused.delete(key);
          const limit = room + refused.size + driving.size + crowd.size;
          const rows = room <= 0 ? [] : await engine.store.due({ nowMs, limit, queues });
          const free = dead
            .before(rows, room)
            .filter((row) => !driving.has(keyOf(row)) && !refused.has(keyOf(row)));
          const fresh = crowd.choose(free, room);
          for (const row of fresh) {
            const work = this.#take(row, stopping)
              // Not taken: someone was faster, or it cannot run now.
              .then((taken) => {
                crowd.met(!taken);
                return taken || refused.set(keyOf(row), engine.clock.nowMs() + lookMs);
              })
              .catch((thrown: unknown) => {
                const error = thrown instanceof Error ? thrown : new Error(String(thrown));
                if (onFailure === undefined) {
                  failure ??= error;
                  failed.abort();
                  return;
                }
                refused.set(keyOf(row), engine.clock.nowMs() + FAILED_MS);
                onFailure(row.runId, error);
              })
              .finally(() => {
                driving.delete(keyOf(row));
                woken();
              });
            driving.set(keyOf(row), work);
          }
        }
        if (driving.size === 0 && (signal.aborted || untilIdle)) return;
        const stop = new AbortController();
        const onAbort = (): void => woken();
        signal.addEventListener('abort', onAbort, { once: true });
        const full = driving.size >= concurrency;
        const next = full ? undefined : await engine.store.nextDueMs(queues);
        // What was due already is at work or was refused: looking again at once would find the same.
        const waitMs = next === undefined || next <= nowMs ? lookMs : Math.min(lookMs, next - nowMs);
        await Promise.race([wake, engine.clock.sleep(waitMs, stop.signal)]);
        stop.abort('over'); // a reason of its own: the default one costs a stack trace each time
        signal.removeEventListener('abort', onAbort);
      }
    } finally {
      unsubscribe();
      over.abort('over');
      await Promise.allSettled([burying, ...driving.values()]);
    }
  }

  async #take(row: WorkRow, signal: AbortSignal): Promise<boolean> {
    let claim: BegunClaim;
    try {
      const state = await this.options.engine.state(row.runId);
      if (isTerminal(state.standing)) {
        await this.stopLeftovers(row.runId);
        return true;
      }
      if (state.open.has(row.node) && state.nodes.get(row.node)?.begun === true) {
        const { events } = await this.options.engine.execute(row.runId, { type: 'expire', node: row.node });
        if (events.length > 0) this.options.onChange?.(row.runId);
        return events.length > 0;
      }
      claim = await this.#beginClaim(row.runId, row.node);
    } catch (error) {
      if (isLostRace(error) || isRemoved(error)) return false;
      throw error;
    }
    return this.#driveClaimed(claim, signal);
  }

  /** Drives under a claim from the moment it is decided: what starts first goes into the transaction of the claim. */
  async #driveClaimed({ claimed, early, stands }: BegunClaim, signal: AbortSignal): Promise<boolean> {
    const driving = early === undefined ? undefined : new Driver(this.options, early, stands).drive(signal);
    driving?.catch(() => undefined); // looked at once the claim is settled
    let run: ClaimedRun | undefined;
    try {
      run = await claimed;
    } catch (error) {
      await Promise.allSettled([driving]);
      if (isLostRace(error) || isRemoved(error)) return false;
      throw error;
    }
    await driving?.catch(ignoreRemoved);
    // Decided again after a conflict: what had been begun under the first decision was lost with it.
    if (run !== undefined && (early === undefined || !(await stands)))
      await this.drive(run.lease, signal).catch(ignoreRemoved);
    return true;
  }

  /**
   * Stops what still runs of a run that is over, and records how it ended. Nobody else holds its lease.
   * @throws ReeveError E_ADAPTER_FAIL when an executor cannot be reached; also E_STORE_*.
   */
  async stopLeftovers(runId: string): Promise<void> {
    const { engine, executors, lookMs = 1000 } = this.options;
    const state = await engine.state(runId);
    await Promise.all([...state.live.keys()].map((id) => stopOne(id)));

    async function stopOne(id: string): Promise<void> {
      const live = state.nodes.get(id)?.live;
      if (live === undefined) return;
      const attempt = { node: id, attempt: live.attempt, epoch: live.epoch };
      const executor = executors.get(live.executor ?? '');
      if (executor !== undefined) return stopWith(executor, attempt, live.effectKey);
      const end =
        live.executor === null
          ? ({ found: 'not_started', reason: 'the run is over' } as const)
          : ({ found: 'unknown', reason: `no executor named '${live.executor}' here to stop it` } as const);
      await engine.execute(runId, { type: 'interrupt', ...attempt, ...end }).catch(ignoreLostRace);
    }

    async function stopWith(
      executor: Executor,
      attempt: { node: string; attempt: number; epoch: number },
      effectKey: string,
    ) {
      const ref = { executor: executor.name, effectKey };
      await executor.cancel(ref, 'canceled').catch((cause: unknown) => {
        throw executorFailure(executor, ref, cause);
      });
      const how = { clock: engine.clock, pauseMs: lookMs, signal: new AbortController().signal };
      for await (const status of watchPatiently(executor, ref, how)) {
        if (status.phase === 'running') continue;
        const end =
          status.phase === 'finished'
            ? ({ type: 'finish', ...attempt, outcome: status.outcome, usage: status.usage } as const)
            : ({ type: 'interrupt', ...attempt, found: status.phase, reason: 'the run is over' } as const);
        const executed = await engine.execute(runId, end).catch(ignoreLostRace);
        // A fence is left standing: whoever was to submit the work may still come. Of what somebody else has recorded
        // it is not sure here that it is stored already (I5).
        if (executed !== undefined && status.phase !== 'not_started')
          await executor.forget(ref).catch(() => undefined);
        return;
      }
    }
  }
}

function isLostRace(error: unknown): boolean {
  return (
    error instanceof ReeveError &&
    [
      'E_LEASE_CONFLICT',
      'E_INVALID_STATE_TRANSITION',
      'E_CHECKPOINT_APPROVAL_REQUIRED',
      'E_RUN_CHANGED',
      'E_ADAPTER_FAIL',
    ].includes(error.code)
  );
}

/** The run was deleted after its row was read, or while it was driven. */
function isRemoved(error: unknown): boolean {
  return error instanceof ReeveError && error.code === 'E_INVALID_INPUT_SCHEMA';
}

function ignoreRemoved(error: unknown): undefined {
  if (!isRemoved(error)) throw error;
}

function ignoreLostRace(error: unknown): undefined {
  if (!isLostRace(error)) throw error;
}
