/** One driver on one run: what it starts, records, stops and leaves alone. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Executor } from '../../src/engine/executor.ts';
import type { Worker } from '../../src/engine/worker.ts';
import type { AttemptOutcome } from '../../src/model/node.ts';
import { ReeveError } from '../../src/model/errors.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { DECISION, ofType, step, steps } from '../model/rig.ts';
import { turns } from '../support/manual-clock.ts';
import { ScriptedExecutor } from '../support/scripted-executor.ts';
import { eventsOf, HANGS, Lab, planOf, QUICK, quick, TTL_MS, verifyChain } from './lab.ts';

let lab: Lab;
let engine: Engine;
let worker: Worker;
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
  worker = lab.worker('w1', { engine });
});
afterEach(() => lab.close());

async function create(spec: ReturnType<typeof planOf>, id = 'r'): Promise<string> {
  await engine.execute(id, { type: 'create', spec });
  return id;
}
async function standing(of = engine, id = 'r'): Promise<string> {
  const { standing: now } = await of.state(id);
  return now.phase === 'held' ? `held:${now.hold}` : now.phase;
}
async function ends(of = engine, id = 'r'): Promise<[string, AttemptOutcome][]> {
  return ofType(await eventsOf(of, id), 'attempt_ended').map(({ node, outcome }) => [node, outcome]);
}
const used = async () => (await engine.state('r')).used;

describe('a plan', () => {
  test('runs its steps in order and succeeds', async () => {
    await create(planOf(quick('a', 'b', 'c')));
    const { ended } = await lab.drive(worker, 'r');
    expect(await ended).toBe('done');
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1', 'r.3.1']);
    expect(await standing()).toBe('succeeded');
    expect(await engine.store.work('r')).toEqual([]);
    await verifyChain(engine.store, 'r');
  });

  test('does not ask the store again for what it did itself', async () => {
    let asked = 0;
    const counting = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          if (key === 'head') asked += 1;
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    engine = lab.engine(counting);
    await create(planOf(quick(...Array.from({ length: 40 }, (_, at) => `s${at}`))));
    const { ended } = await lab.drive(lab.worker('w', { engine }), 'r');
    expect(await ended).toBe('done');
    expect(asked).toBeLessThan(10);
  });

  test('I5: each intent is durable before its effect, and nothing is forgotten before its end is', async () => {
    await create(planOf(quick('a', 'b')));
    const executor = new ScriptedExecutor(lab.world);
    const onDisk: string[] = [];
    executor.onSubmit = async ({ effectKey }) => {
      const stored = await lab.store().events('r', 0, 100, ['attempt_started']);
      if (stored.some(({ body }) => body.includes(effectKey))) onDisk.push(effectKey);
    };
    const forget = executor.forget.bind(executor);
    executor.forget = async (ref) => {
      expect((await ends()).length).toBeGreaterThan(lab.world.forgotten.length);
      return forget(ref);
    };
    const own = lab.worker('w', { engine, executors: new Map([['x', executor]]) });
    await (await lab.drive(own, 'r')).ended;
    expect(onDisk).toEqual(['r.1.1', 'r.2.1']);
    expect(lab.world.forgotten).toEqual(['r.1.1', 'r.2.1']);
  });

  test('runs side by side up to maxParallel, first declared first', async () => {
    await create(
      planOf(
        ['a', 'b', 'c', 'd'].map((id) => step(id, HANGS)),
        {},
        2,
      ),
    );
    const { ended } = await lab.drive(worker, 'r');
    await lab.running('r', 2);
    expect(lab.world.running()).toEqual(['r.1.1', 'r.2.1']);
    lab.world.end('r.2.1');
    await lab.running('r', 3);
    expect(lab.world.running()).toEqual(['r.1.1', 'r.3.1']);
    for (const key of ['r.1.1', 'r.3.1']) lab.world.end(key);
    lab.world.end(await lab.running('r', 4));
    expect(await ended).toBe('done');
  });

  test('of steps without effect needs no executor', async () => {
    await create(planOf(steps(['a', 'b', 'c']).map(({ executor: _, ...node }) => node)));
    expect(await (await lab.drive(worker, 'r')).ended).toBe('done');
    expect(lab.world.began).toEqual([]);
    expect((await used()).steps).toBe(3);
  });

  test('stops at a decision, gives its lease back and goes on after the approval', async () => {
    await create(
      planOf([step('ask', { ...QUICK, after: DECISION }), step('b', { ...QUICK, needs: ['ask'] })]),
    );
    expect(await (await lab.drive(worker, 'r')).ended).toBe('held');
    expect(await engine.store.work('r')).toMatchObject([{ state: 'parked', worker: null }]);
    const [open] = (await engine.state('r')).decisions.keys();
    await engine.execute('r', { type: 'approve', checkpoint: open ?? 0, by: 'ann', reason: 'fine' });
    expect(await (await lab.drive(worker, 'r', { by: 'ann' })).ended).toBe('done');
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1']);
  });

  test('fails with its step, and stops what runs beside it', async () => {
    await create(planOf([step('a', HANGS), step('b', HANGS)], {}, 2));
    const { ended } = await lab.drive(worker, 'r');
    lab.world.end(await lab.running('r', 1), { outcome: 'failed' });
    expect(await ended).toBe('done');
    expect(await standing()).toBe('failed');
    expect(lab.world.canceled).toContain('r.2.1');
    expect(await ends()).toEqual([
      ['a', 'failed'],
      ['b', 'canceled'],
    ]);
  });

  test('what an executor refuses has failed, with its words', async () => {
    await create(planOf([step('a', { ...QUICK, onFailure: 'hold' })]));
    const executor = new ScriptedExecutor(lab.world);
    executor.onSubmit = () => Promise.reject(new Error('no such program'));
    const own = lab.worker('w', { engine, executors: new Map([['x', executor]]) });
    expect(await (await lab.drive(own, 'r')).ended).toBe('held');
    expect(ofType(await eventsOf(engine, 'r'), 'attempt_ended')[0]).toMatchObject({
      outcome: 'failed',
      error: { message: 'no such program' },
    });
  });
});

describe('pause and cancel', () => {
  test('W17: pause during a step lets it finish and starts no other; the run can be resumed', async () => {
    await create(planOf(steps(['a', 'b'], HANGS)));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    await engine.execute('r', { type: 'pause', by: 'ann' });
    await lab.clock.advance(5000);
    expect(lab.world.running()).toEqual([key]);
    lab.world.end(key);
    expect(await ended).toBe('held');
    expect(await ends()).toEqual([['a', 'succeeded']]);
    expect(lab.world.began).toEqual(['r.1.1']);
    const again = await lab.drive(worker, 'r', { by: 'ann' });
    lab.world.end(await lab.running('r', 2));
    expect(await again.ended).toBe('done');
  });

  test('W18: cancel by another process stops the step and records that, with no checkpoint after it', async () => {
    await create(planOf(steps(['a', 'b'], { ...HANGS, after: { type: 'progress', summary: 'x' } })));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    await lab.engine().execute('r', { type: 'cancel', by: 'ann' });
    expect(await ended).toBe('done');
    expect(lab.world.canceled).toContain(key);
    expect(await ends()).toEqual([['a', 'canceled']]);
    const types = (await eventsOf(engine, 'r')).map(({ type }) => type);
    expect(types.slice(types.lastIndexOf('phase_changed'))).toEqual([
      'phase_changed',
      'attempt_ended',
      'node_released',
    ]);
    expect(await engine.store.work('r')).toEqual([]);
  });

  test('a composite that ends from outside takes its running children with it', async () => {
    await create(
      planOf([{ id: 'ext', kind: 'composite' }, step('last', { ...QUICK, needs: ['ext'] })], {}, 2),
    );
    await engine.execute('r', { type: 'add_nodes', parent: 'ext', nodes: [step('child', HANGS)] });
    await engine.execute('r', { type: 'add_nodes', parent: 'root', nodes: [step('keep', HANGS)] });
    const own = lab.worker('w', { engine });
    const { ended } = await lab.drive(own, 'r');
    await lab.running('r', 3);
    await engine.execute('r', { type: 'settle', node: 'ext', state: 'succeeded' });
    await lab.clock.advance(1000);
    await lab.clock.until(() => lab.world.canceled.includes('r.3.1'), 'the child to be stopped');
    lab.world.end(await lab.running('r', 4));
    expect(await ended).toBe('done');
    expect(await standing()).toBe('succeeded');
    const child = ofType(await eventsOf(engine, 'r'), 'attempt_ended').find(({ node }) => node === 'child');
    expect(child?.outcome).toBe('canceled');
  });

  test('being told to stop stops the step, releases the run, and whoever comes next runs it again', async () => {
    await create(planOf(steps(['a', 'b'], { ...HANGS, onInterrupt: 'rerun' })));
    const { ended, stop } = await lab.drive(worker, 'r');
    await lab.running('r', 1);
    stop();
    expect(await ended).toBe('stopped');
    expect(await ends()).toEqual([['a', 'canceled']]);
    expect(await engine.store.work('r')).toMatchObject([{ state: 'offered' }]);
    const next = await lab.drive(lab.worker('w2'), 'r');
    for (const [index, attempt] of [
      [1, 2],
      [2, 1],
    ] as const)
      lab.world.end(await lab.running('r', index, attempt));
    expect(await next.ended).toBe('done');
    expect((await used()).retries).toBe(1);
  });

  test('a step that was stopped in the middle and may not be rerun holds the run for a person (I5)', async () => {
    await create(planOf(steps(['a', 'b'], HANGS)));
    const { ended, stop } = await lab.drive(worker, 'r');
    await lab.running('r', 1);
    stop();
    await ended;
    expect(await standing()).toBe('held:outcome_unknown');
    expect(await engine.store.work('r')).toMatchObject([{ state: 'parked' }]);
  });
});

describe('the lease', () => {
  test('W16: is renewed every third of its time while a step runs', async () => {
    await create(planOf([step('a', HANGS)]));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    const untilMs: number[] = [];
    for (let at = 0; at < 7; at += 1) {
      await lab.clock.advance(TTL_MS / 3);
      untilMs.push(((await engine.store.work('r'))[0]?.untilMs ?? 0) - lab.clock.nowMs());
    }
    expect(untilMs).toEqual(Array.from({ length: 7 }, () => TTL_MS));
    lab.world.end(key);
    expect(await ended).toBe('done');
  });

  test('W15: overtaken after sleeping past it, a driver writes nothing more and leaves the children to the other', async () => {
    await create(planOf(steps(['a', 'b'], HANGS)));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    lab.clock.jump(TTL_MS + 1);
    const other = lab.engine();
    const takeover = await lab.drive(lab.worker('w2', { engine: other }), 'r');
    await lab.clock.advance(0);
    const before = await verifyChain(other.store, 'r');
    await lab.clock.advance(1000);
    expect(await ended).toBe('lost');
    expect(lab.world.canceled).toEqual([]);
    expect(await verifyChain(other.store, 'r')).toBe(before);
    lab.world.end(key);
    lab.world.end(await lab.running('r', 2));
    expect(await takeover.ended).toBe('done');
    expect(await ends(other)).toEqual([
      ['a', 'succeeded'],
      ['b', 'succeeded'],
    ]);
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1']);
  });

  test('W15, I5: an end that it sees after it was overtaken is neither written nor forgotten', async () => {
    await create(planOf([step('a', HANGS)]));
    const executor = new ScriptedExecutor(lab.world);
    const { ended } = await lab.drive(
      lab.worker('w1', { engine, executors: new Map([['x', executor]]) }),
      'r',
    );
    const key = await lab.running('r', 1);
    lab.clock.jump(TTL_MS + 1);
    const other = lab.engine();
    const claimed = await lab.worker('w2', { engine: other }).claim('r');
    lab.world.end(key); // the first one watches, and has not looked at its lease yet
    expect(await ended).toBe('lost');
    expect(lab.world.forgotten).toEqual([]);
    expect(await ends(other)).toEqual([]);
    const stop = new AbortController();
    expect(claimed).toBeDefined();
    if (claimed !== undefined)
      expect(await lab.worker('w2', { engine: other }).drive(claimed.lease, stop.signal)).toBe('done');
    expect(await ends(other)).toEqual([['a', 'succeeded']]);
    expect(lab.world.began).toEqual([key]);
  });

  test('W15: run out and not overtaken, the children are stopped and nothing is written', async () => {
    await create(planOf(steps(['a', 'b'], { ...HANGS, onInterrupt: 'rerun' })));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    lab.clock.jump(TTL_MS + 1);
    await lab.clock.advance(1000);
    expect(await ended).toBe('lost');
    expect(lab.world.canceled).toContain(key);
    expect(await ends()).toEqual([]);
    expect(lab.world.forgotten).toEqual([]);
    const next = await lab.drive(lab.worker('w2'), 'r');
    for (const [index, attempt] of [
      [1, 2],
      [2, 1],
    ] as const)
      lab.world.end(await lab.running('r', index, attempt));
    expect(await next.ended).toBe('done');
    expect(await ends()).toEqual([
      ['a', 'canceled'],
      ['a', 'succeeded'],
      ['b', 'succeeded'],
    ]);
  });

  test('is counted from when the store took it, not from when the answer came', async () => {
    let slow = 0;
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          if (key === 'renew') return () => Promise.reject(new ReeveError('E_STORE_BUSY', 'busy'));
          if (key === 'commit') {
            return async (...args: Parameters<RunStore['commit']>) => {
              const results = await target.commit(...args);
              lab.clock.jump(slow);
              slow = 0;
              return results;
            };
          }
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const behind = lab.engine(wrap);
    await create(planOf([step('a', HANGS)]));
    slow = 20_000;
    const { ended } = await lab.drive(lab.worker('w1', { engine: behind }), 'r');
    await lab.running('r', 1);
    const [row] = await engine.store.work('r');
    await lab.clock.advance((row?.untilMs ?? 0) - lab.clock.nowMs());
    expect(await ended).toBe('lost');
  });

  test('a driver whose store fails stops its children and says so', async () => {
    const broken = { now: false };
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          const value: unknown = Reflect.get(target, key, target);
          if (typeof value !== 'function') return value;
          if (['commit', 'head', 'load', 'renew', 'work'].includes(String(key)) && broken.now) {
            return () => Promise.reject(new ReeveError('E_STORE_UNAVAILABLE', 'gone'));
          }
          return value.bind(target);
        },
      });
    const own = lab.engine(wrap);
    await create(planOf(steps(['a', 'b'], HANGS)));
    const { ended } = await lab.drive(lab.worker('w1', { engine: own }), 'r');
    const key = await lab.running('r', 1);
    broken.now = true;
    const failed = ended.catch((error: unknown) => error);
    await lab.clock.advance(1000);
    expect(await failed).toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    expect(lab.world.canceled).toContain(key);
    expect(lab.world.forgotten).toEqual([]); // its end is not on record
  });
});

describe('taking over after a crash (W12, I5)', () => {
  /** A worker that died while `a` ran: its lease runs out, nobody stopped anything. */
  async function dead(
    nodes: Parameters<typeof planOf>[0],
    prepare: (key: string) => void = () => undefined,
  ): Promise<string> {
    await create(planOf(nodes));
    const claimed = await lab.worker('dead', { engine }).claim('r');
    await engine.execute('r', { type: 'start', node: 'a', epoch: claimed?.lease.epoch ?? 0 });
    const key = 'r.1.1';
    prepare(key);
    await expect(worker.claim('r')).rejects.toMatchObject({ code: 'E_LEASE_CONFLICT' });
    await lab.clock.advance(TTL_MS + 1);
    return key;
  }
  const submitted = (key: string): void =>
    lab.world.begin({ runId: 'r', nodeId: 'a', attempt: 1, effectKey: key, input: null });

  test('work that still runs is watched to its end, and not begun again', async () => {
    const key = await dead(steps(['a', 'b'], HANGS), submitted);
    const { ended } = await lab.drive(worker, 'r');
    await lab.clock.advance(5000);
    expect(lab.world.running()).toEqual([key]);
    lab.world.end(key);
    lab.world.end(await lab.running('r', 2));
    expect(await ended).toBe('done');
    expect(lab.world.starts(key)).toBe(1);
    expect((await used()).retries).toBe(0);
  });

  test('work that ended meanwhile is recorded as it ended', async () => {
    await dead(steps(['a', 'b'], QUICK), (key) => {
      submitted(key);
      lab.world.end(key, { usage: { tokens: 5 }, outputs: { answer: 42 } });
    });
    expect(await (await lab.drive(worker, 'r')).ended).toBe('done');
    expect(ofType(await eventsOf(engine, 'r'), 'attempt_ended')[0]).toMatchObject({
      outcome: 'succeeded',
      outputs: { answer: 42 },
    });
    expect((await used()).tokens).toBe(5);
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1']);
  });

  test('work that never began is begun, as a new attempt and without a retry', async () => {
    const key = await dead(steps(['a', 'b'], QUICK));
    expect(await (await lab.drive(worker, 'r')).ended).toBe('done');
    expect(await ends()).toEqual([
      ['a', 'not_started'],
      ['a', 'succeeded'],
      ['b', 'succeeded'],
    ]);
    expect(lab.world.starts(key)).toBe(0);
    expect((await used()).retries).toBe(0);
  });

  test('work of unknown fate is rerun where the node allows it', async () => {
    await dead(steps(['a', 'b'], { ...QUICK, onInterrupt: 'rerun' }), (key) => {
      submitted(key);
      lab.world.lose(key);
    });
    expect(await (await lab.drive(worker, 'r')).ended).toBe('done');
    expect(await ends()).toEqual([
      ['a', 'unknown'],
      ['a', 'succeeded'],
      ['b', 'succeeded'],
    ]);
    expect((await used()).retries).toBe(1);
  });

  test('work of unknown fate otherwise holds the run for a person', async () => {
    await dead(steps(['a', 'b'], QUICK), (key) => {
      submitted(key);
      lab.world.lose(key);
    });
    expect(await (await lab.drive(worker, 'r')).ended).toBe('held');
    expect(await standing()).toBe('held:outcome_unknown');
    expect(lab.world.began).toEqual(['r.1.1']);
    await engine.execute('r', { type: 'settle', node: 'a', state: 'succeeded', by: 'ann', reason: 'saw it' });
    expect(await (await lab.drive(worker, 'r', { by: 'ann' })).ended).toBe('done');
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1']);
  });

  test('a step without effect whose end was not recorded is simply done again', async () => {
    await dead([{ id: 'a', kind: 'atomic' }]);
    expect(await (await lab.drive(worker, 'r')).ended).toBe('done');
    expect(await ends()).toEqual([
      ['a', 'not_started'],
      ['a', 'succeeded'],
    ]);
  });

  test('W21: the time until the takeover is not charged, but for what the dead worker was last seen in', async () => {
    await dead(steps(['a'], QUICK));
    await (await lab.drive(worker, 'r')).ended;
    expect((await used()).wallMs).toBe(0);
  });
});

describe('retries', () => {
  test('come after their delay and no sooner, without looking all the time', async () => {
    await create(planOf([step('a', { ...HANGS, retry: { max: 2, backoffMs: 10_000, capMs: 60_000 } })]));
    const { ended } = await lab.drive(worker, 'r');
    lab.world.end(await lab.running('r', 1), { outcome: 'failed' });
    await lab.clock.until(async () => (await ends()).length === 1, 'the failure to be on record');
    await lab.clock.advance(4999); // half of 10 s: chance is 0.5
    expect(lab.world.began).toHaveLength(1);
    await lab.clock.advance(1);
    lab.world.end(await lab.running('r', 1, 2));
    expect(await ended).toBe('done');
    expect((await used()).retries).toBe(1);
  });

  test('that are due and wait for room cause no busy loop', async () => {
    await create(
      planOf([step('a', { ...HANGS, retry: { max: 2, backoffMs: 10, capMs: 10 } }), step('b', HANGS)]),
    );
    const { ended } = await lab.drive(worker, 'r');
    lab.world.end(await lab.running('r', 1), { outcome: 'failed' });
    const other = await lab.running('r', 2);
    await lab.clock.advance(500);
    expect(lab.clock.nextMs()).toBeGreaterThan(100);
    lab.world.end(other);
    lab.world.end(await lab.running('r', 1, 2));
    expect(await ended).toBe('done');
  });
});

describe('budgets', () => {
  test('W19: nothing starts over a limit; the run is held and released', async () => {
    await create(planOf(quick('a', 'b', 'c'), { limits: { steps: 2 } }));
    expect(await (await lab.drive(worker, 'r')).ended).toBe('held');
    expect(await standing()).toBe('held:budget');
    expect(lab.world.began).toHaveLength(2);
    const resume = { by: 'ann', reason: 'more', limits: { steps: 3 } };
    expect(await (await lab.drive(worker, 'r', resume)).ended).toBe('done');
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1', 'r.3.1']);
  });

  test('charges are on record as they come, and one over the limit stops the step', async () => {
    await create(planOf(steps(['a', 'b'], HANGS), { limits: { tokens: 100 } }));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    expect(lab.world.work(key)?.allowance).toEqual({ tokens: 100 });
    lab.world.report(key, { tokens: 60 });
    await lab.clock.until(async () => (await used()).tokens === 60, 'the first charge');
    lab.world.report(key, { tokens: 100 });
    await lab.clock.until(async () => (await used()).tokens === 100, 'the second charge');
    expect(lab.world.canceled).toEqual([]);
    lab.world.report(key, { tokens: 101 });
    expect(await ended).toBe('held');
    expect(lab.world.canceled).toEqual([key]);
    expect(await ends()).toEqual([['a', 'over_budget']]);
    expect(await standing()).toBe('held:budget');
    expect((await used()).tokens).toBe(101);
  });

  test('each attempt is charged for all that it uses, whatever one before it had used', async () => {
    await create(planOf([step('a', { ...HANGS, onInterrupt: 'rerun' })], { limits: { tokens: 100 } }));
    const { ended } = await lab.drive(worker, 'r');
    const first = await lab.running('r', 1);
    lab.world.report(first, { tokens: 60 });
    await lab.clock.until(async () => (await used()).tokens === 60, 'the charge of the first');
    lab.world.lose(first);
    const second = await lab.running('r', 1, 2);
    lab.world.report(second, { tokens: 50 });
    expect(await ended).toBe('held');
    expect(lab.world.canceled).toEqual([second]);
    expect((await used()).tokens).toBe(110);
  });

  test('a report that takes back some of what it said, and adds something else, charges nothing twice', async () => {
    await create(planOf(steps(['a'], HANGS)));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    const both = async () => [(await used()).tokens, (await used()).costMicros];
    lab.world.report(key, { tokens: 60 });
    await lab.clock.until(async () => (await used()).tokens === 60, 'the first charge');
    lab.world.report(key, { tokens: 40, costMicros: 1 });
    await lab.clock.until(async () => (await used()).costMicros === 1, 'the second charge');
    lab.world.report(key, { tokens: 60, costMicros: 2 });
    await lab.clock.until(async () => (await used()).costMicros === 2, 'the third charge');
    expect(await both()).toEqual([60, 2]);
    lab.world.end(key);
    expect(await ended).toBe('done');
    expect(await both()).toEqual([60, 2]);
  });

  test('a run out of wall time stops its step', async () => {
    await create(planOf(steps(['a', 'b'], HANGS), { limits: { wallMs: 5000 } }));
    const { ended } = await lab.drive(worker, 'r');
    const key = await lab.running('r', 1);
    expect(lab.world.work(key)?.timeoutMs).toBe(5000);
    await lab.clock.advance(5000);
    expect(await ended).toBe('held');
    expect(await standing()).toBe('held:budget');
    expect(await ends()).toEqual([['a', 'over_budget']]);
  });

  test("a step's own time limit is its failure, not the budget's", async () => {
    await create(planOf([step('a', { ...HANGS, timeoutMs: 2000 })], { limits: { wallMs: 5000 } }));
    const { ended } = await lab.drive(worker, 'r');
    await lab.running('r', 1);
    await lab.clock.advance(2000);
    expect(await ended).toBe('done');
    expect(await ends()).toEqual([['a', 'timed_out']]);
    expect(await standing()).toBe('failed');
  });

  test('W21: waiting for an approval costs no wall time', async () => {
    await create(
      planOf([step('ask', { ...QUICK, after: DECISION }), step('b', { ...HANGS, needs: ['ask'] })], {
        limits: { wallMs: 5000 },
      }),
    );
    await (await lab.drive(worker, 'r')).ended;
    await lab.clock.advance(3_600_000);
    const [open] = (await engine.state('r')).decisions.keys();
    await engine.execute('r', { type: 'approve', checkpoint: open ?? 0, by: 'ann', reason: 'fine' });
    const { ended } = await lab.drive(worker, 'r', { by: 'ann' });
    const key = await lab.running('r', 2);
    expect(lab.world.work(key)?.timeoutMs).toBe(5000);
    await lab.clock.advance(4000);
    lab.world.end(key);
    expect(await ended).toBe('done');
    expect((await used()).wallMs).toBe(4000);
  });
});

describe('an executor that the worker lacks', () => {
  const other = (): Executor => new ScriptedExecutor(lab.world, 'y');

  test('holds the run with a clear reason before anything is started; a worker that has it goes on', async () => {
    await create(planOf([step('a', QUICK), step('b', { ...QUICK, executor: 'y', needs: ['a'] })]));
    expect(await (await lab.drive(worker, 'r')).ended).toBe('held');
    expect(await standing()).toBe('held:error');
    const blocked = ofType(await eventsOf(engine, 'r'), 'checkpoint_emitted').at(-1);
    expect(blocked).toMatchObject({ checkpoint: 'blocked', reasonCodes: ['E_ADAPTER_FAIL'] });
    expect(blocked?.summary).toContain("'y'");
    expect(lab.world.began).toEqual(['r.1.1']);
    const able = lab.worker('w2', {
      executors: new Map([
        ['x', new ScriptedExecutor(lab.world)],
        ['y', other()],
      ]),
    });
    expect(await (await lab.drive(able, 'r', { by: 'ann' })).ended).toBe('done');
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1']);
  });

  test('leaves an attempt that it should take over to a worker that has it', async () => {
    await create(planOf([step('a', { ...HANGS, executor: 'y' })]));
    const first = await lab.worker('dead', { engine }).claim('r');
    await engine.execute('r', { type: 'start', node: 'a', epoch: first?.lease.epoch ?? 0 });
    lab.world.begin({ runId: 'r', nodeId: 'a', attempt: 1, effectKey: 'r.1.1', input: null });
    await lab.clock.advance(TTL_MS + 1);
    expect(await (await lab.drive(worker, 'r')).ended).toBe('held');
    expect((await engine.state('r')).live.has('a')).toBe(true);
    const able = lab.worker('w2', { executors: new Map([['y', other()]]) });
    const { ended } = await lab.drive(able, 'r', { by: 'ann' });
    lab.world.end('r.1.1');
    expect(await ended).toBe('done');
    expect(lab.world.began).toEqual(['r.1.1']);
  });
});

test('a node that waits for its own approval does not keep its worker', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: {
      ...planOf([step('a', { ...QUICK, approval: 'before' })]),
      root: { id: 'root', kind: 'composite' },
    },
  });
  await engine.execute('r', {
    type: 'claim',
    node: 'root',
    claimant: { worker: 'outside', leaseId: 'l', ttlMs: 3_600_000 },
  });
  const claimed = await worker.claim('r', 'a');
  const stop = new AbortController();
  if (claimed !== undefined) expect(await worker.drive(claimed.lease, stop.signal)).toBe('held');
  await turns();
  expect((await engine.store.work('r')).map(({ node }) => node)).toEqual(['root']);
  const [open] = (await engine.state('r')).decisions.keys();
  await engine.execute('r', { type: 'approve', checkpoint: open ?? 0, by: 'ann', reason: 'fine' });
  expect((await engine.store.work('r')).map(({ node, state }) => [node, state])).toContainEqual([
    'a',
    'offered',
  ]);
});
