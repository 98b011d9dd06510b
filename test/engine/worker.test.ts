/** Workers: several runs at a time, what they leave to others, and how they stop. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { ReeveError } from '../../src/model/errors.ts';
import type { Commit, RunStore } from '../../src/store/run-store.ts';
import { DECISION, fingerprint, ofType, specOf, step, steps } from '../model/rig.ts';
import { ScriptedExecutor } from '../support/scripted-executor.ts';
import { eventsOf, HANGS, Lab, planOf, QUICK, quick, TTL_MS, verifyChain } from './lab.ts';

let lab: Lab;
let engine: Engine;
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
});
afterEach(() => lab.close());

const create = (id: string, spec = planOf(quick('a', 'b'))) => engine.execute(id, { type: 'create', spec });
async function phase(id: string): Promise<string> {
  const { standing } = await engine.state(id);
  return standing.phase === 'held' ? `held:${standing.hold}` : standing.phase;
}

/** A store that counts what it is asked. */
function counting(counts: Map<string, number>) {
  return (store: RunStore): RunStore =>
    new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        counts.set(String(key), (counts.get(String(key)) ?? 0) + 1);
        return value.bind(target);
      },
    });
}

describe('run()', () => {
  test('untilIdle takes all that is due, so many at a time, and ends', async () => {
    for (let at = 0; at < 7; at += 1) await create(`r${at}`);
    const { ended } = lab.run(lab.worker('w1', { engine }), 3, true);
    await ended;
    for (let at = 0; at < 7; at += 1) expect(await phase(`r${at}`)).toBe('succeeded');
    expect(lab.world.began).toHaveLength(14);
  });

  test('drives no more than it may at once, and takes the next when one ends', async () => {
    for (const id of ['r1', 'r2', 'r3']) await create(id, planOf([step('a', HANGS)]));
    const { stop, ended } = lab.run(lab.worker('w1', { engine }), 2);
    await lab.running('r2', 1);
    await lab.clock.advance(5000);
    expect(lab.world.running()).toEqual(['r1.1.1', 'r2.1.1']);
    lab.world.end('r1.1.1');
    await lab.running('r3', 1);
    for (const key of lab.world.running()) lab.world.end(key);
    await lab.clock.until(async () => (await phase('r3')) === 'succeeded', 'r3 to end');
    stop();
    await ended;
  });

  test('takes what another process offers, and leaves other queues alone', async () => {
    const { stop, ended } = lab.run(lab.worker('w1', { engine }));
    const other = lab.engine();
    await other.execute('mine', { type: 'create', spec: planOf(quick('a')) });
    await other.execute('theirs', { type: 'create', spec: planOf(quick('a'), { queue: 'special' }) });
    await lab.clock.until(async () => (await other.state('mine')).standing.phase === 'succeeded', 'the run');
    expect((await other.state('theirs')).standing.phase).toBe('queued');
    stop();
    await ended;
  });

  test('asks the store nothing for commits that offer no work in its queues', async () => {
    const counts = new Map<string, number>();
    const own = lab.engine(counting(counts));
    const spec = specOf({ root: { id: 'root', kind: 'composite' }, nodes: [], queue: 'own' });
    await own.execute('program', { type: 'create', spec });
    const { stop, ended } = lab.run(lab.worker('w1', { engine: own }));
    await own.execute('here', { type: 'create', spec: planOf(quick('a')) });
    await lab.clock.until(async () => (await phase('here')) === 'succeeded', 'its own run');
    await lab.clock.advance(0); // now it waits
    counts.clear();
    for (let at = 0; at < 20; at += 1)
      await own.execute('program', { type: 'record', name: 'said', data: { at } });
    await own.execute('elsewhere', { type: 'create', spec: planOf(quick('a'), { queue: 'other' }) });
    expect(counts.get('commit')).toBe(21);
    expect([counts.get('due'), counts.get('nextDueMs')]).toEqual([undefined, undefined]);
    stop();
    await ended;
  });

  test('of two workers each run is driven by one', async () => {
    for (let at = 0; at < 6; at += 1) await create(`r${at}`);
    const workers = ['w1', 'w2'].map((name) => lab.run(lab.worker(name), 2, true));
    await Promise.all(workers.map(({ ended }) => ended));
    await lab.run(lab.worker('w3', { engine }), 2, true).ended;
    for (let at = 0; at < 6; at += 1) {
      expect(await phase(`r${at}`)).toBe('succeeded');
      await verifyChain(engine.store, `r${at}`);
    }
    expect(lab.world.began).toHaveLength(12);
    expect(new Set(lab.world.began).size).toBe(12);
  });

  test('goes on with a run once its decision is approved and continues by itself', async () => {
    await create(
      'r',
      planOf([step('ask', { ...QUICK, after: DECISION }), step('b', { ...QUICK, needs: ['ask'] })], {
        onApproval: 'continue',
      }),
    );
    const { stop, ended } = lab.run(lab.worker('w1', { engine }));
    await lab.clock.until(async () => (await phase('r')) === 'held:decision', 'the decision');
    const [open] = (await engine.state('r')).decisions.keys();
    await engine.execute('r', { type: 'approve', checkpoint: open ?? 0, by: 'ann', reason: 'fine' });
    await lab.clock.until(async () => (await phase('r')) === 'succeeded', 'the end');
    stop();
    await ended;
    expect(lab.world.began).toEqual(['r.1.1', 'r.2.1']);
  });

  test('claims children of an external composite by themselves', async () => {
    await create(
      'r',
      specOf({
        root: { id: 'root', kind: 'composite' },
        nodes: [step('a', QUICK), step('b', { ...QUICK, needs: ['a'] })],
        queue: 'default',
      }),
    );
    await engine.execute('r', {
      type: 'claim',
      node: 'root',
      claimant: { worker: 'outside', leaseId: 'l', ttlMs: 3_600_000 },
    });
    const { stop, ended } = lab.run(lab.worker('w1', { engine }));
    await lab.clock.until(async () => (await engine.state('r')).settled.has('b'), 'the children');
    await engine.execute('r', { type: 'settle', node: 'root', state: 'succeeded' });
    expect(await engine.store.work('r')).toEqual([]);
    stop();
    await ended;
  });

  test('claims a plan below an external composite whole', async () => {
    await create('r', specOf({ root: { id: 'root', kind: 'composite' } }));
    await engine.execute('r', {
      type: 'claim',
      node: 'root',
      claimant: { worker: 'outside', leaseId: 'l', ttlMs: 3_600_000 },
    });
    await engine.execute('r', {
      type: 'add_nodes',
      parent: 'root',
      nodes: [{ id: 'p', kind: 'composite', drive: 'plan' }],
    });
    await engine.execute('r', { type: 'add_nodes', parent: 'p', nodes: quick('x', 'y') });
    expect((await engine.store.work('r')).map(({ node }) => node)).toEqual(['p', 'root']);
    await lab.run(lab.worker('w1', { engine }), 2, true).ended;
    expect((await engine.state('r')).settled.get('p')?.state).toBe('succeeded');
    expect(lab.world.began).toHaveLength(2);
  });
});

describe('what it cannot have', () => {
  test('is not asked for again and again', async () => {
    const counts = new Map<string, number>();
    await create('r', planOf([step('a', HANGS)]));
    const wrap = (store: RunStore): RunStore => {
      const counted = counting(counts)(store);
      return new Proxy(counted, {
        get: (target, key) => {
          if (key === 'commit') return () => Promise.resolve(['conflict']);
          return Reflect.get(target, key) as unknown;
        },
      });
    };
    const { stop, ended } = lab.run(lab.worker('w1', { engine: lab.engine(wrap), lookMs: 1000 }));
    await lab.clock.until(
      () => (counts.get('nextDueMs') ?? 0) > 0 && lab.clock.nextMs() < 10_000,
      'the first refusal',
    );
    counts.clear();
    await lab.clock.advance(10_000);
    expect(counts.get('due') ?? 0).toBeLessThanOrEqual(25);
    expect(lab.clock.nextMs()).toBeGreaterThan(1);
    stop();
    await ended;
  });

  test('does not hide what waits behind it', async () => {
    await create('bad', planOf([step('a', HANGS)]));
    await lab.clock.advance(1000);
    await create('good', planOf([step('a', HANGS)]));
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          const value: unknown = Reflect.get(target, key, target);
          if (key !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
          return async (commits: readonly Commit[]) => {
            const results = await target.commit(commits.filter(({ runId }) => runId !== 'bad'));
            const left = [...results];
            return commits.map(({ runId }) => (runId === 'bad' ? 'conflict' : left.shift()));
          };
        },
      });
    const { stop, ended } = lab.run(lab.worker('w1', { engine: lab.engine(wrap) }), 1);
    await lab.passing(() => Promise.resolve(lab.world.running().length > 0), 'a run to be driven');
    expect(lab.world.running()).toEqual(['good.1.1']);
    stop();
    await ended;
  });

  test('a held run is not offered at all', async () => {
    await create('r', planOf([step('a', { ...QUICK, after: DECISION })]));
    await lab.run(lab.worker('w1', { engine }), 2, true).ended;
    expect(await engine.store.due({ nowMs: lab.clock.nowMs() + 1e9, limit: 9, queues: ['default'] })).toEqual(
      [],
    );
  });

  test('a run deleted under its hands is no reason to stop', async () => {
    await create('r1');
    await create('r2');
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          if (key === 'due') {
            return async (...query: Parameters<RunStore['due']>) => {
              const rows = await target.due(...query);
              await target.remove('r1');
              return rows;
            };
          }
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    await lab.run(lab.worker('w1', { engine: lab.engine(wrap) }), 2, true).ended;
    expect(await phase('r2')).toBe('succeeded');
  });

  test('who loses a race looks at more rows than it has room for and chooses among them; alone it keeps the order', async () => {
    for (const id of ['r1', 'r2', 'r3', 'r4', 'r5']) await create(id);
    const limits: number[] = [];
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          if (key === 'due') {
            return async (query: Parameters<RunStore['due']>[0]) => {
              limits.push(query.limit);
              const rows = await target.due(query);
              if (limits.length === 1) await target.remove('r1'); // as if another worker had been faster
              return rows;
            };
          }
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const order: string[] = [];
    const note = (runId: string): void => void (order.includes(runId) || order.push(runId));
    await lab.run(lab.worker('w1', { engine: lab.engine(wrap), onChange: note }), 1, true).ended;
    // One for the row that was lost, one for the room, and two more.
    expect(limits.slice(0, 2)).toEqual([1, 4]);
    expect(order[0], 'one from the middle of r2 to r5').toBe('r4');
    expect(order.toSorted()).toEqual(['r2', 'r3', 'r4', 'r5']);
  });

  test('a run recorded elsewhere is held for its environment and left', async () => {
    await engine.execute('r', {
      type: 'create',
      spec: planOf(quick('a')),
      environment: fingerprint('there'),
    });
    await lab.run(lab.worker('w1', { engine, environmentOf: () => fingerprint('here') }), 2, true).ended;
    expect(await phase('r')).toBe('held:error');
    expect(lab.world.began).toEqual([]);
  });

  test('a run that names an executor it lacks is held, and the others are driven', async () => {
    await create('r1', planOf([step('a', { ...QUICK, executor: 'nobody' })]));
    await create('r2');
    await lab.run(lab.worker('w1', { engine }), 1, true).ended;
    expect(await phase('r1')).toBe('held:error');
    expect(await phase('r2')).toBe('succeeded');
  });
});

describe('stopping', () => {
  test('is graceful: steps are stopped and recorded, runs released, nothing new is claimed', async () => {
    for (const id of ['r1', 'r2', 'r3'])
      await create(id, planOf([step('a', { ...HANGS, onInterrupt: 'rerun' })]));
    const { stop, ended } = lab.run(lab.worker('w1', { engine }), 2);
    await lab.running('r2', 1);
    stop();
    await ended;
    expect(lab.world.running()).toEqual([]);
    expect(lab.world.began).toHaveLength(2);
    for (const id of ['r1', 'r2', 'r3'])
      expect(await engine.store.work(id)).toMatchObject([{ state: 'offered' }]);
  });

  /** An engine whose store takes no commit of the run called `bad`. */
  function failingEngine(): Engine {
    return lab.engine(
      (store) =>
        new Proxy(store, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (key !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
            return (commits: Parameters<typeof store.commit>[0]) =>
              commits.some(({ runId }) => runId === 'bad')
                ? Promise.reject(new ReeveError('E_STORE_UNAVAILABLE', 'the disk is gone'))
                : target.commit(commits);
          },
        }),
    );
  }

  test('after a failure the other runs are stopped as gently, and the failure is thrown', async () => {
    await create('good', planOf([step('a', { ...HANGS, onInterrupt: 'rerun' })]));
    const { ended } = lab.run(lab.worker('w1', { engine: failingEngine() }), 2);
    await lab.running('good', 1);
    await create('bad', planOf([step('a', HANGS)]));
    await expect(ended).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    expect(lab.world.running()).toEqual([]);
    expect((await engine.state('good')).live.size).toBe(0);
  });

  test('told of failures, it leaves that run alone and goes on with the others', async () => {
    const failed: string[] = [];
    const options = { engine: failingEngine() };
    const onFailure = (runId: string): number => failed.push(runId);
    await create('bad', planOf([step('a', HANGS)]));
    const { ended, stop } = lab.run(lab.worker('w1', { ...options, onFailure }), 2);
    await create('good', planOf([step('a', { ...HANGS, onInterrupt: 'rerun' })]));
    await lab.running('good', 1);
    await expect.poll(() => failed).toEqual(['bad']);
    stop();
    await ended;
  });
});

describe('leftovers', () => {
  /** A run that another process canceled after its worker died in the middle of `a`. */
  async function canceledAfterCrash(executorName = 'x'): Promise<string> {
    await create('r', planOf([step('a', { ...HANGS, executor: executorName }), step('b', HANGS)], {}, 2));
    const claimed = await lab.worker('dead', { engine }).claim('r');
    await engine.execute('r', { type: 'start', node: 'a', epoch: claimed?.lease.epoch ?? 0 });
    lab.world.begin({ runId: 'r', nodeId: 'a', attempt: 1, effectKey: 'r.1.1', input: null });
    await lab.engine().execute('r', { type: 'cancel', by: 'ann' });
    return 'r.1.1';
  }

  test('of a canceled run are stopped by any worker once the lease has run out', async () => {
    const key = await canceledAfterCrash();
    const { stop, ended } = lab.run(lab.worker('w2'));
    await lab.clock.advance(TTL_MS - 1000);
    expect(lab.world.running()).toEqual([key]);
    await lab.clock.advance(2000);
    await lab.clock.until(
      async () => (await engine.store.work('r')).length === 0,
      'the leftovers to be gone',
    );
    expect(lab.world.canceled).toContain(key);
    expect(lab.world.forgotten).toContain(key);
    expect(ofType(await eventsOf(engine, 'r'), 'attempt_ended')).toMatchObject([
      { node: 'a', outcome: 'canceled' },
    ]);
    stop();
    await ended;
  });

  test('are not forgotten by one that only heard that their end is being recorded (I5)', async () => {
    const key = await canceledAfterCrash();
    const stored = Promise.withResolvers<void>();
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, property) => {
          const value: unknown = Reflect.get(target, property, target);
          if (property !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
          return async (commits: readonly Commit[]) => {
            await stored.promise;
            return target.commit(commits);
          };
        },
      });
    const slow = lab.engine(wrap);
    const worker = lab.worker('w2', { engine: slow });
    const first = worker.stopLeftovers('r');
    const second = worker.stopLeftovers('r');
    await Promise.race([first, second]);
    expect(lab.world.forgotten).not.toContain(key);
    stored.resolve();
    await Promise.all([first, second]);
    expect(lab.world.forgotten).toContain(key);
  });

  test('are awaited without a busy loop', async () => {
    const counts = new Map<string, number>();
    const key = await canceledAfterCrash();
    const slow = new ScriptedExecutor(lab.world);
    slow.cancel = () => Promise.resolve(); // it takes its time
    const { stop, ended } = lab.run(
      lab.worker('w2', { engine: lab.engine(counting(counts)), executors: new Map([['x', slow]]) }),
    );
    await lab.clock.advance(TTL_MS + 1);
    counts.clear();
    await lab.clock.advance(10_000);
    expect(counts.get('due') ?? 0).toBeLessThanOrEqual(25);
    lab.world.end(key, { outcome: 'canceled' });
    await lab.clock.until(
      async () => (await engine.store.work('r')).length === 0,
      'the leftovers to be gone',
    );
    stop();
    await ended;
  });

  test('of an executor that the worker lacks are not said to have never started (I5)', async () => {
    await canceledAfterCrash('elsewhere');
    await lab.worker('w2', { engine }).stopLeftovers('r');
    expect(ofType(await eventsOf(engine, 'r'), 'attempt_ended')).toMatchObject([
      { node: 'a', outcome: 'unknown' },
    ]);
  });

  test('of a run that failed are found although its worker died before it could stop them', async () => {
    await create('r', planOf(steps(['a']).concat(step('b', HANGS)), {}, 2));
    const claimed = await lab.worker('dead', { engine }).claim('r');
    const epoch = claimed?.lease.epoch ?? 0;
    for (const node of ['a', 'b']) await engine.execute('r', { type: 'start', node, epoch });
    lab.world.begin({ runId: 'r', nodeId: 'b', attempt: 1, effectKey: 'r.2.1', input: null });
    await engine.execute('r', { type: 'finish', node: 'a', attempt: 1, epoch, outcome: 'failed', usage: {} });
    expect(await phase('r')).toBe('failed');
    await lab.clock.advance(TTL_MS + 1);
    await lab.run(lab.worker('w2'), 2, true).ended;
    expect(lab.world.canceled).toContain('r.2.1');
    expect(await engine.store.work('r')).toEqual([]);
  });
});
