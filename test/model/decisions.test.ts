/** Decisions and approvals: what waits, what does not, and what an approval is of (I8, contract wrkr §c). */
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/engine/system.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { DECISION, ofType, RunRig, step, steps } from './rig.ts';

const PROGRESS = { type: 'progress', summary: 'one more' } as const;
const ROOT = {
  id: 'root',
  kind: 'composite',
  drive: 'plan',
  before: { type: 'plan', summary: 'go' },
  after: { type: 'completed', summary: 'job completed' },
} as const;

/** Two steps with a decision between them, as far as it goes by itself. */
function atDecision(): RunRig {
  const [a, b] = steps(['a', 'b'], { after: PROGRESS });
  const rig = RunRig.of({
    root: ROOT,
    nodes: [
      a ?? step('a'),
      step('ask', { needs: ['a'], after: DECISION }),
      { ...(b ?? step('b')), needs: ['ask'] },
    ],
  });
  rig.claim();
  return rig.perform('a', 'ask');
}

describe('a decision between steps', () => {
  test('W1: holds the run after plan, progress, decision-needed', () => {
    const rig = atDecision();
    expect(rig.all('checkpoint_emitted').map(({ checkpoint }) => checkpoint)).toEqual([
      'plan',
      'progress',
      'decision-needed',
    ]);
    expect(rig.standing).toBe('held:decision');
    expect(rig.ready()).toEqual([]);
  });

  test('W2: approve and resume go on with the next step and complete; no step runs twice', () => {
    const rig = atDecision().crash();
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.standing).toBe('held:decision');
    rig.resume();
    expect(rig.ready()).toEqual(['b']);
    rig.perform('b');
    expect(rig.standing).toBe('succeeded');
    expect(rig.all('attempt_started').map(({ node }) => node)).toEqual(['a', 'ask', 'b']);
    expect(rig.all('checkpoint_emitted').at(-1)?.checkpoint).toBe('completed');
  });

  test('W3: a resume without the approval is refused, names the checkpoint and changes nothing', () => {
    const rig = atDecision().crash();
    const [open] = rig.open();
    const refusal = rig.refused({
      type: 'claim',
      node: 'root',
      claimant: { worker: 'w2', leaseId: 'l2', ttlMs: 1 },
      resume: { by: 'ann' },
    });
    expect(refusal).toMatchObject({
      code: 'E_CHECKPOINT_APPROVAL_REQUIRED',
      details: { checkpoint_id: `cp_${open}` },
    });
  });

  test('starting what comes after it is refused even while the run is running', () => {
    const nodes = [step('ask', { after: DECISION }), step('after', { needs: ['ask'] }), step('aside')];
    const rig = RunRig.plan(nodes);
    rig.claim();
    rig.perform('ask');
    expect(rig.standing).toBe('running');
    expect(rig.refused({ type: 'start', node: 'after', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
    rig.start('aside'); // it holds what depends on it, and nothing else
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.ready()).toEqual(['after']);
  });

  test("does not keep a lost worker's other steps from being recovered", () => {
    const rig = RunRig.plan([step('ask', { after: DECISION }), step('aside')]);
    rig.claim();
    rig.perform('ask').start('aside');
    rig.crash().claim();
    expect(rig.live('aside')).toBeDefined();
    rig.finish('aside');
    expect(rig.standing).toBe('held:decision');
  });

  test('with onApproval continue the last approval resumes the run', () => {
    const rig = RunRig.plan([step('ask', { after: DECISION }), step('b', { needs: ['ask'] })], {
      onApproval: 'continue',
    });
    rig.claim();
    rig.perform('ask');
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.standing).toBe('running');
    expect(rig.ready()).toEqual(['b']);
  });
});

describe('a decision at the last step', () => {
  test('holds the run, which completes once it is approved and resumed', () => {
    const rig = RunRig.of({ root: ROOT, nodes: [step('ask', { after: DECISION })] });
    rig.claim();
    rig.perform('ask');
    expect(rig.standing).toBe('held:decision');
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    expect(rig.standing).toBe('succeeded');
  });

  test('with onApproval continue the approval completes the run', () => {
    const rig = RunRig.plan([step('ask', { after: DECISION })], { onApproval: 'continue' });
    rig.claim();
    rig.perform('ask');
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.standing).toBe('succeeded');
  });

  test.each(['wait', 'continue'] as const)(
    'of a run that is one step: it ends only after the approval (%s)',
    (onApproval) => {
      const rig = RunRig.of({ root: step('only', { after: DECISION }), onApproval });
      rig.claim();
      rig.perform('only');
      expect(rig.standing).toBe('held:decision');
      rig.approve(rig.open()[0] ?? 0);
      if (onApproval === 'wait') rig.crash().resume();
      expect(rig.standing).toBe('succeeded');
    },
  );

  test('of an inner plan holds what needs that plan, and nothing else', () => {
    const rig = RunRig.plan([
      { id: 'inner', kind: 'composite', drive: 'plan' },
      step('after', { needs: ['inner'] }),
      { id: 'other', kind: 'composite', drive: 'plan' },
      step('free', { needs: ['other'] }),
    ]);
    rig.must({ type: 'add_nodes', parent: 'inner', nodes: [step('ask', { after: DECISION })] });
    rig.must({ type: 'add_nodes', parent: 'other', nodes: [step('o1')] });
    rig.claim();
    rig.perform('ask', 'o1');
    expect(rig.ready()).toEqual(['free']);
    expect(rig.standing).toBe('running');
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.ready()).toEqual(['after', 'free']);
  });

  test('of an external composite that ends first still holds what comes after (I8)', () => {
    const rig = RunRig.plan([{ id: 'ext', kind: 'composite' }, step('after', { needs: ['ext'] })]);
    rig.must({ type: 'add_nodes', parent: 'ext', nodes: [step('ask', { after: DECISION })] });
    rig.claim();
    rig.perform('ask');
    rig.must({ type: 'settle', node: 'ext', state: 'succeeded' });
    expect(rig.standing).toBe('held:decision');
    expect(rig.refused({ type: 'start', node: 'after', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    expect(rig.ready()).toEqual(['after']);
  });
});

test('a decision inside a composite whose own executor ends it first holds what comes after (I8)', () => {
  const rig = RunRig.plan([
    { id: 'ext', kind: 'composite', executor: 'x' },
    step('after', { needs: ['ext'] }),
  ]);
  rig.must({ type: 'add_nodes', parent: 'ext', nodes: [step('ask', { after: DECISION })] });
  rig.claim();
  rig.start('ext');
  rig.perform('ask');
  expect(rig.standing).toBe('running');
  rig.finish('ext');
  expect(rig.standing).toBe('held:decision');
});

describe('approval before a start', () => {
  test('a missing one becomes a decision that binds the arguments, and the run is held', () => {
    const rig = RunRig.plan([step('deploy', { approval: 'before', input: { to: 'production' } })]);
    rig.claim();
    const [asked] = ofType(rig.start('deploy'), 'checkpoint_emitted');
    expect(asked).toMatchObject({ checkpoint: 'decision-needed', node: 'deploy', blocks: 'node' });
    expect(asked?.binds).toBe(
      sha256(canonicalJson({ executor: 'x', id: 'deploy', input: { to: 'production' } })),
    );
    expect(rig.standing).toBe('held:decision');
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    expect(ofType(rig.start('deploy'), 'attempt_started')[0]?.argumentsHash).toBe(asked?.binds);
  });

  test('of something else than was reviewed is refused', () => {
    const rig = RunRig.plan([step('deploy', { approval: 'before' })]);
    rig.claim();
    rig.start('deploy');
    const [open = 0] = rig.open();
    expect(
      rig.refused({ type: 'approve', checkpoint: open, by: 'ann', reason: 'ok', binds: 'other' }).code,
    ).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
    expect(rig.open()).toEqual([open]);
  });

  test('holds for a retry too: one approval is enough for the same arguments', () => {
    const rig = RunRig.plan([
      step('deploy', { approval: 'before', retry: { max: 1, backoffMs: 1, capMs: 1 } }),
    ]);
    rig.claim();
    rig.start('deploy');
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    rig.start('deploy');
    rig.fail('deploy');
    rig.after(10).start('deploy');
    expect(rig.all('checkpoint_emitted')).toHaveLength(1);
    expect(rig.live('deploy').attempt).toBe(2);
  });

  test('can be demanded for every node of a run', () => {
    const rig = RunRig.plan([step('a')], { constraints: { requireApproval: true } });
    rig.claim();
    expect(ofType(rig.start('a'), 'attempt_started')).toEqual([]);
    expect(rig.open()).toHaveLength(1);
  });

  test('does not stop the siblings of the node that waits', () => {
    const rig = RunRig.plan([step('deploy', { approval: 'before' }), step('b')]);
    rig.claim();
    rig.start('deploy');
    expect(rig.standing).toBe('running');
    expect(rig.refused({ type: 'start', node: 'deploy', epoch: 1 }).code).toBe(
      'E_CHECKPOINT_APPROVAL_REQUIRED',
    );
    rig.perform('b');
    expect(rig.standing).toBe('held:decision');
  });
});

describe('approvals', () => {
  test('W25: a decision with a 2,100 byte summary is cut to fit and still needs its approval', () => {
    const rig = RunRig.plan([
      step('ask', { after: { ...DECISION, summary: 'ä'.repeat(1050) } }),
      step('b', { needs: ['ask'] }),
    ]);
    rig.claim();
    rig.perform('ask');
    const [decision] = rig.all('checkpoint_emitted');
    expect(new TextEncoder().encode(decision?.summary).length).toBe(2000);
    rig.crash();
    expect(
      rig.refused({
        type: 'claim',
        node: 'root',
        claimant: { worker: 'w', leaseId: 'l', ttlMs: 1 },
        resume: { by: 'ann' },
      }).code,
    ).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
  });

  test('W26: of two open decisions approving the newer is not enough', () => {
    const rig = RunRig.plan([step('one', { after: DECISION }), step('two', { after: DECISION })]);
    rig.claim();
    rig.perform('one', 'two');
    const [older = 0, newer = 0] = rig.open();
    rig.approve(newer);
    rig.crash();
    const refusal = rig.refused({
      type: 'claim',
      node: 'root',
      claimant: { worker: 'w', leaseId: 'l', ttlMs: 1 },
      resume: { by: 'ann' },
    });
    expect(refusal.details).toEqual({ checkpoint_id: `cp_${older}` });
    rig.approve(older);
    rig.resume();
    expect(rig.standing).toBe('succeeded');
  });

  test('W27: approving twice succeeds twice, and both are on record', () => {
    const rig = atDecision();
    const [open = 0] = rig.open();
    rig.approve(open);
    rig.approve(open, { by: 'bob' });
    expect(rig.all('approval_recorded').map(({ by }) => by)).toEqual(['ann', 'bob']);
    expect(rig.state.openDecisions).toBe(0);
  });

  test('W28: approving progress, an unknown checkpoint, or with a blank reason is refused', () => {
    const rig = atDecision();
    const progress =
      rig.events.find(({ event }) => event.type === 'checkpoint_emitted' && event.checkpoint === 'progress')
        ?.seq ?? 0;
    for (const [checkpoint, reason] of [
      [progress, 'ok'],
      [999, 'ok'],
      [rig.open()[0] ?? 0, ' \t'],
    ] as const) {
      expect(rig.refused({ type: 'approve', checkpoint, by: 'ann', reason }).code).toBe(
        'E_INVALID_INPUT_SCHEMA',
      );
    }
  });

  test('are possible in any status, also when the run is over', () => {
    const rig = atDecision();
    const [open = 0] = rig.open();
    rig.must({ type: 'cancel', by: 'ann' });
    rig.approve(open);
    expect(rig.standing).toBe('canceled');
  });

  test('W29: name who approved', () => {
    const rig = atDecision();
    rig.approve(rig.open()[0] ?? 0, { by: 'carol', reason: '  seen  ' });
    expect(rig.all('approval_recorded')[0]).toMatchObject({ by: 'carol', reason: 'seen' });
  });
});
