/** What may be said of a node before it starts, and what its failures mean for its retries. */
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/model/canonical.ts';
import { sha256 } from '../../src/engine/system.ts';
import { claimant, RunRig, step } from './rig.ts';

const ASK = { summary: 'may it deploy?', instructions: 'look at the arguments' } as const;
const FACTS = [{ name: 'policy', node: 'a', data: { decision: 'deny' } }];

describe('reject', () => {
  test('settles the node as failed without an attempt; the facts come first, in the same act', () => {
    const rig = RunRig.plan([step('a'), step('b', { needs: ['a'] })]);
    rig.claim();
    const error = { code: 'policy_denied', message: 'not today' };
    const events = rig.must({ type: 'reject', node: 'a', epoch: 1, error, facts: FACTS });
    expect(events).toMatchObject([
      { type: 'fact_recorded', name: 'policy' },
      { type: 'node_settled', node: 'a', state: 'failed', error },
      { type: 'node_settled', node: 'root', state: 'failed' },
      { type: 'phase_changed', to: { phase: 'failed' } },
    ]);
    expect(rig.state.used.steps).toBe(0);
  });

  test('I4: only under the lease, and only what could start', () => {
    const rig = RunRig.plan([step('a'), step('b', { needs: ['a'] })]);
    rig.claim();
    const error = { code: 'x', message: 'no' };
    expect(rig.refused({ type: 'reject', node: 'a', epoch: 0, error }).code).toBe('E_LEASE_CONFLICT');
    expect(rig.refused({ type: 'reject', node: 'b', epoch: 1, error }).code).toBe(
      'E_INVALID_STATE_TRANSITION',
    );
    rig.start('a');
    expect(rig.refused({ type: 'reject', node: 'a', epoch: 1, error }).code).toBe(
      'E_INVALID_STATE_TRANSITION',
    );
    rig.must({ type: 'pause', by: 'ann' });
    rig.finish('a');
    expect(rig.refused({ type: 'reject', node: 'b', epoch: 1, error }).code).toBe(
      'E_INVALID_STATE_TRANSITION',
    );
  });
});

describe('ask', () => {
  test('I8: gates exactly this node, binds its arguments, and its approval offers it again', () => {
    const rig = RunRig.of({ root: { id: 'root', kind: 'composite' }, nodes: [step('a'), step('b')] });
    rig.claim();
    rig.must({ type: 'claim', node: 'a', claimant: claimant() });
    const [, asked] = rig.must({ type: 'ask', node: 'a', epoch: 1, ...ASK, facts: FACTS });
    expect(asked).toMatchObject({
      checkpoint: 'decision-needed',
      blocks: 'node',
      node: 'a',
      binds: sha256(canonicalJson({ executor: 'x', id: 'a', input: { do: 'a' } })),
      requiredAction: { instructions: ASK.instructions },
    });
    expect(rig.ready()).toEqual(['b']);
    expect(rig.standing).toBe('running');
    expect(rig.refused({ type: 'start', node: 'a', epoch: 1 }).code).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
    expect(rig.refused({ type: 'ask', node: 'a', epoch: 1, ...ASK }).code).toBe(
      'E_CHECKPOINT_APPROVAL_REQUIRED',
    );
    rig.must({ type: 'release', node: 'a', epoch: 1, cause: 'released', seenMs: rig.nowMs });
    rig.approve(rig.open()[0] ?? 0);
    expect(rig.ready()).toEqual(['a', 'b']);
  });

  test('nobody is asked twice about the same', () => {
    const rig = RunRig.plan([step('a', { approval: 'before' })]);
    rig.claim();
    rig.must({ type: 'ask', node: 'a', epoch: 1, ...ASK });
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    expect(rig.must({ type: 'ask', node: 'a', epoch: rig.epochOf('a'), ...ASK })).toEqual([]);
    expect(rig.start('a')).toMatchObject([{ type: 'attempt_started' }]);
  });
});

test('facts of a start are on record before its intent', () => {
  const rig = RunRig.plan([step('a')]);
  rig.claim();
  const events = rig.must({ type: 'start', node: 'a', epoch: 1, facts: FACTS });
  expect(events.map(({ type }) => type)).toEqual(['fact_recorded', 'attempt_started']);
});

describe('onInterrupt: fail', () => {
  const more = { onInterrupt: 'fail', retry: { max: 5, backoffMs: 1, capMs: 1 } } as const;

  test('an outcome that cannot be known fails the node, and is never tried again', () => {
    const rig = RunRig.plan([step('a', more)]);
    rig.claim();
    rig.start('a');
    expect(rig.interrupt('a', 'unknown')[0]).toMatchObject({
      outcome: 'unknown',
      next: { state: 'failed' },
      error: { code: 'E_OUTCOME_UNKNOWN', message: 'its worker died' },
    });
    expect(rig.standing).toBe('failed');
  });

  test('so does being stopped in the middle; what surely never began starts again', () => {
    const stopped = RunRig.plan([step('a', more)]);
    stopped.claim();
    stopped.start('a');
    expect(stopped.finish('a', { outcome: 'canceled' })[0]).toMatchObject({
      next: { state: 'failed' },
      error: { code: 'E_OUTCOME_UNKNOWN' },
    });
    const rig = RunRig.plan([step('a', more)]);
    rig.claim();
    rig.start('a');
    rig.interrupt('a', 'not_started');
    expect(rig.ready()).toEqual(['a']);
  });

  test('in a canceled run it is canceled', () => {
    const rig = RunRig.plan([step('a', more)]);
    rig.claim();
    rig.start('a');
    const attempt = rig.ref('a');
    rig.must({ type: 'cancel', by: 'ann' });
    rig.must({ type: 'interrupt', ...attempt, found: 'unknown', reason: 'gone' });
    expect(rig.state.settled.get('a')?.state).toBe('canceled');
  });
});

test('retries only of what says that it is retryable', () => {
  const retry = { max: 2, backoffMs: 1, capMs: 1, only: 'retryable' } as const;
  const rig = RunRig.plan([step('a', { retry })]);
  rig.claim();
  rig.start('a');
  rig.finish('a', { outcome: 'failed', error: { code: 'x', message: 'busy', retryable: true } });
  expect(rig.ready()).toEqual(['a']);
  rig.after(10).start('a');
  rig.finish('a', { outcome: 'failed', error: { code: 'x', message: 'wrong', retryable: false } });
  expect(rig.standing).toBe('failed');
  const held = RunRig.plan([step('a', { retry, onFailure: 'hold' })]);
  held.claim();
  held.start('a');
  held.fail('a');
  expect(held.standing).toBe('held:error');
});
