/** Whether work that could be done is being done: what health says beside dependencies, and metrics of queues. */
import type { RunStore } from '../store/run-store.ts';
import type { Meter } from '../telemetry/meter.ts';

/** The queue of the Agent Runtime Protocol: its coordinator's worker serves it. */
export const ARP_QUEUE = 'arp';

/** Tasks of polling agents, and rollouts: the control plane hands them out, and no worker serves them. They are no jobs. */
export const AGENTS_QUEUE = 'agents';
export const ROLLOUTS_QUEUE = 'agents-rollouts';

/** Whether a run is one of the control plane's own, which jobs in the same store are not to be mixed up with. */
export function isOfAgents({ queue }: { readonly queue: string }): boolean {
  return queue === AGENTS_QUEUE || queue === ROLLOUTS_QUEUE;
}

export interface ProgressCheck {
  readonly name: 'progress';
  readonly status: 'ok' | 'degraded' | 'down';
  readonly message?: string;
  readonly details?: { readonly oldest_runnable_age_ms: number; readonly limit_ms: number };
}

export interface ProgressOptions {
  readonly store: RunStore;
  readonly queues: readonly string[];
  nowMs(): number;
  /** Work that nobody claims for longer than this means that it does not go on, milliseconds. */
  readonly limitMs: number;
}

/** Unless somebody says otherwise, milliseconds: above the 30 s that the work of a dead worker waits for its lease. */
export const PROGRESS_LIMIT_MS = 60_000;

/** `degraded` once the oldest work that could be claimed waits too long; `down` when the store does not say. */
export async function progressCheck({
  store,
  queues,
  nowMs,
  limitMs,
}: ProgressOptions): Promise<ProgressCheck> {
  const name = 'progress';
  const now = nowMs();
  let ages: number[];
  try {
    const found = await Promise.all(queues.map((queue) => store.standing(queue, now)));
    ages = found.map(({ oldestDueMs = now }) => now - oldestDueMs);
  } catch {
    return { name, status: 'down', message: 'the store does not answer' };
  }
  const age = Math.max(0, ...ages);
  const details = { oldest_runnable_age_ms: age, limit_ms: limitMs };
  if (age <= limitMs) return { name, status: 'ok', details };
  const message = `work has been waiting for ${Math.floor(age / 1000)} s without a worker`;
  return { name, status: 'degraded', message, details };
}

/** Reads the queues into the meter. @throws ReeveError E_STORE_* */
export async function measureQueues(
  meter: Meter,
  { store, queues, nowMs }: Pick<ProgressOptions, 'store' | 'queues' | 'nowMs'>,
): Promise<void> {
  const now = nowMs();
  for (const queue of queues) {
    const { runnable, oldestDueMs = now, leased } = await store.standing(queue, now);
    meter.set('reeve_queue_runnable', { queue }, runnable);
    meter.set('reeve_queue_oldest_runnable_age_seconds', { queue }, Math.max(0, now - oldestDueMs) / 1000);
    meter.set('reeve_queue_leased', { queue }, leased);
  }
}
