/** A claim and the start that follows it share a transaction, and neither comes about without the other's ground. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Admit } from '../../src/engine/admission.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { Commit, RunStore } from '../../src/store/run-store.ts';
import { specOf } from '../model/rig.ts';
import { eventsOf, Lab, planOf, quick, QUICK, typesOf, verifyChain } from './lab.ts';

let lab: Lab;
let engine: Engine;
let commits: string[][];
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
  commits = [];
});
afterEach(() => lab.close());

type Before = (commit: Commit, types: readonly string[]) => Promise<unknown>;

/** A store that notes the events of each commit, and does something before it. */
function noting(before: Before = () => Promise.resolve()): (store: RunStore) => RunStore {
  return (store) =>
    new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        if (key !== 'commit') return value.bind(target);
        return async (given: readonly Commit[]) => {
          for (const commit of given) {
            const types = commit.events.map(({ type }) => type);
            commits.push(types);
            await before(commit, types);
          }
          return target.commit(given);
        };
      },
    });
}

const isClaim = (types: readonly string[]): boolean => types.includes('node_assigned');
const claims = (): string[][] => commits.filter(isClaim);
const create = (spec = planOf(quick('a'))) => engine.execute('r', { type: 'create', spec });
const atomic = () => specOf({ root: { id: 'root', kind: 'atomic', executor: 'x', ...QUICK }, nodes: [] });
const phase = async () => (await lab.engine().state('r')).standing.phase;

test('of a plan: with the first step', async () => {
  await create();
  await lab.run(lab.worker('w', { engine: lab.engine(noting()) }), 1, true).ended;
  expect(claims()).toEqual([['phase_changed', 'node_assigned', 'attempt_started']]);
  expect(await phase()).toBe('succeeded');
});

test('of a single node, with what an admission that waits for nothing has said', async () => {
  await create(atomic());
  const admit: Admit = () => Promise.resolve({ go: true, facts: [{ name: 'said', data: {} }] });
  await lab.run(lab.worker('w', { engine: lab.engine(noting()), admit }), 1, true).ended;
  expect(claims()).toEqual([['phase_changed', 'node_assigned', 'fact_recorded', 'attempt_started']]);
  expect(await phase()).toBe('succeeded');
});

test('an admission that takes time keeps no claim waiting', async () => {
  await create(atomic());
  const admit: Admit = async () => {
    await lab.clock.until(() => claims().length > 0, 'the claim to be stored');
    return 'go';
  };
  await lab.run(lab.worker('w', { engine: lab.engine(noting()), admit }), 1, true).ended;
  expect(claims()).toEqual([['phase_changed', 'node_assigned']]);
  expect(await phase()).toBe('succeeded');
});

test('the effect begins only when both are stored (I5)', async () => {
  await create();
  const began: number[] = [];
  const watch: Before = async (_, types) => {
    if (!isClaim(types)) return;
    await turn();
    began.push(lab.world.began.length);
  };
  await lab.run(lab.worker('w', { engine: lab.engine(noting(watch)) }), 1, true).ended;
  expect(began).toEqual([0]);
  expect(lab.world.began).toEqual(['r.1.1']);
});

test('a claim that somebody else was faster with takes its start with it, although the epoch is the same (I4)', async () => {
  await create();
  const rival = lab.worker('rival', { engine: lab.engine() });
  let isTaken = false;
  const race: Before = async (_, types) => {
    if (!isClaim(types) || isTaken) return;
    isTaken = true;
    await rival.claim('r');
  };
  await lab.run(lab.worker('w', { engine: lab.engine(noting(race)) }), 1, true).ended;
  expect(await typesOf(engine, 'r')).toEqual(['run_created', 'phase_changed', 'node_assigned']);
  expect(await engine.store.work('r')).toMatchObject([{ state: 'leased', worker: 'rival', epoch: 1 }]);
  expect(lab.world.began).toEqual([]);
});

test('a claim that is decided again is driven all the same', async () => {
  await create();
  const other = lab.engine();
  let isNoted = false;
  const race: Before = async (_, types) => {
    if (!isClaim(types) || isNoted) return;
    isNoted = true;
    await other.execute('r', { type: 'record', name: 'noted', data: {} });
  };
  await lab.run(lab.worker('w', { engine: lab.engine(noting(race)) }), 1, true).ended;
  expect(await phase()).toBe('succeeded');
  expect(lab.world.began).toEqual(['r.1.1']);
  const assigned = (await eventsOf(engine, 'r')).filter(({ type }) => type === 'node_assigned');
  expect(assigned).toHaveLength(1);
  await verifyChain(engine.store, 'r');
});
