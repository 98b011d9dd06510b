/** How long a kill holds up the work, read from the events. */
import type { RecordedEvent, RunEvent } from '../../../src/model/events.ts';
import { ROOT_ID } from '../../../src/doors/jobs/steps.ts';

export interface Killed {
  readonly pid: number;
  readonly atMs: number;
}

export interface Times {
  /** From the kill until any run began its next step, milliseconds, ascending. */
  readonly anyStepMs: readonly number[];
  /** From the kill until a run that was held by the killed one began its next step, milliseconds, ascending. */
  readonly ownStepMs: readonly number[];
  /** Runs that the killed ones held. */
  readonly interrupted: number;
  /** Of the processes those whose run somebody else took while they were away. */
  readonly overtaken: number;
}

export function timesToNextStep(
  runs: ReadonlyMap<string, readonly RecordedEvent[]>,
  killed: readonly Killed[],
): Times {
  const starts = [...runs.values()].flatMap((recorded) => startsIn(recorded)).toSorted((a, b) => a - b);
  const any = killed.flatMap(({ atMs }) => {
    const next = starts.find((ms) => ms > atMs);
    return next === undefined ? [] : [next - atMs];
  });
  const own: number[] = [];
  let interrupted = 0;
  let overtaken = 0;
  for (const { pid, atMs } of killed) {
    let isOvertaken = false;
    for (const recorded of runs.values()) {
      if (!isHeldBy(recorded, pid, atMs)) continue;
      interrupted += 1;
      const taken = claimAfter(recorded, atMs);
      if (taken === undefined) continue;
      if (!isNamed(taken.lease.worker, pid)) isOvertaken = true;
      const next = recorded.find(({ seq, event }) => seq > taken.seq && event.type === 'attempt_started');
      if (next !== undefined) own.push(next.atMs - atMs);
    }
    if (isOvertaken) overtaken += 1;
  }
  const ascending = (list: readonly number[]) => list.toSorted((a, b) => a - b);
  return { anyStepMs: ascending(any), ownStepMs: ascending(own), interrupted, overtaken };
}

function isClaim(event: RunEvent): event is Extract<RunEvent, { type: 'node_assigned' }> {
  return event.type === 'node_assigned' && event.node === ROOT_ID;
}

/** Workers are named `<kind>-<pid>`, and `<kind>-<pid>@<place>` in a store that several machines share. */
function isNamed(worker: string, pid: number): boolean {
  return worker.split('@')[0]?.endsWith(`-${pid}`) === true;
}

function claimAfter(recorded: readonly RecordedEvent[], afterMs: number) {
  for (const { seq, atMs, event } of recorded)
    if (atMs > afterMs && isClaim(event)) return { seq, lease: event.lease };
  return undefined;
}

function startsIn(recorded: readonly RecordedEvent[]): number[] {
  return recorded.flatMap(({ atMs, event }) => (event.type === 'attempt_started' ? [atMs] : []));
}

/** Whether the process `pid` held the run's lease at that moment. */
function isHeldBy(recorded: readonly RecordedEvent[], pid: number, atMs: number): boolean {
  let holder = '';
  for (const { atMs: ms, event } of recorded) {
    if (ms > atMs) break;
    if (isClaim(event)) holder = event.lease.worker;
    if (event.type === 'node_released' && event.node === ROOT_ID) holder = '';
    if (
      event.type === 'phase_changed' &&
      ['succeeded', 'failed', 'canceled', 'held'].includes(event.to.phase)
    )
      holder = '';
  }
  return isNamed(holder, pid);
}

/** @param ascending @param share 0.5 for the median; undefined for an empty list */
export function percentile(ascending: readonly number[], share: number): number | undefined {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))];
}
