/** Addressable runs, and nodes that are added again after they have settled. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Command } from '../../src/model/commands.ts';
import { specOf, step } from '../model/rig.ts';
import { eventsOf, Lab, QUICK, verifyChain } from './lab.ts';

let lab: Lab;
let engine: Engine;
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
});
afterEach(() => lab.close());

const create = (id: string, nodes: readonly string[] = [], addressable = true): Promise<unknown> =>
  engine.execute(id, {
    type: 'create',
    spec: specOf({
      root: { id: `${id}.root`, kind: 'composite' },
      nodes: nodes.map((node) => step(node, QUICK)),
      ...(addressable ? { addressable: true } : {}),
    }),
  });
const add = (id: string, ...nodes: readonly string[]): Extract<Command, { type: 'add_nodes' }> => ({
  type: 'add_nodes',
  parent: `${id}.root`,
  nodes: nodes.map((node) => step(node, QUICK)),
});

describe('addressable', () => {
  test('a run is found by the ids of its nodes, from the start and as they are added', async () => {
    await create('r', ['a']);
    await engine.execute('r', add('r', 'b'));
    const { store } = lab.engine();
    for (const id of ['r.root', 'a', 'b']) expect(await store.runOf(id)).toBe('r');
    await create('s', ['c'], false);
    expect(await store.runOf('c')).toBeUndefined();
  });

  test('a node id that another run has refuses the command, and nothing of it is recorded', async () => {
    await create('r', ['a']);
    await expect(create('s', ['x', 'a'])).rejects.toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      details: { job_id: 's', alias: 'a' },
    });
    expect(await engine.store.head('s')).toBeUndefined();
    await create('s', ['x']);
    await expect(engine.execute('s', add('s', 'y', 'a'))).rejects.toMatchObject({ details: { alias: 'a' } });
    await engine.execute('s', add('s', 'y'));
    expect(await engine.store.runOf('y')).toBe('s');
    await verifyChain(engine.store, 's');
  });

  test('what was decided at the same time is not refused with it', async () => {
    await create('r', ['a']);
    await create('s');
    const note = (name: string): Promise<unknown> =>
      engine.execute('s', { type: 'record', name, data: null });
    const results = await Promise.allSettled([
      note('before'),
      engine.execute('s', add('s', 'a')),
      note('after'),
      engine.execute('s', add('s', 'z')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    const said = (await eventsOf(engine, 's')).map((event) =>
      event.type === 'fact_recorded' ? event.name : event.type,
    );
    expect(said).toEqual(['run_created', 'before', 'after', 'nodes_added']);
    expect(await engine.store.aliases('s')).toEqual(['s.root', 'z']);
    await verifyChain(engine.store, 's');
  });
});

describe('added again', () => {
  test('a settled node is left out too, whoever asks, and however often', async () => {
    await create('r', ['first']);
    await engine.execute('r', add('r', 'a', 'b'));
    await lab.run(lab.worker('w', { engine }), 2, true).ended;
    const there = lab.engine();
    expect([...(await there.state('r')).settled.keys()].toSorted()).toEqual(['a', 'b', 'first']);
    for (const one of [engine, there]) {
      const { events } = await one.execute('r', add('r', 'first', 'a', 'b'));
      expect(events).toEqual([]);
    }
    const { events } = await there.execute('r', add('r', 'a', 'c'));
    expect(events[0]?.event).toMatchObject({ type: 'nodes_added', nodes: [{ id: 'c' }] });
    await expect(
      there.execute('r', { ...add('r'), nodes: [step('a', { input: 'other' })] }),
    ).rejects.toMatchObject({ details: { node: 'a', differs: ['input'] } });
  });

  test('of many who add the same at once one does, and the limit holds (H17)', async () => {
    await engine.execute('r', {
      type: 'create',
      spec: specOf({
        root: { id: 'r.root', kind: 'composite' },
        constraints: { maxNodes: 4, maxRoundsPerNode: 2 },
      }),
    });
    const engines = [engine, lab.engine()];
    const commands = Array.from({ length: 12 }, (_, at) =>
      add('r', ...(at % 2 === 0 ? ['a', 'b'] : ['b', 'c'])),
    );
    const results = await Promise.allSettled(
      commands.map((command, at) => (engines[at % 2] as Engine).execute('r', command)),
    );
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([]);
    const { nodeCount, nodes } = await engine.state('r');
    expect(nodeCount).toBe(4);
    expect(nodes.get('r.root')?.rounds).toBe(2);
    await expect(engine.execute('r', add('r', 'd'))).rejects.toMatchObject({ code: 'E_CONSTRAINT_VIOLATED' });
  });
});
