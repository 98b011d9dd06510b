/** The simulation itself: the same seed is the same world, it goes where it should, and it finds what is planted. */
import { expect, test } from 'vitest';
import { add, noTotals } from './fleet.ts';
import { shrink } from './shrink.ts';
import { planOf, simulate } from './simulation.ts';

test('the same seed gives the same history, step by step', async () => {
  for (const seed of [3, 17, 101]) {
    const [first, second] = [await simulate(seed), await simulate(seed)];
    expect(second).toEqual(first);
    expect(first.steps).toBeGreaterThan(100);
  }
});

test('a history without one of its faults is another one, and as reproducible', async () => {
  const seed = [5, 6, 7, 8, 9].find((candidate) => planOf(candidate).faults.length > 2) ?? 5;
  const { faults, deeds } = planOf(seed);
  const replay = { faults: faults.slice(1), deeds };
  expect(await simulate(seed, replay)).toEqual(await simulate(seed, replay));
});

test('I1 to I8 and liveness hold in the first worlds, and these go where runs can go', async () => {
  const totals = noTotals();
  for (let seed = 1; seed <= 30; seed += 1) add(totals, await simulate(seed));
  expect(totals.failures).toEqual([]);
  expect(totals.faults).toBeGreaterThan(50);
  expect(Object.keys(totals.ends).toSorted()).toEqual(expect.arrayContaining(['canceled', 'succeeded']));
  const types = ['attempt_started', 'attempt_ended', 'usage_charged', 'node_released', 'approval_recorded'];
  for (const type of [...types, 'limits_raised', 'nodes_added', 'fact_recorded', 'key_recorded'])
    expect(totals.eventTypes[type] ?? 0, type).toBeGreaterThan(0);
}, 120_000);

test('a world that is not broken does not shrink to a failure', async () => {
  const { outcome } = await shrink(1, 'I5', 5);
  expect(outcome.violation).toBeUndefined();
});
