/** The rest of an attempt: its effect is watched, charged and stopped, and its end put on record. */
import { allowance } from '../model/budget.ts';
import type { AttemptRef } from '../model/commands.ts';
import { ReeveError } from '../model/errors.ts';
import type { AttemptError } from '../model/events.ts';
import { isExternal } from '../model/node.ts';
import { usageAt, type RunState } from '../model/state.ts';
import { addUsage, reportedUsage, USAGE_KEYS, type Usage } from '../model/usage.ts';
import { stopPoint } from '../telemetry/stop-points.ts';
import { watchPatiently } from './executor-calls.ts';
import type { Executor, RuntimeRef, RuntimeStatus } from './executor.ts';
import type { LeasedRun } from './leased-run.ts';

/** What an executor does, or is about to do, for one attempt. */
interface Effect {
  readonly executor: Executor;
  readonly ref: RuntimeRef;
  readonly attempt: AttemptRef;
  /** Started by this driver; not found under way. */
  readonly isOurs: boolean;
  /** What of its usage is on record. */
  charged: Usage;
  /** It used more than the budget allows. */
  isOver: boolean;
  /** This driver asked for its end; the executor failed to hear that. */
  isStopped: boolean;
  isUnheard: boolean;
}

type Finished = Extract<RuntimeStatus, { phase: 'finished' }>;

interface AttemptEnd {
  readonly outcome: Finished['outcome'];
  readonly usage: Partial<Usage>;
  readonly outputs?: NonNullable<Finished['outputs']>;
  readonly error?: AttemptError;
}

export class AttemptWatcher {
  readonly #run: LeasedRun;
  readonly #pauseMs: number;
  readonly #onDecided: (id: string) => void;
  /** What has to be stopped before we go, by node. */
  readonly #effects = new Map<string, Effect>();
  readonly #abandon = new AbortController();

  /**
   * @param pauseMs Before an executor that failed to answer is asked again, milliseconds.
   * @param onDecided Told of a node whose end is decided and not durable yet: the next may start.
   */
  constructor(run: LeasedRun, pauseMs: number, onDecided: (id: string) => void) {
    this.#run = run;
    this.#pauseMs = pauseMs;
    this.#onDecided = onDecided;
  }

  /** An effect that is about to begin, or that was found under way: from now on it is stopped with the others. */
  expect(effect: Pick<Effect, 'executor' | 'ref' | 'attempt' | 'isOurs' | 'charged'>): Effect {
    const expected = { ...effect, isOver: false, isStopped: false, isUnheard: false };
    this.#effects.set(effect.attempt.node, expected);
    return expected;
  }

  /**
   * Watches an effect to its end and records that. An executor that keeps failing holds the run, with the attempt live:
   * whoever resumes it asks again.
   * @param refused What the executor said when it was given the work: once it is sure that nothing began, it has failed.
   */
  async watch(effect: Effect, refused?: string): Promise<void> {
    const { executor, ref, attempt } = effect;
    const how = {
      clock: this.#run.engine.clock,
      pauseMs: this.#pauseMs,
      signal: this.#abandon.signal,
    };
    try {
      for await (const status of watchPatiently(executor, ref, how)) {
        if (status.phase === 'running') {
          await this.#charge(status.usage, effect);
          continue;
        }
        stopPoint('effect:ended');
        this.#effects.delete(attempt.node);
        if (status.phase === 'not_started') return await this.#neverBegan(attempt, refused);
        let recorded = true;
        if (status.phase === 'finished') recorded = await this.#settle(status, effect);
        else await this.interrupt(attempt, status.phase, status.reason);
        stopPoint('effect:recorded');
        // I5: until its end is on record, the executor's own record is all that keeps the effect from being repeated.
        if (recorded) await executor.forget(ref).catch(() => undefined); // then pruning removes it
        return;
      }
    } catch (error) {
      if (!(error instanceof ReeveError) || error.code !== 'E_ADAPTER_FAIL') throw error;
      this.#effects.delete(attempt.node);
      await this.#run.hold(`step '${attempt.node}' cannot be watched: ${error.message}`);
    }
  }

  /** Stops effects: all of them, or those whose composite has ended. */
  async stop(state: RunState | undefined, all: boolean): Promise<void> {
    for (const [id, effect] of this.#effects) {
      if (all || effect.isUnheard || state?.nodes.get(id)?.state === 'canceled') await this.#stop(effect);
    }
  }

  /** Ends our watching, and only that. */
  abandon(): void {
    this.#abandon.abort();
  }

  /** @returns whether the end is on record. */
  async finish(attempt: AttemptRef, end: AttemptEnd): Promise<boolean> {
    const recorded = this.#run.write({ type: 'finish', ...attempt, ...end }).then(
      () => true,
      (error: unknown) => {
        this.#run.fail(error);
        return false;
      },
    );
    this.#onDecided(attempt.node);
    if (!(await recorded)) return false;
    this.#run.tell();
    return true;
  }

  async interrupt(attempt: AttemptRef, found: 'not_started' | 'unknown', reason: string): Promise<void> {
    await this.#run.write({ type: 'interrupt', ...attempt, found, reason });
    this.#run.tell();
  }

  /**
   * The executor's fence is left standing: a worker that was stopped between the intent and the submission may still
   * wake up and submit (I5).
   */
  async #neverBegan(attempt: AttemptRef, refused: string | undefined): Promise<void> {
    if (refused === undefined) return this.interrupt(attempt, 'not_started', 'it was never started');
    const error = { code: 'E_ADAPTER_FAIL', message: refused };
    await this.finish(attempt, { outcome: 'failed', usage: {}, error });
  }

  /** Charges what an agent has used so far; what is over the budget stops it at once. */
  async #charge(reported: Partial<Usage>, effect: Effect): Promise<void> {
    const usage = reportedUsage(reported);
    const more: { -readonly [K in keyof Usage]?: number } = {};
    for (const key of USAGE_KEYS) {
      const grown = (usage[key] ?? 0) - effect.charged[key];
      if (grown > 0) more[key] = grown;
    }
    if (Object.keys(more).length === 0) return;
    const { state } = await this.#run.write({ type: 'charge', ...effect.attempt, usage: more });
    effect.charged = addUsage(effect.charged, more);
    this.#run.tell();
    const left = allowance(state.limits, state.used);
    const isOver = (['tokens', 'toolCalls', 'costMicros'] as const).some(
      (key) => left[key] === 0 && (state.limits[key] ?? 0) < state.used[key],
    );
    if (!isOver) return;
    effect.isOver = true;
    await this.#stop(effect);
  }

  /** Asks an effect to end. An executor that fails to hear it is asked again at the next look. */
  async #stop(effect: Effect): Promise<void> {
    effect.isStopped = true;
    effect.isUnheard = false;
    await effect.executor.cancel(effect.ref, effect.isOver ? 'over_budget' : 'canceled').catch(() => {
      effect.isUnheard = true;
    });
  }

  async #settle(given: Finished, effect: Effect): Promise<boolean> {
    const { attempt } = effect;
    const status = (await this.#isUnasked(given, effect)) ? { ...given, ...UNASKED } : given;
    const { usage, outputs, error } = status;
    const state = this.#run.peek();
    const nowMs = this.#run.engine.clock.nowMs();
    const wallLeft = state === undefined ? undefined : allowance(state.limits, usageAt(state, nowMs)).wallMs;
    // The time limit given to the executor was the nearer of the step's own and what the budget had left.
    const outcome = status.outcome === 'timed_out' && wallLeft === 0 ? 'over_budget' : status.outcome;
    const spec = state?.nodes.get(attempt.node)?.spec;
    if (outcome === 'accepted' && spec !== undefined && !isExternal(spec))
      return this.finish(attempt, { outcome: 'failed', usage, error: NOT_DONE });
    return this.finish(attempt, {
      outcome,
      usage,
      ...(outputs === undefined ? {} : { outputs }),
      ...(error === undefined ? {} : { error }),
    });
  }

  /**
   * Whether an executor canceled by itself what this driver started. That is a failure, with its retries: otherwise what
   * is always canceled would be started again for ever.
   */
  async #isUnasked({ outcome }: Finished, { attempt, isOurs, isStopped }: Effect): Promise<boolean> {
    if (outcome !== 'canceled' || !isOurs || isStopped) return false;
    const { nodes } = await this.#run.state();
    return nodes.get(attempt.node)?.state !== 'canceled';
  }
}

const UNASKED = {
  outcome: 'failed',
  error: { code: 'E_ADAPTER_FAIL', message: 'its executor canceled it, and nobody here had asked for that' },
} as const;
const NOT_DONE: AttemptError = {
  code: 'E_ADAPTER_FAIL',
  message: 'its executor took it over instead of doing it, and nobody is to settle an atomic node later',
};
