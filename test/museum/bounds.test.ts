/** The bug museum, second room: what durable engines got wrong about size, load, budgets and loops. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { findPrice, unknownPrice } from '../../src/executors/process/usage/prices.ts';
import { allowance } from '../../src/model/budget.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/model/snapshot.ts';
import { DECISION, ofType, RunRig, step } from '../model/rig.ts';
import { eventsOf, HANGS, type Lab, planOf, quick, TTL_MS, verifyChain } from '../engine/lab.ts';
import { create, onBothStores, phaseOf, watched } from './rig.ts';

let lab: Lab;
let engine: Engine;

onBothStores((open) => {
  beforeEach(async () => {
    lab = await open();
    engine = lab.engine();
  });
  afterEach(() => lab.close());

  test('a run of more than 1,000 events that stalls: it ends, with its chain whole', async () => {
    const ids = Array.from({ length: 400 }, (_, at) => `s${at}`);
    const nodes = ids.map((id, at) => ({
      id,
      kind: 'atomic' as const,
      key: `step:${id}`,
      ...(at === 0 ? {} : { needs: [ids[at - 1] ?? ''] }),
    }));
    await create(engine, planOf(nodes));
    expect(await (await lab.drive(lab.worker('w1', { engine }), 'r')).ended).toBe('done');
    expect(await verifyChain(engine.store, 'r')).toBeGreaterThan(1000);
  });

  test('retries all in one second: what failed together does not return together', () => {
    const dueMs = Array.from({ length: 50 }, (_, at) => {
      const rig = RunRig.plan([step('a', { retry: { max: 3, backoffMs: 8000, capMs: 60_000 } })]);
      rig.chance = at / 50;
      rig.claim();
      rig.start('a');
      rig.fail('a');
      return (rig.state.nodes.get('a')?.notBeforeMs ?? 0) - rig.nowMs;
    });
    expect(new Set(dueMs).size).toBe(50);
    const perSecond = Array.from({ length: 8 }, (_, second) =>
      dueMs.filter((ms) => Math.floor(ms / 1000) === second),
    );
    for (const together of perSecond) expect(together.length).toBeLessThan(10);
  });

  test('an approval inside a loop: each round needs its own', () => {
    const rig = RunRig.of({ root: { id: 'root', kind: 'composite' } });
    rig.claim();
    for (const round of [1, 2, 3]) {
      const node = `round${round}`;
      rig.must({ type: 'add_nodes', parent: 'root', nodes: [step(node, { approval: 'before' })] });
      const start = {
        type: 'start',
        node,
        epoch: 0,
        claimant: { worker: 'w', leaseId: 'l', ttlMs: 1000 },
      } as const;
      rig.must(start);
      expect(rig.open()).toHaveLength(1);
      expect(rig.refused(start).code).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
      rig.approve(rig.open()[0] ?? 0);
      rig.must(start);
      rig.finish(node);
    }
    const binds = rig.all('approval_recorded').map((approval) => approval.binds);
    expect(new Set(binds).size).toBe(3);
  });

  test('heartbeats without progress, and those that saturate the store: a lease is renewed without an event, three times in its life', async () => {
    await create(engine, planOf([step('a', HANGS)]));
    const { wrap, calls } = watched(() => ({}));
    const { ended } = await lab.drive(lab.worker('w1', { engine: lab.engine(wrap) }), 'r');
    const key = await lab.running('r', 1);
    const version = await verifyChain(engine.store, 'r');
    const commits = calls.commit;
    await lab.clock.advance(TTL_MS * 10);
    expect(await verifyChain(engine.store, 'r')).toBe(version);
    expect(calls.commit).toBe(commits);
    expect(calls.renew).toBe(30);
    lab.world.end(key);
    expect(await ended).toBe('done');
  });

  test('children inheriting the whole budget: what one has reserved the other cannot have', async () => {
    const reserve = { steps: 1, tokens: 60 };
    await create(
      engine,
      planOf(
        [step('a', { ...HANGS, reserve }), step('b', { ...HANGS, reserve })],
        { limits: { tokens: 100 } },
        2,
      ),
    );
    const { ended } = await lab.drive(lab.worker('w1', { engine }), 'r');
    const key = await lab.running('r', 1);
    await lab.clock.advance(1000);
    expect(lab.world.running()).toEqual([key]);
    expect(await phaseOf(engine)).toBe('held:budget');
    lab.world.end(key);
    expect(await ended).toBe('held');
  });

  test('a cap that computes zero for an unknown price: it is unknown, and says so, and a limit of zero is none', () => {
    expect(findPrice('a-model-nobody-has-heard-of')).toBeUndefined();
    expect(unknownPrice('agent', 'a-model-nobody-has-heard-of').message).toContain(
      'a-model-nobody-has-heard-of',
    );
    const used = { wallMs: 0, steps: 0, retries: 0, toolCalls: 0, tokens: 5, costMicros: 7 };
    expect(allowance({ costMicros: 0, tokens: 9 }, used)).toEqual({ tokens: 4 });
  });

  test('prune removing a needed ancestor: what a later step needs is known after a snapshot, long after it settled', () => {
    const rig = RunRig.plan([step('a', { after: DECISION }), step('hold', { needs: ['a'] })]);
    rig.claim();
    rig.start('a');
    rig.finish('a');
    const state = decodeSnapshot(encodeSnapshot(rig.state));
    expect(state?.settled.get('a')?.state).toBe('succeeded');
    Object.assign(rig.state, state);
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('late', { needs: ['a'] })] });
    expect(rig.ready()).toEqual([]);
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.ready()).toEqual(['hold', 'late']);
  });

  test('a big history that exhausts memory at start: a worker that starts reads no run that is over', async () => {
    for (let at = 0; at < 30; at += 1) {
      await create(engine, planOf(quick('a')), `old${at}`);
      await (await lab.drive(lab.worker('w1', { engine }), `old${at}`)).ended;
    }
    await create(engine, planOf(quick('a')), 'new');
    const { wrap, calls } = watched(() => ({}));
    await lab.run(lab.worker('w2', { engine: lab.engine(wrap) }), 2, true).ended;
    expect(await phaseOf(engine, 'new')).toBe('succeeded');
    expect(calls.load).toBe(1);
    expect(calls.events ?? 0).toBe(0);
    expect(calls.list ?? 0).toBe(0);
    expect(ofType(await eventsOf(engine, 'new'), 'attempt_ended')).toHaveLength(1);
  });
});
