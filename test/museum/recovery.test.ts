/** The bug museum, first room: what durable engines got wrong about crashes, leases and wake-ups. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { ofType, step, steps } from '../model/rig.ts';
import { eventsOf, HANGS, type Lab, planOf, QUICK, quick, TTL_MS, verifyChain } from '../engine/lab.ts';
import { create, dieWith, onBothStores, phaseOf, watched } from './rig.ts';

let lab: Lab;
let engine: Engine;

onBothStores((open) => {
  beforeEach(async () => {
    lab = await open();
    engine = lab.engine();
  });
  afterEach(() => lab.close());

  test('recovery while the owner lives: it is refused, and nothing runs twice', async () => {
    await create(engine, planOf([step('a', HANGS)]));
    const { ended } = await lab.drive(lab.worker('owner', { engine }), 'r');
    const key = await lab.running('r', 1);
    await lab.clock.advance(TTL_MS * 3);
    await expect(lab.worker('eager').claim('r')).rejects.toMatchObject({ code: 'E_LEASE_CONFLICT' });
    lab.world.end(key);
    expect(await ended).toBe('done');
    expect(lab.world.began).toEqual([key]);
  });

  test('the same suspension created twice: a node asks for its approval once', async () => {
    await create(engine, planOf([step('a', { ...QUICK, approval: 'before' })]));
    const claimed = await lab.worker('w1', { engine }).claim('r');
    const start = { type: 'start', node: 'a', epoch: claimed?.lease.epoch ?? 0 } as const;
    const both = await Promise.allSettled([engine.execute('r', start), lab.engine().execute('r', start)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(ofType(await eventsOf(engine, 'r'), 'checkpoint_emitted')).toHaveLength(1);
  });

  test('start after completion: a run that is over starts nothing, whoever asks', async () => {
    await create(engine, planOf(quick('a')));
    await (await lab.drive(lab.worker('w1', { engine }), 'r')).ended;
    const before = await verifyChain(engine.store, 'r');
    const refusal = { code: 'E_INVALID_STATE_TRANSITION' };
    await expect(engine.execute('r', { type: 'start', node: 'a', epoch: 1 })).rejects.toMatchObject(refusal);
    await expect(lab.worker('w2').claim('r', undefined, { by: 'ann' })).rejects.toMatchObject(refusal);
    expect(await verifyChain(engine.store, 'r')).toBe(before);
  });

  test('a lost reply to the completion: it is found on record, not done again', async () => {
    await create(engine, planOf(quick('a', 'b')));
    let isLost = false;
    const { wrap } = watched((store) => ({
      commit: async (commits) => {
        const results = await store.commit(commits);
        const isEnd = commits.some(({ events }) => events.some(({ type }) => type === 'attempt_ended'));
        if (!isEnd || isLost) return results;
        isLost = true;
        throw new ReeveError('E_STORE_UNAVAILABLE', 'the connection broke after the commit');
      },
    }));
    const unlucky = await lab.drive(lab.worker('w1', { engine: lab.engine(wrap) }), 'r');
    await expect(unlucky.ended).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    await lab.clock.advance(TTL_MS + 1);
    // Where `b` was committed by itself, the first worker may have done it before it heard of the failure.
    if ((await phaseOf(engine)) === 'running')
      await (await lab.drive(lab.worker('w2', { engine }), 'r')).ended;
    expect(await phaseOf(engine)).toBe('succeeded');
    // Where the start of `b` was committed with the end of `a`, it never began, and is begun as another attempt.
    expect(lab.world.began).toEqual(['r.1.1', expect.stringMatching(/^r\.2\.[12]$/)]);
  });

  test('a duplicate id that overwrites the first: of two that create it at once one is refused', async () => {
    const [one, two] = [planOf(quick('a'), { name: 'one' }), planOf(quick('b'), { name: 'two' })];
    const both = await Promise.allSettled([create(engine, one), create(lab.engine(), two)]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(create(engine, two)).rejects.toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA' });
    expect(ofType(await eventsOf(engine, 'r'), 'run_created')).toHaveLength(1);
  });

  test('a recovered run that blocks its queue: what nobody may take does not hide what is behind it', async () => {
    for (let at = 0; at < 5; at += 1) await create(engine, planOf([step('a', HANGS)]), `held${at}`);
    for (let at = 0; at < 5; at += 1) await dieWith(lab, `held${at}`);
    await lab.clock.advance(TTL_MS - 1);
    for (let at = 0; at < 5; at += 1) await engine.execute(`held${at}`, { type: 'pause', by: 'ann' });
    await lab.clock.advance(1000);
    await create(engine, planOf(quick('a')), 'next');
    const { stop } = lab.run(lab.worker('w1', { engine }), 1);
    await lab.clock.until(
      async () => (await phaseOf(engine, 'next')) === 'succeeded',
      'the next run to succeed',
    );
    stop();
    expect(lab.world.began).toContain('next.1.1');
  });

  test('a missed notice that loses the wake-up: an approval is found without one', async () => {
    await create(engine, planOf([step('a', { ...QUICK, approval: 'before' })], { onApproval: 'continue' }));
    const { wrap } = watched(() => ({ subscribe: () => () => undefined }));
    const { stop } = lab.run(lab.worker('deaf', { engine: lab.engine(wrap) }), 1);
    await lab.clock.until(async () => (await phaseOf(engine)) === 'held:decision', 'the decision');
    const checkpoint = [...(await engine.state('r')).decisions.keys()][0] ?? 0;
    await engine.execute('r', { type: 'approve', checkpoint, by: 'ann', reason: 'fine' });
    await lab.clock.advance(5000);
    await lab.clock.until(async () => (await phaseOf(engine)) === 'succeeded', 'the run to succeed');
    stop();
    expect(lab.world.began).toEqual(['r.1.1']);
  });

  test('a stale read before the lock: who decides on an old state decides again on the new one', async () => {
    await create(engine, planOf(quick('a')));
    await lab.worker('w1', { engine }).claim('r');
    const other = lab.engine();
    await other.state('r');
    await engine.execute('r', { type: 'pause', by: 'ann' });
    await expect(other.execute('r', { type: 'pause', by: 'bob' })).rejects.toMatchObject({
      code: 'E_INVALID_STATE_TRANSITION',
    });
    const paused = ofType(await eventsOf(engine, 'r'), 'phase_changed').filter(
      ({ to }) => to.phase === 'held',
    );
    expect(paused).toMatchObject([{ by: 'ann' }]);
  });

  test('a parallel step run twice: of two steps side by side each begins once, across a takeover', async () => {
    await create(engine, planOf([step('a', HANGS), step('b', HANGS)], {}, 2));
    const { wrap } = watched(() => ({ subscribe: () => () => undefined })); // who sleeps hears nothing
    await lab.drive(lab.worker('w1', { engine: lab.engine(wrap) }), 'r');
    const keys = [await lab.running('r', 1), await lab.running('r', 2)];
    lab.clock.jump(TTL_MS + 1); // the first worker sleeps past its lease
    const next = await lab.drive(lab.worker('w2', { engine }), 'r');
    await lab.clock.advance(1000);
    for (const key of keys) lab.world.end(key);
    expect(await next.ended).toBe('done');
    expect(lab.world.began).toEqual(keys);
  });

  test('a cold resume of an approval: nobody was there when it came, and the run goes on from it', async () => {
    await create(engine, planOf([step('a', { ...QUICK, approval: 'before' }), ...steps(['b'], QUICK)]));
    expect(await (await lab.drive(lab.worker('w1', { engine: lab.engine() }), 'r')).ended).toBe('held');
    const person = lab.engine();
    const checkpoint = [...(await person.state('r')).decisions.keys()][0] ?? 0;
    await person.execute('r', { type: 'approve', checkpoint, by: 'ann', reason: 'fine' });
    await lab.clock.advance(86_400_000);
    expect(await (await lab.drive(lab.worker('w2', { engine }), 'r', { by: 'ann' })).ended).toBe('done');
    expect(lab.world.began.toSorted()).toEqual(['r.1.1', 'r.2.1']);
  });

  test('"running" for ever after a restart: whoever comes next finds the run and ends it', async () => {
    await create(engine, planOf(quick('a', 'b')));
    await dieWith(lab, 'r', 'not begun');
    expect(await phaseOf(engine)).toBe('running');
    const { stop } = lab.run(lab.worker('w2', { engine }), 1);
    await lab.clock.advance(TTL_MS + 2000);
    await lab.clock.until(async () => (await phaseOf(engine)) === 'succeeded', 'the run to succeed');
    stop();
  });

  test('purge racing activity: a run that is removed under its worker stays removed, and the worker goes on', async () => {
    await create(engine, planOf([step('a', HANGS)]));
    const { stop } = lab.run(lab.worker('w1', { engine: lab.engine() }), 2);
    const key = await lab.running('r', 1);
    expect(await engine.store.remove('r')).toBe(true);
    lab.world.end(key);
    await create(engine, planOf([step('a', QUICK)]), 'next');
    await lab.clock.advance(3000);
    await lab.clock.until(
      async () => (await phaseOf(engine, 'next')) === 'succeeded',
      'the next run to succeed',
    );
    expect(await engine.store.head('r')).toBeUndefined();
    stop();
  });
});
