/** What metrics say of tasks that are over (contract agents §8). */
import { REFUSAL_REASONS } from '../../../../policy/allow-list/refusal.ts';
import type { Meter } from '../../../../telemetry/meter.ts';
import type { TaskRecord } from './record.ts';

export function measureEnd(meter: Meter | undefined, record: TaskRecord): void {
  if (meter === undefined) return;
  const { action, status, tenant, reason = '', result } = record.view;
  meter.count('jarvas_runs_total', { action, status, tenant });
  const seconds = secondsOf(record, result);
  if (seconds !== undefined) meter.observe('jarvas_run_duration_seconds', { action, status }, seconds);
  if (status !== 'refused') return;
  // Agents say why in words of their own too: those would be labels without end.
  const known = REFUSAL_REASONS.find((one) => one === reason);
  meter.count('jarvas_refusals_total', { reason: known ?? 'other' });
}

/** By the agent's own clock where it says both, else between the records of start and end. */
function secondsOf(record: TaskRecord, result: TaskRecord['view']['result']): number | undefined {
  const { started_at: start, finished_at: finish } = result ?? {};
  if (start !== undefined && finish !== undefined)
    return Math.max(0, (Date.parse(finish) - Date.parse(start)) / 1000);
  const { startedMs, endedMs } = record;
  return startedMs === undefined || endedMs === undefined ? undefined : (endedMs - startedMs) / 1000;
}
