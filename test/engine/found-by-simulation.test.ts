/** Defects that the simulation found, each as the shortest story that shows it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { expectedWork } from '../../src/engine/work-changes.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { ofType, RunRig, specOf, step, steps } from '../model/rig.ts';
import { ScriptedExecutor } from '../support/scripted-executor.ts';
import { eventsOf, HANGS, Lab, planOf, QUICK, TTL_MS } from './lab.ts';

let lab: Lab;
let engine: Engine;
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
});
afterEach(() => lab.close());

const create = (spec: ReturnType<typeof planOf>, id = 'r'): Promise<unknown> =>
  engine.execute(id, { type: 'create', spec });
const outcomes = async (id = 'r'): Promise<string[]> =>
  ofType(await eventsOf(engine, id), 'attempt_ended').map(({ outcome }) => outcome);

/** An executor of the lab's world, to be broken. */
function executorOf(): ScriptedExecutor {
  return new ScriptedExecutor(lab.world);
}

test('I5: the fence against a late submission outlives the record that the attempt never began', async () => {
  await create(planOf([step('a', { ...QUICK, onInterrupt: 'rerun' })]));
  const sleeper = await lab.worker('w1', { engine: lab.engine() }).claim('r');
  await engine.execute('r', { type: 'start', node: 'a', epoch: sleeper?.lease.epoch ?? 0 });
  await lab.clock.advance(TTL_MS + 1);
  expect(await (await lab.drive(lab.worker('w2', { engine }), 'r')).ended).toBe('done');
  // The first worker wakes up right before its submission.
  await executorOf().submit({ runId: 'r', nodeId: 'a', attempt: 1, effectKey: 'r.1.1', input: QUICK.input });
  expect(await outcomes()).toEqual(['not_started', 'succeeded']);
  expect(lab.world.began).toEqual(['r.1.2']);
  expect(lab.world.forgotten).toEqual(['r.1.2']);
});

describe('I7: time after a worker was last seen is not billed', () => {
  test.each(['pause', 'cancel', 'record', 'approve'] as const)(
    'when the next event is a %s',
    async (type) => {
      const decision = { type: 'emit_checkpoint', checkpoint: 'decision-needed', summary: 'so?' } as const;
      await create(planOf([step('a', HANGS)]));
      await engine.execute('r', { ...decision, requiredAction: { kind: 'look' } });
      const checkpoint = [...(await engine.state('r')).decisions.keys()][0] ?? 0;
      await engine.execute('r', { type: 'approve', checkpoint, by: 'ann', reason: 'x' });
      await lab.worker('dead', { engine: lab.engine() }).claim('r');
      await lab.clock.advance(3_600_000);
      const by = 'ann';
      if (type === 'record') await engine.execute('r', { type, name: 'note', data: null });
      else if (type === 'approve') await engine.execute('r', { type, checkpoint, by, reason: 'again' });
      else await engine.execute('r', { type, by });
      const { used, nodes, rootLease } = await engine.state('r');
      expect(used.wallMs).toBe(0);
      expect(nodes.get('root')?.lease ?? rootLease).toBeUndefined();
    },
  );

  test('when another worker takes over what is left of a composite that has ended', async () => {
    await create(planOf([{ id: 'c', kind: 'composite', drive: 'external' }, step('e', HANGS)]));
    const claimed = await lab.worker('dead', { engine: lab.engine() }).claim('r');
    const epoch = claimed?.lease.epoch ?? 0;
    await engine.execute('r', { type: 'add_nodes', parent: 'c', nodes: [step('d', HANGS)] });
    await engine.execute('r', { type: 'start', node: 'd', epoch });
    await engine.execute('r', { type: 'settle', node: 'c', state: 'succeeded', by: 'ann', reason: 'done' });
    await lab.clock.advance(3_600_000);
    await lab.worker('next', { engine }).claim('r', 'd');
    const { used, nodes } = await engine.state('r');
    expect(used.wallMs).toBe(0);
    expect(nodes.get('root')?.lease).toBeUndefined();
  });

  test('when its claim takes longer than its lease to be stored, and somebody here pauses the run meanwhile', async () => {
    await create(planOf([step('a', HANGS)]));
    const stored = Promise.withResolvers<void>();
    const late = lab.engine(
      (store) =>
        new Proxy(store, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (key !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
            return async (...args: Parameters<RunStore['commit']>) => {
              await stored.promise;
              return target.commit(...args);
            };
          },
        }),
    );
    const claiming = lab.worker('late', { engine: late }).claim('r');
    await lab.clock.until(() => late.peek('r')?.nodes.get('root')?.lease !== undefined, 'the decision');
    await lab.clock.advance(3_600_000);
    const pausing = late.execute('r', { type: 'pause', by: 'ann' });
    await lab.clock.until(() => late.peek('r')?.standing.phase === 'held', 'the other decision');
    stored.resolve();
    await Promise.all([claiming, pausing]);
    expect((await engine.state('r')).used.wallMs).toBe(0);
  });

  test('and when it was last seen follows from its own time to live, not from that of who claims', async () => {
    await create(planOf([step('a', { executor: 'x', ...QUICK })]));
    await lab.worker('dead', { engine: lab.engine(), ttlMs: 60_000 }).claim('r');
    const startMs = lab.clock.nowMs();
    await lab.clock.advance(100_000);
    await lab.worker('next', { engine, ttlMs: 5000 }).claim('r');
    expect(ofType(await eventsOf(engine, 'r'), 'node_released')).toMatchObject([
      { cause: 'expired', seenMs: startMs },
    ]);
    expect((await engine.state('r')).used.wallMs).toBe(0);
  });

  test('a worker whose lease ran out while it met a conflict does not decide again', async () => {
    await create(planOf(steps(['a', 'b'], HANGS)));
    let sleepMs = 0;
    const wrap = (store: RunStore): RunStore =>
      new Proxy(store, {
        get: (target, key) => {
          if (key === 'renew') return () => Promise.resolve(true);
          const value: unknown = Reflect.get(target, key, target);
          if (key !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
          return async (...args: Parameters<RunStore['commit']>) => {
            if (sleepMs === 0) return target.commit(...args);
            lab.clock.jump(sleepMs);
            sleepMs = 0;
            await engine.execute('r', { type: 'record', name: 'meanwhile', data: null });
            return target.commit(...args);
          };
        },
      });
    const { ended } = await lab.drive(lab.worker('w1', { engine: lab.engine(wrap) }), 'r');
    const key = await lab.running('r', 1);
    sleepMs = TTL_MS + 1000;
    lab.world.end(key);
    await lab.clock.until(() => sleepMs === 0, 'the commit');
    await lab.clock.advance(1000);
    expect(await ended).toBe('lost');
    expect(await outcomes()).toEqual([]);
  });
});

test('I3: a run that is over keeps a row as long as something of it runs, and repair would keep it too', async () => {
  await create(planOf([step('a', HANGS), step('b', HANGS)], {}, 2));
  const claimed = await lab.worker('dead', { engine }).claim('r');
  const epoch = claimed?.lease.epoch ?? 0;
  for (const node of ['a', 'b']) await engine.execute('r', { type: 'start', node, epoch });
  const agrees = async (): Promise<void> => {
    const rows = (await engine.store.work('r')).map(({ node, state }) => ({ node, state }));
    expect(rows).toEqual(expectedWork(await engine.state('r')).map(({ node, state }) => ({ node, state })));
  };
  await engine.execute('r', { type: 'cancel', by: 'ann' });
  await agrees();
  expect(await engine.store.work('r')).toMatchObject([{ node: 'root', state: 'leased' }]);
  await engine.execute('r', {
    type: 'release',
    node: 'root',
    epoch,
    cause: 'released',
    seenMs: lab.clock.nowMs(),
  });
  await agrees();
  expect(await engine.store.work('r')).toMatchObject([{ node: 'root', state: 'offered' }]);
  await lab.run(lab.worker('w2', { engine }), 1, true).ended;
  expect((await engine.state('r')).live.size).toBe(0);
  expect(await engine.store.work('r')).toEqual([]);
});

test('an executor that cancels by itself, again and again, uses up the retries and fails', async () => {
  const retry = { max: 2, backoffMs: 1, capMs: 1 };
  await create(planOf([step('a', { ...HANGS, retry, onInterrupt: 'rerun' })]));
  const executor = executorOf();
  executor.onSubmit = ({ effectKey }) =>
    void lab.clock.sleep(1).then(() => lab.world.end(effectKey, { outcome: 'canceled' }));
  const { ended } = await lab.drive(lab.worker('w1', { engine, executors: new Map([['x', executor]]) }), 'r');
  await lab.clock.advance(10_000);
  expect(await ended).toBe('done');
  expect(await outcomes()).toEqual(['failed', 'failed', 'failed']);
  expect((await engine.state('r')).standing.phase).toBe('failed');
});

describe('I7: what an executor reports', () => {
  test('counts as whole numbers of tokens, calls and cost, and as nothing else', () => {
    const rig = RunRig.plan([step('a')], { limits: { wallMs: 100_000 } });
    rig.claim();
    rig.start('a');
    const mess = {
      tokens: 0.5,
      toolCalls: -3,
      costMicros: Number.NaN,
      wallMs: 99_000,
      steps: 7,
      retries: 7,
      x: 1,
    };
    rig.charge('a', mess);
    expect(rig.all('usage_charged')).toMatchObject([{ usage: { tokens: 1 } }]);
    rig.charge('a', { toolCalls: -1 });
    expect(rig.all('usage_charged')).toHaveLength(1);
    rig.after(10).finish('a', { usage: { ...mess, tokens: 2.5 } });
    expect(rig.state.used).toEqual({
      wallMs: 10,
      steps: 1,
      retries: 0,
      toolCalls: 0,
      tokens: 3,
      costMicros: 0,
    });
  });
});

describe('an executor that fails', () => {
  test('for a while is asked again, and nothing is lost', async () => {
    await create(planOf(steps(['a', 'b'], HANGS)));
    const executor = executorOf();
    const watch = executor.watch.bind(executor);
    let failures = 3;
    executor.watch = (ref, signal) => {
      if ((failures -= 1) >= 0) throw new Error('connection reset');
      return watch(ref, signal);
    };
    const { ended } = await lab.drive(
      lab.worker('w1', { engine, executors: new Map([['x', executor]]) }),
      'r',
    );
    const key = await lab.running('r', 1);
    await lab.clock.advance(10_000);
    lab.world.end(key);
    lab.world.end(await lab.running('r', 2));
    expect(await ended).toBe('done');
    expect(await outcomes()).toEqual(['succeeded', 'succeeded']);
  });

  test('for good holds its run, with the attempt live, and not the worker; who resumes finds the effect', async () => {
    await create(planOf([step('a', HANGS)]), 'bad');
    await create(planOf([step('a', { ...QUICK, executor: 'y' })]), 'good');
    const broken = executorOf();
    broken.watch = () => {
      throw new Error('gone');
    };
    const executors = new Map([
      ['x', broken],
      ['y', new ScriptedExecutor(lab.world, 'y')],
    ]);
    const { ended } = lab.run(lab.worker('w1', { engine, executors }), 2, true);
    await lab.clock.advance(60_000);
    await ended;
    expect((await engine.state('good')).standing.phase).toBe('succeeded');
    const held = await engine.state('bad');
    expect(held.standing).toEqual({ phase: 'held', hold: 'error' });
    expect(held.live.size).toBe(1);
    const again = await lab.drive(lab.worker('w2', { engine }), 'bad', { by: 'ann' });
    lab.world.end('bad.1.1');
    expect(await again.ended).toBe('done');
    expect(lab.world.starts('bad.1.1')).toBe(1);
  });

  test('after it took the work has not refused it', async () => {
    await create(planOf([step('a', HANGS)]));
    const executor = executorOf();
    executor.onSubmit = (work) => {
      lab.world.begin(work);
      throw new Error('the answer was lost');
    };
    const { ended } = await lab.drive(
      lab.worker('w1', { engine, executors: new Map([['x', executor]]) }),
      'r',
    );
    lab.world.end(await lab.running('r', 1));
    expect(await ended).toBe('done');
    expect(await outcomes()).toEqual(['succeeded']);
  });
});

test('a plan below an external composite that waits for an approval gives the worker free for other work', async () => {
  const root = { id: 'root', kind: 'composite', executor: 'x', ...HANGS } as const;
  const nodes = [{ id: 'plan', kind: 'composite', drive: 'plan' }] as const;
  await engine.execute('r', { type: 'create', spec: specOf({ root, nodes }) });
  const ask = step('ask', { ...QUICK, approval: 'before' });
  await engine.execute('r', { type: 'add_nodes', parent: 'plan', nodes: [ask] });
  const { stop } = lab.run(lab.worker('w1', { engine }), 2);
  await lab.clock.until(async () => (await engine.state('r')).openDecisions > 0, 'the decision');
  await create(planOf([step('a', QUICK)]), 'other');
  await lab.clock.advance(2000);
  expect((await engine.state('other')).standing.phase).toBe('succeeded');
  const checkpoint = [...(await engine.state('r')).decisions.keys()][0] ?? 0;
  await engine.execute('r', { type: 'approve', checkpoint, by: 'ann', reason: 'fine' });
  await lab.clock.advance(2000);
  expect(lab.world.began.some((key) => key.startsWith('r.2.'))).toBe(true);
  lab.world.end('r.0.1');
  stop();
});

test('a lease that is let go and taken again in one process at once: neither is in the way of the other', async () => {
  let commits = 0;
  const counting = (store: RunStore): RunStore =>
    new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (key === 'commit') commits += 1;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const server = lab.engine(counting);
  await create(planOf([step('a', HANGS)]));
  const held = await lab.worker('w1', { engine: server }).claim('r');
  commits = 0;
  const [, taken] = await Promise.all([
    server.execute('r', {
      type: 'release',
      node: 'root',
      epoch: held?.lease.epoch ?? 0,
      cause: 'released',
      seenMs: lab.clock.nowMs(),
    }),
    server.execute('r', {
      type: 'claim',
      node: 'root',
      claimant: { worker: 'w2', leaseId: 'second', ttlMs: TTL_MS },
    }),
  ]);
  expect(taken.isDecidedAgain).toBe(false);
  expect(commits).toBe(1);
  expect(await server.store.work('r')).toMatchObject([{ node: 'root', worker: 'w2', epoch: 2 }]);
});
