/** Work of a worker that is provably dead goes on at once; of every other one not before its lease ends. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Deaths } from '../../src/engine/ports.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { eventsOf, HANGS, Lab, planOf, TTL_MS, verifyChain } from './lab.ts';
import { step } from '../model/rig.ts';

let lab: Lab;
/** Of the process that dies. */
let first: Engine;
/** Of those that come after it. */
let engine: Engine;
let isGone = false;
const dead = new Set<string>();
const deaths: Deaths = { isDead: (leaseId) => dead.has(leaseId) };

beforeEach(() => {
  lab = new Lab();
  dead.clear();
  isGone = false;
  first = lab.engine(dying);
  engine = lab.engine(undefined, undefined, deaths);
});
afterEach(() => lab.close());

/** A run whose first step is under way, by a worker of its own. */
async function interrupted(id: string): Promise<{ leaseId: string; key: string }> {
  await first.execute(id, { type: 'create', spec: planOf([step('a', HANGS)]) });
  const worker = lab.worker(`dead-${id}`, { engine: first });
  const claimed = await worker.claim(id);
  if (claimed === undefined) throw new Error('not claimed');
  const stop = new AbortController();
  void worker.drive(claimed.lease, stop.signal);
  const key = await lab.running(id, 1);
  return { leaseId: claimed.lease.leaseId, key };
}

/** The store of a process that hears nothing and does nothing more once `isGone`. */
function dying(store: RunStore): RunStore {
  const never = new Promise(() => undefined);
  return new Proxy(store, {
    get(of, key) {
      const value = bound(of, key);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown =>
        isGone && key !== 'subscribe' ? never : (Reflect.apply(value, of, args) as unknown);
    },
  });
}

const isTaken = async () => (await engine.store.work('r'))[0]?.worker === 'w2';
const releases = async (id: string) =>
  (await eventsOf(engine, id)).filter(({ type }) => type === 'node_released');

test('its lease ends at the next look, as of when it was renewed, and the attempt is found again (I4, I5, I7)', async () => {
  const { leaseId, key } = await interrupted('r');
  const begunMs = lab.clock.nowMs();
  await lab.clock.advance(TTL_MS / 3);
  const renewedMs = lab.clock.nowMs();
  await lab.clock.until(
    async () => (await engine.store.work('r'))[0]?.untilMs === renewedMs + TTL_MS,
    'the renewal',
  );
  await lab.clock.advance(2000);
  isGone = true;
  const next = lab.run(lab.worker('w2', { engine }));
  await lab.clock.advance(3000);
  expect(await releases('r'), 'nobody knows yet that it is dead').toEqual([]);
  dead.add(leaseId);
  await lab.clock.advance(1000);
  await lab.clock.until(isTaken, 'the next worker');
  expect(lab.clock.nowMs() - renewedMs, 'long before the lease would have ended').toBeLessThan(TTL_MS / 2);
  expect(await releases('r')).toMatchObject([{ cause: 'expired', seenMs: renewedMs }]);
  lab.world.end(key);
  await lab.clock.until(async () => (await engine.state('r')).standing.phase === 'succeeded', 'the end');
  expect(lab.world.began).toEqual([key]);
  const { used } = await engine.state('r');
  expect(used.wallMs, 'nothing is billed from the renewal until the next worker').toBeLessThanOrEqual(
    renewedMs - begunMs + 1000,
  );
  await verifyChain(engine.store, 'r');
  next.stop();
  await next.ended;
});

test('who starts goes on with it before all that waited already', async () => {
  for (const id of ['older', 'old'])
    await first.execute(id, { type: 'create', spec: planOf([step('a', HANGS)]) });
  const { leaseId, key } = await interrupted('r');
  isGone = true;
  dead.add(leaseId);
  const next = lab.run(lab.worker('w2', { engine }), 1);
  await lab.clock.until(isTaken, 'the next worker');
  expect(lab.world.began).toEqual([key]);
  lab.world.end(key);
  await lab.running('older', 1);
  next.stop();
  await next.ended;
});

test('of two processes of one name only the leases of the dead one end', async () => {
  const [one, other] = [await interrupted('r1'), await interrupted('r2')];
  const rows = [...(await engine.store.work('r1')), ...(await engine.store.work('r2'))];
  isGone = true;
  dead.add(one.leaseId);
  const held: RunStore['heldBy'] = async () => rows;
  const sameName = lab.engine(
    (store) => new Proxy(store, { get: (of, key) => (key === 'heldBy' ? held : bound(of, key)) }),
    undefined,
    deaths,
  );
  const next = lab.run(lab.worker('w2', { engine: sameName }));
  await lab.clock.until(async () => (await releases('r1')).length === 1, 'the end of the one');
  await lab.clock.advance(3000);
  expect(await releases('r2')).toEqual([]);
  for (const { key } of [one, other]) lab.world.end(key);
  next.stop();
  await next.ended;
});

test('a command from outside bills no time after the last sign of life of a worker that is dead (I7)', async () => {
  const { leaseId } = await interrupted('r');
  isGone = true;
  await lab.clock.advance(9000);
  dead.add(leaseId);
  await engine.execute('r', { type: 'pause', by: 'ann', reason: 'stop' });
  expect(await releases('r')).toMatchObject([{ cause: 'expired' }]);
  expect((await engine.state('r')).used.wallMs).toBe(0);
});

test('without proof a lease has to run out, whatever the command', async () => {
  await interrupted('r');
  isGone = true;
  await lab.clock.advance(9000);
  const next = lab.run(lab.worker('w2', { engine }));
  await lab.clock.advance(9000);
  await engine.execute('r', { type: 'emit_checkpoint', checkpoint: 'progress', summary: 'look' });
  expect(await releases('r')).toEqual([]);
  await lab.passing(isTaken, 'the end of the lease');
  next.stop();
  for (const key of lab.world.running()) lab.world.end(key);
  await next.ended;
});

test('someone who takes it first, or a store that does not answer, is no reason to stop looking', async () => {
  const { leaseId, key } = await interrupted('r');
  isGone = true;
  let asked = 0;
  const broken = lab.engine(
    (store) =>
      new Proxy(store, {
        get: (of, name) =>
          name === 'holders' && (asked += 1) < 3
            ? () => Promise.reject(new Error('the store is away'))
            : bound(of, name),
      }),
    undefined,
    deaths,
  );
  dead.add(leaseId);
  const next = lab.run(lab.worker('w2', { engine: broken }));
  await lab.passing(isTaken, 'the third look');
  expect(await releases('r')).toHaveLength(1);
  lab.world.end(key);
  next.stop();
  await next.ended;
});

function bound(store: RunStore, key: string | symbol): unknown {
  const value: unknown = Reflect.get(store, key, store);
  return typeof value === 'function' ? (value.bind(store) as unknown) : value;
}
