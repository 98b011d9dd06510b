/** Keeps a task's lease, and finds out when it is another's (contract agents §2.2). */
import { callControl, ControlRefusal, type ControlAddress } from '../client/control-client.ts';
import type { HandedOut } from '../wire/tasks.ts';
import { pause } from './backoff.ts';

/** While nobody answers, between tries, milliseconds. */
const RETRY_MS = 2000;
const LEAST_MS = 100;
/** A network that swallows packets must not swallow the next try too, milliseconds. */
const ANSWER_MS = 10_000;
const ANSWER_LEAST_MS = 2000;

/**
 * Renews at a third of the lease until the signal.
 * @param onLost once, when the control plane says that it is another's. While nobody answers the work goes on: whether it
 * was lost is decided there, and told later.
 */
export async function keepLease(
  {
    task_id: id,
    lease_id,
    lease_expires_at: expires,
  }: Pick<HandedOut, 'task_id' | 'lease_id' | 'lease_expires_at'>,
  leaseMs: number,
  address: () => ControlAddress,
  onLost: () => void,
  signal: AbortSignal,
): Promise<void> {
  const first = Math.min(leaseMs, Math.max(0, Date.parse(expires) - Date.now() || 0)) / 3;
  await pause(Math.max(LEAST_MS, first), signal);
  while (!signal.aborted) {
    let waitMs = Math.max(LEAST_MS, leaseMs / 3);
    try {
      await callControl(address(), {
        method: 'POST',
        path: `/tasks/${id}/lease`,
        json: { lease_id },
        timeoutMs: Math.max(ANSWER_LEAST_MS, Math.min(ANSWER_MS, leaseMs / 3)),
        signal,
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ControlRefusal && (error.status === 409 || error.status === 404)) return onLost();
      waitMs = Math.min(waitMs, RETRY_MS);
    }
    await pause(waitMs, signal);
  }
}
