/** What a run's tree may be: constraints, needs, composites; and runs taken over from another implementation. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  mergeConstraints,
  nodeRefused,
  SIDE_EFFECTS,
  type Constraints,
} from '../../src/model/constraints.ts';
import type { ImportedState } from '../../src/model/events.ts';
import type { NodeSpec } from '../../src/model/node.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/model/snapshot.ts';
import { claimant, DECISION, fold, ofType, RunRig, specOf, step, steps, T0 } from './rig.ts';

const EXTERNAL = { id: 'root', kind: 'composite' } as const;
const PLAN = { id: 'root', kind: 'composite', drive: 'plan' } as const;

describe('constraints', () => {
  test.each<[string, Constraints, number, string]>([
    ['max_depth', { maxDepth: 0 }, 1, 'root'],
    ['max_children_per_node', { maxChildrenPerNode: 2 }, 3, 'root'],
    ['max_nodes', { maxNodes: 3 }, 3, 'root'],
    ['max_rounds_per_node', { maxRoundsPerNode: 0 }, 1, 'root'],
  ])(
    '%s refuses what exceeds it, when added and from the start',
    (constraint, constraints, count, parent) => {
      const nodes = Array.from({ length: count }, (_, at) => step(`n${at}`));
      const rig = RunRig.of({ root: EXTERNAL, constraints });
      expect(rig.refused({ type: 'add_nodes', parent, nodes })).toMatchObject({
        code: 'E_CONSTRAINT_VIOLATED',
        details: { constraint },
      });
      const created = new RunRig().refused({
        type: 'create',
        spec: specOf({ root: PLAN, nodes, constraints }),
      });
      expect(created).toMatchObject({ code: 'E_CONSTRAINT_VIOLATED', details: { constraint } });
    },
  );

  test('exactly at the limits is allowed; settled nodes count', () => {
    const rig = RunRig.of({
      root: EXTERNAL,
      constraints: { maxDepth: 1, maxChildrenPerNode: 2, maxNodes: 3, maxRoundsPerNode: 2 },
    });
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('a')] });
    rig.claim();
    rig.must({ type: 'start', node: 'a', epoch: 0, claimant: claimant() });
    rig.finish('a');
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('b')] });
    expect(rig.refused({ type: 'add_nodes', parent: 'root', nodes: [step('c')] }).code).toBe(
      'E_CONSTRAINT_VIOLATED',
    );
  });

  test('types and side effects are refused for every node, the root too', () => {
    const constraints: Constraints = { allowedTypes: ['t'], deniedTypes: ['u'], sideEffectCeiling: 'read' };
    const node = (more: Partial<NodeSpec>): NodeSpec => step('n', { type: 't', sideEffect: 'read', ...more });
    for (const bad of [
      node({ type: 'u' }),
      step('n', { sideEffect: 'read' }),
      node({ sideEffect: 'write' }),
    ]) {
      expect(new RunRig().refused({ type: 'create', spec: specOf({ root: bad, constraints }) }).code).toBe(
        'E_CONSTRAINT_VIOLATED',
      );
    }
    const { sideEffect: _, ...undeclared } = node({});
    expect(nodeRefused(constraints, undeclared)).toContain('write'); // undeclared counts as writing
    RunRig.of({ root: node({}), constraints });
    expect(nodeRefused({ allowedTypes: [] }, {})).toBeDefined();
  });

  const names = fc.uniqueArray(fc.constantFrom('', 'a', 'b', 'c'));
  const envelope: fc.Arbitrary<Constraints> = fc.record(
    {
      maxDepth: fc.nat(5),
      maxChildrenPerNode: fc.nat(5),
      maxNodes: fc.nat(5),
      maxRoundsPerNode: fc.nat(5),
      sideEffectCeiling: fc.constantFrom(...SIDE_EFFECTS),
      requireApproval: fc.boolean(),
      allowedTypes: names,
      deniedTypes: names,
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  test('merged never loosen either envelope', () => {
    fc.assert(
      fc.property(
        envelope,
        envelope,
        fc.constantFrom('', 'a', 'b', 'c'),
        fc.constantFrom(undefined, ...SIDE_EFFECTS),
        (a, b, type, effect) => {
          const merged = mergeConstraints(a, b);
          const node = { type, ...(effect === undefined ? {} : { sideEffect: effect }) };
          const refusedByOne = nodeRefused(a, node) !== undefined || nodeRefused(b, node) !== undefined;
          expect(nodeRefused(merged, node) !== undefined).toBe(refusedByOne);
          for (const key of ['maxDepth', 'maxChildrenPerNode', 'maxNodes', 'maxRoundsPerNode'] as const) {
            expect(merged[key] ?? Number.POSITIVE_INFINITY).toBe(
              Math.min(a[key] ?? Number.POSITIVE_INFINITY, b[key] ?? Number.POSITIVE_INFINITY),
            );
          }
          expect(merged.requireApproval ?? false).toBe(
            a.requireApproval === true || b.requireApproval === true,
          );
        },
      ),
    );
  });
});

describe('nodes that are refused', () => {
  const create = (nodes: readonly NodeSpec[]): string =>
    new RunRig().refused({ type: 'create', spec: specOf({ root: PLAN, nodes }) }).message;

  test('needs in a circle, of itself, or of what does not exist', () => {
    expect(create([step('a', { needs: ['b'] }), step('b', { needs: ['a'] }), step('c')])).toContain(
      'circle: a, b',
    );
    expect(create([step('a', { needs: ['a'] })])).toContain('circle');
    expect(create([step('a', { needs: ['nobody'] })])).toContain("'nobody'");
    expect(create([step('a', { needs: ['root'] })])).toContain("'root'");
  });

  test('needs of anything but a sibling: it could be waiting for the parent', () => {
    const rig = RunRig.plan([{ id: 'p', kind: 'composite', drive: 'plan' }, step('b', { needs: ['p'] })]);
    for (const need of ['b', 'p', 'root']) {
      const refusal = rig.refused({
        type: 'add_nodes',
        parent: 'p',
        nodes: [step('inside', { needs: [need] })],
      });
      expect(refusal.code).toBe('E_INVALID_INPUT_SCHEMA');
    }
  });

  test('needs of what has failed', () => {
    const rig = RunRig.of({ root: EXTERNAL, nodes: [step('a')] });
    rig.claim();
    rig.must({ type: 'start', node: 'a', epoch: 0, claimant: claimant() });
    rig.fail('a');
    expect(
      rig.refused({ type: 'add_nodes', parent: 'root', nodes: [step('b', { needs: ['a'] })] }).code,
    ).toBe('E_INVALID_INPUT_SCHEMA');
  });

  test('ids used twice, empty or too long; an atomic node with a drive; decisions that say too little or come first', () => {
    expect(create([step('a'), step('a')])).toContain('twice');
    expect(create([step('root')])).toContain('twice');
    expect(create([step('')])).toContain('characters');
    expect(create([step('x'.repeat(201))])).toContain('characters');
    expect(create([step('a', { drive: 'plan' })])).toContain('drive');
    expect(create([step('a', { after: { type: 'decision-needed', summary: 'x' } })])).toContain('action');
    expect(create([step('a', { before: DECISION })])).toContain('approval');
    expect(create([{ ...PLAN, id: 'p', approval: 'before' }])).toContain('no attempts');
    expect(create([{ ...EXTERNAL, id: 'x', approval: 'before' }])).toContain('no attempts');
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    rig.start('a');
    expect(
      rig.refused({ type: 'add_nodes', parent: 'root', nodes: [step('a', { key: 'k' })] }),
    ).toMatchObject({
      message: expect.stringContaining('twice') as string,
      details: { node: 'a', differs: ['key'] },
    });
    expect(rig.refused({ type: 'add_nodes', parent: 'a', nodes: [step('b')] }).code).toBe(
      'E_INVALID_STATE_TRANSITION',
    );
  });
});

describe('composites', () => {
  test('a plan starts its children by their needs, whatever their order', () => {
    const rig = RunRig.plan([step('c', { needs: ['a', 'b'] }), step('a'), step('b', { needs: ['a'] })]);
    rig.claim();
    expect(rig.ready()).toEqual(['a']);
    rig.perform('a');
    expect(rig.ready()).toEqual(['b']);
    rig.perform('b');
    expect(rig.ready()).toEqual(['c']);
  });

  test('I8: children of an inner composite wait with it, planned or external', () => {
    for (const inner of [
      { ...PLAN, id: 'in', needs: ['a'] },
      { ...EXTERNAL, id: 'in', needs: ['a'] },
    ]) {
      const rig = RunRig.plan([step('a', { after: DECISION }), inner]);
      rig.must({ type: 'add_nodes', parent: 'in', nodes: steps(['x', 'y']) });
      rig.claim();
      expect(rig.ready()).toEqual(['a']);
      rig.perform('a');
      expect(rig.ready()).toEqual([]);
      rig.approve(rig.open()[0] ?? 0);
      expect(rig.ready()).toEqual(['x']);
      expect([...rig.state.open.keys()]).toEqual('drive' in inner ? [] : ['in']);
    }
  });

  test('inner plans end independently of what runs beside them', () => {
    const rig = RunRig.plan([{ ...PLAN, id: 'p' }, { ...PLAN, id: 'q' }, step('after', { needs: ['p'] })]);
    rig.must({ type: 'add_nodes', parent: 'p', nodes: [step('p1')] });
    rig.must({ type: 'add_nodes', parent: 'q', nodes: [step('q1')] });
    rig.claim();
    rig.start('q1');
    rig.perform('p1');
    expect(rig.ready()).toEqual(['after']);
    rig.finish('q1');
    rig.perform('after');
    expect(rig.standing).toBe('succeeded');
  });

  test('an empty plan is done as soon as it may start', () => {
    const rig = RunRig.plan([
      step('a'),
      { ...PLAN, id: 'empty', needs: ['a'] },
      step('b', { needs: ['empty'] }),
    ]);
    rig.claim();
    rig.perform('a', 'b');
    expect(rig.standing).toBe('succeeded');
    expect(RunRig.plan([]).claim().at(-1)).toMatchObject({
      type: 'phase_changed',
      to: { phase: 'succeeded' },
    });
  });

  test('a plan below an external composite may be filled until it is claimed', () => {
    const rig = RunRig.of({ root: EXTERNAL });
    rig.claim();
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [{ ...PLAN, id: 'p' }] });
    rig.must({ type: 'add_nodes', parent: 'p', nodes: [step('x')] });
    rig.must({ type: 'claim', node: 'p', claimant: claimant('w2') });
    rig.perform('x');
    expect(rig.state.settled.get('p')?.state).toBe('succeeded');
    expect(rig.standing).toBe('running');
  });

  test('a failure inside fails the plans above it and the run', () => {
    const rig = RunRig.plan([{ ...PLAN, id: 'p' }, step('b', { needs: ['p'] })]);
    rig.must({ type: 'add_nodes', parent: 'p', nodes: [step('x'), step('y')] });
    rig.claim();
    rig.start('x');
    rig.fail('x');
    expect(rig.all('node_settled')).toMatchObject([
      { node: 'p', state: 'failed' },
      { node: 'root', state: 'failed' },
    ]);
    expect(rig.standing).toBe('failed');
    expect(rig.state.settled.get('y')?.state).toBe('canceled');
  });

  test('an external composite is settled from outside; what is below it is canceled', () => {
    const rig = RunRig.of({
      root: EXTERNAL,
      nodes: [step('a'), step('b', { after: DECISION, onFailure: 'hold' })],
    });
    rig.claim();
    rig.must({ type: 'start', node: 'b', epoch: 0, claimant: claimant() });
    rig.must({ type: 'settle', node: 'root', state: 'succeeded', outputs: { ok: true } });
    expect(rig.standing).toBe('succeeded');
    expect(rig.state.settled.get('a')?.state).toBe('canceled');
    expect([...rig.state.live.keys()]).toEqual(['b']);
  });

  test('a leftover in a run that goes on opens no decision and holds nothing, however it ends', () => {
    for (const outcome of ['succeeded', 'failed'] as const) {
      const rig = RunRig.plan([{ ...EXTERNAL, id: 'ext' }, step('last', { needs: ['ext'] })]);
      rig.must({
        type: 'add_nodes',
        parent: 'ext',
        nodes: [step('b', { after: DECISION, onFailure: 'hold', key: 'k' })],
      });
      rig.claim();
      rig.start('b');
      rig.must({ type: 'settle', node: 'ext', state: 'succeeded' });
      expect(
        rig
          .must({ type: 'finish', node: 'b', attempt: 1, epoch: 1, outcome, usage: {} })
          .map(({ type }) => type),
      ).toEqual(['attempt_ended']);
      rig.perform('last');
      expect(rig.standing).toBe('succeeded');
    }
  });

  test('a held run is not ended from outside, only canceled', () => {
    const rig = RunRig.of({ root: EXTERNAL });
    rig.claim();
    rig.must({ type: 'pause', by: 'ann' });
    expect(rig.refused({ type: 'settle', node: 'root', state: 'succeeded' }).code).toBe(
      'E_INVALID_STATE_TRANSITION',
    );
    rig.must({ type: 'settle', node: 'root', state: 'canceled' });
    expect(rig.standing).toBe('canceled');
  });
});

describe('an imported run', () => {
  const nodes = [step('a'), step('ask', { needs: ['a'], after: DECISION }), step('b', { needs: ['ask'] })];
  const lines = [
    { seq: 1, type: 'job_initialized' },
    { seq: 2, type: 'checkpoint_emitted' },
  ];
  function imported(more: Partial<ImportedState>): RunRig {
    const rig = new RunRig();
    rig.must({
      type: 'import',
      lines,
      timesMs: [T0 - 20, T0 - 10],
      spec: specOf({ root: PLAN, nodes }),
      state: {
        standing: { phase: 'running' },
        usage: { wallMs: 7, steps: 2, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 },
        startedAtMs: T0 - 20,
        succeeded: ['a'],
        interrupted: [],
        decisions: [],
        reasonCodes: ['X'],
        ...more,
      },
    });
    return rig;
  }

  test('keeps the lines word for word, with their times, and goes on where it stood', () => {
    const rig = imported({ interrupted: ['ask'] });
    expect(rig.events.map(({ atMs }) => atMs)).toEqual([T0 - 20, T0 - 10, T0 - 10]);
    expect(rig.all('line_imported').map(({ line }) => line)).toEqual(lines);
    rig.claim();
    expect(rig.ready()).toEqual(['ask']);
    rig.perform('ask');
    expect(rig.state.used).toMatchObject({ wallMs: 7, steps: 3, retries: 1 });
  });

  test('with an open decision needs its approval, and with an approved one goes on', () => {
    const open = imported({
      standing: { phase: 'held', hold: 'decision' },
      succeeded: ['a', 'ask'],
      decisions: [{ checkpoint: 2, approved: false, node: 'ask' }],
    });
    expect(
      open.refused({ type: 'claim', node: 'root', claimant: claimant(), resume: { by: 'ann' } }).code,
    ).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
    open.approve(2);
    const approved = imported({
      standing: { phase: 'held', hold: 'decision' },
      succeeded: ['a', 'ask'],
      decisions: [{ checkpoint: 2, approved: true, node: 'ask' }],
    });
    for (const rig of [open, approved]) {
      rig.resume();
      expect(rig.ready()).toEqual(['b']);
      rig.perform('b');
      expect(rig.standing).toBe('succeeded');
    }
  });

  test('that was over stays so, and its root reads as it does', () => {
    for (const phase of ['succeeded', 'canceled'] as const) {
      const rig = imported({
        standing: { phase },
        succeeded: phase === 'succeeded' ? ['a', 'ask', 'b'] : ['a'],
      });
      expect(rig.standing).toBe(phase);
      expect(rig.state.settled.get('root')?.state).toBe(phase);
      expect(rig.refused({ type: 'claim', node: 'root', claimant: claimant() }).code).toBe(
        'E_INVALID_STATE_TRANSITION',
      );
    }
  });

  test('I3: folds and decodes to the same state', () => {
    const rig = imported({ interrupted: ['ask'] });
    expect(encodeSnapshot(fold('run-1', rig.events))).toBe(encodeSnapshot(rig.state));
    expect(decodeSnapshot(encodeSnapshot(rig.state))).toEqual({ ...rig.state, fresh: [] });
  });
});

test('I3: a snapshot that cannot be read, or of another format, is no snapshot', () => {
  for (const text of ['', '{"format":0}', '{"format":1', 'null'] as const)
    expect(decodeSnapshot(text)).toBeUndefined();
});

test('I5: the effect key is safe in a file name, whatever the run is called, and differs for each attempt', () => {
  const rig = RunRig.plan(steps(['a']));
  Object.assign(rig.state, { id: '../../etc' });
  rig.claim();
  const [first] = ofType(rig.start('a'), 'attempt_started');
  rig.interrupt('a', 'not_started');
  const [second] = ofType(rig.start('a'), 'attempt_started');
  for (const started of [first, second]) expect(started?.effectKey).toMatch(/^[A-Za-z0-9._-]{1,200}$/);
  expect(first?.effectKey).not.toContain('..');
  expect(first?.effectKey).not.toBe(second?.effectKey);
});
