/** Asking executors that may fail to answer: what has begun is worth asking again before a person is called. */
import { ReeveError } from '../model/errors.ts';
import type { Executor, RuntimeRef, RuntimeStatus } from './executor.ts';
import type { Clock } from './ports.ts';

/** Failures in a row after which a watch is given up; it is tried again after 1, 2, 4, 8 times the first pause. */
const FAILURES_MAX = 5;

/**
 * The same as the executor's `watch`, begun anew when it fails or ends without a last word. Ends early when the signal
 * aborts.
 * @param pauseMs Before the first repetition, milliseconds; doubled for each further one.
 * @throws ReeveError E_ADAPTER_FAIL when it kept failing.
 */
export async function* watchPatiently(
  executor: Executor,
  ref: RuntimeRef,
  { clock, pauseMs, signal }: { clock: Clock; pauseMs: number; signal: AbortSignal },
): AsyncGenerator<RuntimeStatus, void, undefined> {
  for (let failures = 0; !signal.aborted; ) {
    let why: unknown = 'its watch ended early';
    let statuses: AsyncIterator<RuntimeStatus> | undefined;
    try {
      for (;;) {
        // Only the executor's failures are caught: what the reader throws goes to whoever is reading.
        let next: IteratorResult<RuntimeStatus, unknown>;
        try {
          statuses ??= executor.watch(ref, signal)[Symbol.asyncIterator]();
          next = await statuses.next();
        } catch (cause) {
          why = cause;
          break;
        }
        if (next.done === true) break;
        failures = 0;
        yield next.value;
        if (next.value.phase !== 'running') return;
      }
    } finally {
      await statuses?.return?.().catch(() => undefined);
    }
    if (signal.aborted) return;
    failures += 1;
    if (failures >= FAILURES_MAX) throw executorFailure(executor, ref, why);
    await clock.sleep(pauseMs * 2 ** (failures - 1), signal);
  }
}

/** What an executor threw, as an error of ours. */
export function executorFailure({ name }: Executor, { effectKey }: RuntimeRef, cause: unknown): ReeveError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const details = { executor: name, effect_key: effectKey };
  return new ReeveError('E_ADAPTER_FAIL', `executor '${name}' fails: ${why}`, details, { cause });
}
