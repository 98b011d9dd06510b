/** External composites with real workers: handed over, left alone, expired. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { ofType, specOf, step } from '../model/rig.ts';
import { eventsOf, Lab, planOf, QUICK, quick } from './lab.ts';

let lab: Lab;
let engine: Engine;
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
});
afterEach(() => lab.close());

const BEGUN = { id: 'root', kind: 'composite', executor: 'x' } as const;
const phase = async (): Promise<string> => (await engine.state('r')).standing.phase;
const rows = () => engine.store.work('r');

test('is begun by a worker, which then lets go of it: no lease, no row, until it is settled', async () => {
  await engine.execute('r', { type: 'create', spec: specOf({ root: BEGUN }) });
  const { ended, stop } = lab.run(lab.worker('w', { engine }));
  lab.world.end(await lab.running('r', 0), { outcome: 'accepted' });
  await lab.clock.until(async () => (await engine.state('r')).open.has('root'), 'the hand over');
  await lab.clock.until(async () => (await rows()).length === 0, 'the row to go');
  await lab.clock.advance(120_000);
  expect(lab.world.began).toEqual(['r.0.1']);
  expect(lab.world.forgotten).toEqual(['r.0.1']);
  await engine.execute('r', { type: 'add_nodes', parent: 'root', nodes: quick('a', 'b') });
  await lab.clock.until(async () => (await engine.state('r')).settled.has('b'), 'its children');
  await engine.execute('r', { type: 'settle', node: 'root', state: 'succeeded' });
  expect(await phase()).toBe('succeeded');
  stop();
  await ended;
});

test('one that is settled while it is being begun: the worker goes, and its executor is asked to stop', async () => {
  await engine.execute('r', { type: 'create', spec: specOf({ root: BEGUN }) });
  const { ended } = await lab.drive(lab.worker('w', { engine }), 'r');
  await lab.running('r', 0);
  await engine.execute('r', { type: 'settle', node: 'root', state: 'succeeded' });
  expect(await ended).toBe('done');
  expect(await phase()).toBe('succeeded');
  expect(await rows()).toEqual([]);
});

test('one without an executor begins its run and is not completed by the worker', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: specOf({ root: { id: 'root', kind: 'composite' }, nodes: [step('a', QUICK)] }),
  });
  await lab.run(lab.worker('w', { engine }), 2, true).ended;
  expect(await phase()).toBe('running');
  expect((await engine.state('r')).settled.has('a')).toBe(true);
  expect(await rows()).toEqual([]);
  await engine.execute('r', { type: 'settle', node: 'root', state: 'succeeded' });
  expect(await phase()).toBe('succeeded');
});

test('a worker of the plan above it waits for it, and ends it when its time is up', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: planOf([{ ...BEGUN, id: 'c', timeoutMs: 60_000 }, step('last', { ...QUICK, needs: ['c'] })]),
  });
  const { ended } = await lab.drive(lab.worker('w', { engine }), 'r');
  lab.world.end(await lab.running('r', 1), { outcome: 'accepted' });
  await lab.clock.until(async () => (await engine.state('r')).open.has('c'), 'the hand over');
  await lab.clock.advance(59_000);
  expect(await phase()).toBe('running');
  await lab.passing(async () => (await phase()) === 'failed', 'its time to be up');
  expect(await ended).toBe('done');
});

test('nobody holds it, and still its time runs out: a worker finds its row when that is due', async () => {
  await engine.execute('r', { type: 'create', spec: specOf({ root: { ...BEGUN, timeoutMs: 60_000 } }) });
  const { ended, stop } = lab.run(lab.worker('w', { engine }));
  lab.world.end(await lab.running('r', 0), { outcome: 'accepted' });
  await lab.clock.until(async () => (await rows())[0]?.state === 'offered', 'the row');
  stop();
  await ended;
  const [row] = await rows();
  expect(row?.dueMs).toBe((await engine.state('r')).nodes.get('root')!.handedOverAtMs! + 60_000);
  await lab.clock.advance(60_000);
  await lab.run(lab.worker('w2'), 1, true).ended;
  expect(await phase()).toBe('failed');
  const [settled] = ofType(await eventsOf(engine, 'r'), 'node_settled');
  expect(settled?.error?.details).toMatchObject({ reason: 'timed_out' });
  expect(lab.world.began).toHaveLength(1);
});

test('I7: what is handed over for longer than the run may take holds the run; raised, it goes on', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: specOf({ root: BEGUN, limits: { wallMs: 30_000 } }),
  });
  const { ended, stop } = lab.run(lab.worker('w', { engine }));
  lab.world.end(await lab.running('r', 0), { outcome: 'accepted' });
  await lab.passing(async () => (await phase()) === 'held', 'the budget to be used up');
  expect((await rows()).every(({ state }) => state === 'parked')).toBe(true);
  const resume = { by: 'ann', reason: 'more', limits: { wallMs: 90_000 } };
  const claimed = await lab.worker('w2').claim('r', undefined, resume);
  expect(await lab.worker('w2').drive(claimed!.lease, new AbortController().signal)).toBe('done');
  const due = (await rows())[0]?.dueMs ?? 0;
  expect(due - lab.clock.nowMs()).toBeGreaterThan(59_000);
  expect(lab.world.began).toHaveLength(1);
  stop();
  await ended;
});

test('an atomic node that its executor only takes over has failed', async () => {
  await engine.execute('r', { type: 'create', spec: planOf([step('a', { input: { fate: 'hang' } })]) });
  const { ended } = await lab.drive(lab.worker('w', { engine }), 'r');
  lab.world.end(await lab.running('r', 1), { outcome: 'accepted' });
  expect(await ended).toBe('done');
  expect(ofType(await eventsOf(engine, 'r'), 'attempt_ended')[0]).toMatchObject({
    outcome: 'failed',
    error: { code: 'E_ADAPTER_FAIL' },
  });
});
