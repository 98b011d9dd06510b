/** Worlds in several processes at once, each with its share of the seeds. */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './simulation.ts';

export interface Totals {
  seeds: number;
  steps: number;
  checks: number;
  faults: number;
  events: number;
  readonly failures: Pick<Outcome, 'seed' | 'violation'>[];
  readonly ends: Record<string, number>;
  readonly eventTypes: Record<string, number>;
}

export interface FleetOptions {
  readonly from: number;
  /** How many seeds; as many as there is time for when absent. */
  readonly seeds?: number;
  /** Steps in all after which no further world begins. */
  readonly operations?: number;
  readonly deadlineMs?: number;
  readonly failuresMax: number;
  readonly jobs?: number;
}

export function noTotals(): Totals {
  return { seeds: 0, steps: 0, checks: 0, faults: 0, events: 0, failures: [], ends: {}, eventTypes: {} };
}

/** Seeds handed out at a time: enough to make messages rare, few enough to share the end fairly. */
const SHARE = 20;

export async function runFleet(options: FleetOptions): Promise<Totals> {
  const { from, seeds = Number.MAX_SAFE_INTEGER, operations, deadlineMs, failuresMax } = options;
  const totals = noTotals();
  let next = from;
  const isOver = (): boolean =>
    next >= from + seeds ||
    totals.failures.length >= failuresMax ||
    (operations !== undefined && totals.steps >= operations) ||
    (deadlineMs !== undefined && performance.now() >= deadlineMs);
  const sailOne = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(new URL('./fleet-child.ts', import.meta.url)), {
        serialization: 'advanced',
      });
      const hand = (): void => {
        if (isOver()) {
          child.disconnect();
          return;
        }
        const count = Math.min(SHARE, from + seeds - next);
        child.send({ from: next, count });
        next += count;
      };
      child.on('message', (outcomes: Outcome[]) => {
        for (const outcome of outcomes) add(totals, outcome);
        hand();
      });
      child.on('error', reject);
      child.on('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`a simulating process ended with ${code}`)),
      );
      hand();
    });
  await Promise.all(Array.from({ length: options.jobs ?? availableParallelism() }, sailOne));
  return totals;
}

export function add(totals: Totals, outcome: Outcome): void {
  totals.seeds += 1;
  for (const key of ['steps', 'checks', 'faults', 'events'] as const) totals[key] += outcome[key];
  if (outcome.violation !== undefined)
    totals.failures.push({ seed: outcome.seed, violation: outcome.violation });
  for (const end of outcome.ends) totals.ends[end] = (totals.ends[end] ?? 0) + 1;
  for (const [type, count] of Object.entries(outcome.eventTypes))
    totals.eventTypes[type] = (totals.eventTypes[type] ?? 0) + count;
}
