/** Asks the URL of a rollout's gate. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HealthGate } from './spec.ts';

/** Each attempt, milliseconds. */
const TIMEOUT_MS = 5000;
const PAUSE_MS = 1000;

/** Never throws: a gate that does not answer is not healthy. @returns the last status, or why there was none. */
export async function checkHealth(
  { url, expect = 200, attempts = 1 }: HealthGate,
  signal: AbortSignal,
): Promise<{ readonly ok: boolean; readonly actual: number | string }> {
  let actual: number | string = 'not asked';
  for (let left = attempts; left > 0 && !signal.aborted; left -= 1) {
    try {
      const timed = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
      const response = await fetch(url, { signal: timed, redirect: 'manual' });
      await response.body?.cancel();
      actual = response.status;
    } catch (error) {
      actual = error instanceof Error && error.name === 'TimeoutError' ? 'no answer in 5 s' : 'no connection';
    }
    if (actual === expect) return { ok: true, actual };
    if (left > 1) await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }
  return { ok: false, actual };
}
