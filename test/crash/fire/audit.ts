/**
 * Compares what was acknowledged, what the events say and what the ledger shows. Pure: a history goes in, findings come
 * out, so that it can be tested whether it sees (audit.test.ts).
 */
import type { RecordedEvent, RunEvent } from '../../../src/model/events.ts';
import { ROOT_ID } from '../../../src/doors/jobs/steps.ts';
import type { Line } from './ledger.ts';

/** What a client was told has happened. */
export type Acknowledged =
  | { readonly what: 'submit' | 'cancel'; readonly run: string }
  /** `tries`: how often it was sent. A second approval is a second record (contract wrkr §c). */
  | { readonly what: 'approve'; readonly run: string; readonly reason: string; readonly tries: number }
  | { readonly what: 'mark_done'; readonly run: string; readonly reason: string; readonly steps: number };

export interface History {
  readonly runs: ReadonlyMap<string, readonly RecordedEvent[]>;
  readonly lines: readonly Line[];
  readonly acknowledged: readonly Acknowledged[];
}

export interface Found {
  /**
   * - `lost`: acknowledged or recorded as done, and not so.
   * - `doubled`: happened again without the events saying that it might have.
   * - `unrecorded`: an effect whose intent, or whose having begun, is not on record (I5).
   * - `stale`: written under a lease that somebody else held by then (I4).
   * - `stuck`: a run that never came to its end.
   */
  readonly rule: 'lost' | 'doubled' | 'unrecorded' | 'stale' | 'stuck';
  readonly run: string;
  readonly message: string;
}

export interface Audit {
  readonly findings: readonly Found[];
  readonly runs: number;
  readonly events: number;
  /** Attempts of commands. */
  readonly attempts: number;
  /** Attempts that ended as `unknown`, and how many of them had had their effect. */
  readonly unknown: number;
  readonly unknownDone: number;
  /** Effects beyond the first of a step that its events announce: after an unknown or a stopped attempt. */
  readonly reported: number;
}

interface Attempt {
  readonly node: string;
  readonly isCommand: boolean;
  outcome?: string;
  lines: number;
}

type Of<T extends RunEvent['type']> = Extract<RunEvent, { type: T }>;

export function audit({ runs, lines, acknowledged }: History): Audit {
  const findings: Found[] = [];
  const find = (rule: Found['rule'], run: string, message: string): void =>
    void findings.push({ rule, run, message });
  const counts = { events: 0, attempts: 0, unknown: 0, unknownDone: 0, reported: 0 };

  const linesOf = new Map<string, number>();
  for (const { effectKey } of lines) linesOf.set(effectKey, (linesOf.get(effectKey) ?? 0) + 1);

  for (const [run, recorded] of runs) {
    counts.events += recorded.length;
    checkLeases(run, recorded);
    const attempts = attemptsOf(run, recorded);
    const steps = Map.groupBy(attempts.values(), ({ node }) => node);
    const settled = new Set(
      eventsOf(recorded, 'node_settled').flatMap(({ node, state }) => (state === 'succeeded' ? [node] : [])),
    );
    for (const [node, tries] of steps) checkStep(run, node, tries, settled.has(node));
    if (!isOver(recorded)) find('stuck', run, 'it never came to its end');
    if (isOver(recorded) === 'succeeded') {
      const [created] = eventsOf(recorded, 'run_created');
      for (const { id } of created?.spec.nodes ?? []) {
        const isDone =
          settled.has(id) || (steps.get(id) ?? []).some(({ outcome }) => outcome === 'succeeded');
        if (!isDone) find('lost', run, `it succeeded, and ${id} was never done`);
      }
    }
  }
  for (const [effectKey, left] of linesOf)
    if (left > 0)
      find('unrecorded', effectKey, `${effectKey} had its effect, and was never started on record`);
  for (const told of acknowledged) checkAcknowledged(told);
  return { findings, runs: runs.size, ...counts };

  function attemptsOf(run: string, recorded: readonly RecordedEvent[]): Map<string, Attempt> {
    const attempts = new Map<string, Attempt>();
    for (const { event } of recorded) {
      if (event.type === 'attempt_started') {
        const { node, attempt, effectKey, executor } = event;
        attempts.set(`${node} ${attempt}`, {
          node,
          isCommand: executor !== null,
          lines: linesOf.get(effectKey) ?? 0,
        });
        linesOf.delete(effectKey);
        if (executor !== null) counts.attempts += 1;
      }
      if (event.type !== 'attempt_ended') continue;
      const ended = attempts.get(`${event.node} ${event.attempt}`);
      if (ended === undefined) find('unrecorded', run, `${event.node} ended and was never started`);
      else if (ended.outcome !== undefined) find('doubled', run, `${event.node} ended twice`);
      else ended.outcome = event.outcome;
    }
    return attempts;
  }

  function checkStep(run: string, node: string, tries: readonly Attempt[], isSettled: boolean): void {
    let mayHaveHappened: string | undefined;
    let done = 0;
    for (const [at, { isCommand, outcome, lines: count }] of tries.entries()) {
      if (!isCommand) continue;
      const which = `attempt ${at + 1} of ${node}`;
      if (outcome === undefined) find('stuck', run, `${which} never ended`);
      if (count > 1) find('doubled', run, `${which} had its effect ${count} times`);
      if (outcome === 'succeeded' && count === 0) find('lost', run, `${which} succeeded without its effect`);
      if (outcome === 'not_started' && count > 0)
        find('unrecorded', run, `${which} had its effect, and is said not to have started`);
      if (outcome === 'unknown') counts.unknown += 1;
      if (outcome === 'unknown' && count > 0) counts.unknownDone += 1;
      if (done > 0 && count > 0) {
        if (mayHaveHappened === undefined) find('doubled', run, `${which} had the effect again, unannounced`);
        else if (mayHaveHappened !== 'failed') counts.reported += 1;
      }
      done += count;
      // What these say is that the effect may be there: whoever reads the run knows.
      const says = outcome !== undefined && outcome !== 'succeeded' && outcome !== 'not_started';
      if (count > 0) mayHaveHappened = says ? outcome : undefined;
    }
    if (isSettled && done === 0) find('lost', run, `${node} was marked as done without its effect`);
  }

  /** I4: epochs rise, and whatever names one names the newest. */
  function checkLeases(run: string, recorded: readonly RecordedEvent[]): void {
    let epoch = 0;
    for (const { seq, event } of recorded) {
      if (event.type === 'node_assigned' && event.node === ROOT_ID) {
        if (event.lease.epoch <= epoch) find('stale', run, `event ${seq} claims under an old epoch`);
        epoch = event.lease.epoch;
      }
      const named =
        event.type === 'attempt_started'
          ? event.epoch
          : event.type === 'node_released' && event.node === ROOT_ID
            ? event.lease.epoch
            : epoch;
      if (named !== epoch) find('stale', run, `event ${seq} was written under epoch ${named}, not ${epoch}`);
    }
  }

  function checkAcknowledged(told: Acknowledged): void {
    const { what, run } = told;
    const recorded = runs.get(run);
    if (recorded === undefined)
      return find('lost', run, `${what} was acknowledged, and there is no such run`);
    switch (what) {
      case 'submit':
        return between('its creation', eventsOf(recorded, 'run_created').length, 1, 1);
      case 'cancel':
        if (isOver(recorded) !== 'canceled')
          find('lost', run, 'its cancel was acknowledged, and it is not canceled');
        return;
      case 'approve':
        return between('an approval', withReason(recorded, 'approval_recorded', told.reason), 1, told.tries);
      case 'mark_done':
        return between(
          'a settlement',
          withReason(recorded, 'node_settled', told.reason),
          told.steps,
          told.steps,
        );
    }

    function between(thing: string, times: number, least: number, most: number): void {
      if (times < least) find('lost', run, `${thing} was acknowledged and is not there`);
      if (times > most) find('doubled', run, `${thing} is there ${times} times`);
    }
  }
}

function eventsOf<T extends RunEvent['type']>(recorded: readonly RecordedEvent[], type: T): Of<T>[] {
  return recorded.flatMap(({ event }) => (event.type === type ? [event as Of<T>] : []));
}

function withReason(
  recorded: readonly RecordedEvent[],
  type: 'approval_recorded' | 'node_settled',
  reason: string,
): number {
  return eventsOf(recorded, type).filter((event) => event.reason === reason).length;
}

/** The phase that the run ended in. */
function isOver(recorded: readonly RecordedEvent[]): 'succeeded' | 'failed' | 'canceled' | undefined {
  const phase = eventsOf(recorded, 'phase_changed').at(-1)?.to.phase;
  return phase === 'succeeded' || phase === 'failed' || phase === 'canceled' ? phase : undefined;
}
