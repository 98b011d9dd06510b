/** Runs that begin at once, limits of a command, and nodes whose end is reported from outside, whatever they do. */
import { describe, expect, test } from 'vitest';
import { usageAt } from '../../src/model/state.ts';
import { DECISION, claimant, RunRig, specOf, step } from './rig.ts';

const ROOT = { id: 'root', kind: 'composite', executor: 'x' } as const;

function begun(root = {}, more = {}): RunRig {
  const rig = new RunRig();
  rig.must({ type: 'create', spec: specOf({ root: { ...ROOT, ...root }, ...more }), begin: true });
  return rig;
}
const report = (rig: RunRig, node: string, state: 'succeeded' | 'failed' | 'canceled' = 'succeeded') =>
  rig.must({ type: 'settle', node, state, regardless: true, outputs: { by: 'report' } });
const types = (rig: RunRig): string[] => rig.events.map(({ event }) => event.type);

test('a run can begin with its creation: its time counts, and its nodes are free', () => {
  const rig = begun();
  rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('a')] });
  expect(types(rig)).toEqual(['run_created', 'phase_changed', 'nodes_added']);
  expect(rig.ready()).toEqual(['a', 'root']);
  expect(usageAt(rig.state, rig.after(500).nowMs).wallMs).toBe(500);
  rig.must({ type: 'start', node: 'a', epoch: 1, claimant: claimant() });
  rig.claim();
  expect(rig.standing).toBe('running');
});

test('nodes are added within the limits of the command, beside those of the run', () => {
  const rig = begun({}, { constraints: { maxChildrenPerNode: 3 } });
  const add = (ids: readonly string[], maxChildrenPerNode: number) =>
    ({
      type: 'add_nodes',
      parent: 'root',
      nodes: ids.map((id) => step(id)),
      constraints: { maxChildrenPerNode },
    }) as const;
  expect(rig.refused(add(['a', 'b'], 1)).details).toMatchObject({
    constraint: 'max_children_per_node',
    limit: 1,
  });
  expect(rig.refused(add(['a', 'b', 'c', 'd'], 9)).details).toMatchObject({ limit: 3 });
  rig.must(add(['a', 'b'], 2));
  rig.must(add(['a', 'b'], 1)); // nothing is new
});

describe('an end that is reported', () => {
  test('of a node that nobody has begun, atomic or composite', () => {
    const rig = begun();
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('a'), step('b', { needs: ['a'] })] });
    expect(report(rig, 'b', 'failed')).toMatchObject([{ type: 'node_settled', node: 'b', state: 'failed' }]);
    expect(report(rig, 'root')).toMatchObject([
      { type: 'node_settled', node: 'root', outputs: { by: 'report' } },
      { type: 'phase_changed', to: { phase: 'succeeded' } },
    ]);
  });

  test('ends an attempt under way: one event, its lease is gone, and its worker comes too late', () => {
    const rig = begun({ kind: 'atomic' }, { limits: { steps: 5 } });
    rig.claim();
    rig.start('root');
    const late = rig.ref('root');
    expect(report(rig, 'root')).toMatchObject([
      { type: 'attempt_ended', outcome: 'succeeded', next: { state: 'succeeded' }, usage: { steps: 1 } },
      { type: 'phase_changed', to: { phase: 'succeeded' } },
    ]);
    expect(rig.state.live.size + rig.state.nodes.size).toBe(0);
    expect(rig.state.reserved.steps).toBe(0);
    expect(rig.refused({ type: 'finish', ...late, outcome: 'failed', usage: {} }).code).toBe(
      'E_LEASE_CONFLICT',
    );
  });

  test('of a claimed node turns its worker away before it starts', () => {
    const rig = begun({ kind: 'atomic' });
    rig.claim();
    const epoch = rig.epochOf('root');
    report(rig, 'root', 'canceled');
    expect(rig.standing).toBe('canceled');
    expect(rig.refused({ type: 'start', node: 'root', epoch }).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('of the root ends a run that is held, and one that has not begun', () => {
    const held = begun();
    held.must({ type: 'hold', hold: 'budget', summary: 'too much', reasonCodes: [] });
    report(held, 'root', 'failed');
    expect(held.standing).toBe('failed');
    const queued = RunRig.of({ root: ROOT });
    report(queued, 'root');
    expect(queued.standing).toBe('succeeded');
  });

  test('under way is followed by what the step has to say, like any success', () => {
    const rig = RunRig.of({
      root: { id: 'root', kind: 'composite', drive: 'plan' },
      nodes: [step('a', { after: DECISION, key: 'step:a' }), step('b', { needs: ['a'] }), step('c')],
    });
    rig.claim();
    rig.start('a');
    expect(report(rig, 'a').map(({ type }) => type)).toEqual([
      'attempt_ended',
      'checkpoint_emitted',
      'key_recorded',
    ]);
    expect(rig.ready()).toEqual(['c']);
    rig.perform('c');
    expect(rig.standing).toBe('held:decision');
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    rig.perform('b');
    expect(rig.standing).toBe('succeeded');
  });

  test('comes once: I6 what is over stays as it is', () => {
    const rig = begun();
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('a')] });
    report(rig, 'a');
    const again = { type: 'settle', node: 'a', state: 'failed', regardless: true } as const;
    expect(rig.refused(again).code).toBe('E_INVALID_STATE_TRANSITION');
    report(rig, 'root');
    expect(rig.refused({ ...again, node: 'root' }).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('is nobody else’s right: without the word for it a step is not settled', () => {
    const rig = begun();
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [step('a')] });
    expect(rig.refused({ type: 'settle', node: 'a', state: 'succeeded' }).message).toContain('not unknown');
  });
});
