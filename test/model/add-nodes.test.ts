/** Adding nodes again, several levels at once, and facts that come with a command. */
import { describe, expect, test } from 'vitest';
import type { Command } from '../../src/model/commands.ts';
import type { NodeSpec } from '../../src/model/node.ts';
import { decide } from '../../src/model/decide/index.ts';
import { sha256 } from '../../src/engine/system.ts';
import { claimant, RunRig, specOf, step } from './rig.ts';

const ROOT = { id: 'root', kind: 'composite' } as const;
const PLAN = { kind: 'composite', drive: 'plan' } as const;
const open = (more = {}): RunRig => {
  const rig = RunRig.of({ root: ROOT, ...more });
  rig.claim();
  return rig;
};
const add = (nodes: readonly NodeSpec[], more: Partial<Command> = {}) =>
  ({ type: 'add_nodes', parent: 'root', nodes, ...more }) as Extract<Command, { type: 'add_nodes' }>;

describe('again', () => {
  test('what is there with the same spec is left out, whatever its labels or the order of its fields', () => {
    const rig = open();
    const input = { b: 1, a: [2] };
    rig.must(add([step('a', { input, labels: { try: 1 } })]));
    const same = step('a', { input: { a: [2], b: 1 }, labels: { try: 2 } });
    expect(rig.must(add([same]))).toEqual([]);
    expect(rig.must(add([same, step('b', { needs: ['a'] })]))).toMatchObject([
      { type: 'nodes_added', nodes: [{ id: 'b' }] },
    ]);
    expect(rig.state.nodes.get('root')).toMatchObject({ children: 2, rounds: 2 });
  });

  test('another spec under the same id refuses all of it, and says what differs', () => {
    const rig = open();
    rig.must(add([step('a')]));
    expect(rig.refused(add([step('b'), step('a', { input: 'other', type: 't' })]))).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      details: { node: 'a', differs: ['input', 'type'] },
    });
    expect(rig.state.nodes.has('b')).toBe(false);
  });

  test('so does the same node under another parent', () => {
    const rig = open();
    rig.must(add([step('a'), { ...ROOT, id: 'c' }]));
    expect(rig.refused(add([step('a')], { parent: 'c' })).details).toMatchObject({
      differs: ['parent'],
    });
    expect(rig.refused(add([ROOT])).details).toMatchObject({ differs: ['parent'] });
  });

  test('twice in one command is once; two specs of one id are refused', () => {
    const rig = open();
    expect(rig.must(add([step('a'), step('a', { labels: { x: 1 } })]))).toMatchObject([
      { nodes: [{ id: 'a' }] },
    ]);
    expect(rig.refused(add([step('b'), step('b', { key: 'k' })])).details).toMatchObject({
      node: 'b',
      differs: ['key'],
    });
  });

  test('limits count what is new, and rounds only if anything is', () => {
    const rig = open({ constraints: { maxNodes: 3, maxChildrenPerNode: 2, maxRoundsPerNode: 1 } });
    const both = [step('a'), step('b')];
    rig.must(add(both));
    for (let times = 0; times < 3; times += 1) expect(rig.must(add(both))).toEqual([]);
    expect(rig.refused(add([...both, step('c')])).details).toMatchObject({
      constraint: 'max_children_per_node',
    });
  });

  test('of a settled node the engine says what it was; without that it is in use', () => {
    const rig = open();
    rig.must(add([step('a')]));
    rig.must({ type: 'start', node: 'a', epoch: 0, claimant: claimant() });
    rig.finish('a');
    expect(rig.refused(add([step('a')])).message).toContain('twice');
    const ctx = { nowMs: rig.nowMs, sha256, random: () => 0 };
    const settledNodes = new Map([['a', { parent: 'root', spec: step('a') }]]);
    expect(decide(rig.state, add([step('a')]), { ...ctx, settledNodes })).toEqual({ ok: true, events: [] });
    expect(decide(rig.state, add([step('a', { key: 'k' })]), { ...ctx, settledNodes })).toMatchObject({
      ok: false,
      refusal: { details: { differs: ['key'] } },
    });
  });
});

test('a parent that takes no children says why', () => {
  const rig = open();
  rig.must(add([step('a'), { ...ROOT, id: 'c' }]));
  rig.must({ type: 'settle', node: 'c', state: 'succeeded' });
  const reason = (parent: string): unknown => rig.refused(add([step('x')], { parent })).details?.['reason'];
  expect([reason('c'), reason('a'), reason('nobody')]).toEqual([
    'parent_terminal',
    'parent_atomic',
    'parent_unknown',
  ]);
  rig.must({ type: 'settle', node: 'root', state: 'succeeded' });
  expect([reason('c'), reason('root')]).toEqual(['run_terminal', 'run_terminal']);
});

describe('several levels', () => {
  test('a plan comes with its children, so that nobody finds it empty', () => {
    const rig = open();
    const below = [
      { parent: 'p', nodes: [step('x'), { ...PLAN, id: 'q', needs: ['x'] }] },
      { parent: 'q', nodes: [step('y')] },
    ];
    const plan = { ...PLAN, id: 'p' };
    rig.must(add([plan], { below }));
    rig.must({ type: 'claim', node: 'p', claimant: claimant('w2') });
    rig.perform('x', 'y');
    expect(rig.state.settled.get('p')?.state).toBe('succeeded');
    expect(rig.refused(add([{ ...plan, maxParallel: 2 }], { below })).code).toBe('E_INVALID_INPUT_SCHEMA');
  });

  test('all or nothing', () => {
    const rig = open({ constraints: { maxDepth: 2 } });
    const below = [
      { parent: 'p', nodes: [{ ...PLAN, id: 'q' }] },
      { parent: 'q', nodes: [step('y')] },
    ];
    expect(rig.refused(add([{ ...PLAN, id: 'p' }], { below })).code).toBe('E_CONSTRAINT_VIOLATED');
    expect(rig.state.nodeCount).toBe(1);
  });

  test('also when the run is created', () => {
    const rig = new RunRig();
    rig.must({
      type: 'create',
      spec: specOf({ root: { ...PLAN, id: 'root' }, nodes: [{ ...PLAN, id: 'p' }] }),
      below: [{ parent: 'p', nodes: [step('x')] }],
    });
    rig.claim();
    rig.perform('x');
    expect(rig.standing).toBe('succeeded');
  });
});

describe('facts', () => {
  const fact = (node?: string) => ({ name: 'policy', data: 1, ...(node === undefined ? {} : { node }) });

  test('come with a creation, in order', () => {
    const rig = new RunRig();
    const spec = specOf({ root: { ...PLAN, id: 'root' }, nodes: [step('a')] });
    expect(rig.must({ type: 'create', spec, facts: [fact(), fact('root')] })).toMatchObject([
      { type: 'run_created' },
      { type: 'fact_recorded', name: 'policy', data: 1 },
      { type: 'fact_recorded', node: 'root' },
    ]);
  });

  test('a denied run is created and has failed in one act', () => {
    for (const root of [{ ...PLAN, id: 'root' }, ROOT, step('root')]) {
      const rig = new RunRig();
      const denied = { code: 'policy_denied', message: 'no' };
      const events = rig.must({ type: 'create', spec: specOf({ root }), facts: [fact()], denied });
      expect(events.map(({ type }) => type)).toEqual([
        'run_created',
        'fact_recorded',
        'phase_changed',
        'node_settled',
        'phase_changed',
      ]);
      expect(rig.standing).toBe('failed');
      expect(rig.all('node_settled')[0]).toMatchObject({ node: 'root', error: denied });
    }
  });

  test('come with added nodes; those about nodes that were left out do not', () => {
    const rig = open();
    rig.must(add([step('a')], { facts: [fact('a')] }));
    expect(rig.must(add([step('a')], { facts: [fact('a'), fact()] }))).toEqual([]);
    const facts = [fact('a'), fact('b'), fact('root')];
    expect(rig.must(add([step('a'), step('b')], { facts })).slice(1)).toMatchObject([
      { node: 'b' },
      { node: 'root' },
    ]);
  });

  test('I6: recorded about a run that is over, they change nothing of it', () => {
    const rig = open();
    rig.must({ type: 'settle', node: 'root', state: 'succeeded' });
    const before = structuredClone({ used: rig.state.used, standing: rig.state.standing });
    rig.after(1000).must({ type: 'record', ...fact('root') });
    expect({ used: rig.state.used, standing: rig.state.standing }).toEqual(before);
    expect([...rig.state.nodes.keys()]).toEqual([]);
  });
});
