/** Claiming and resuming, in the order of contract wrkr §c: lease, environment, gate, standing. */
import { describe, expect, test } from 'vitest';
import { claimant, DECISION, fingerprint, ofType, RunRig, specOf, step, steps } from './rig.ts';

function running(): RunRig {
  const rig = new RunRig();
  const root = { id: 'root', kind: 'composite', drive: 'plan' } as const;
  rig.must({
    type: 'create',
    spec: specOf({ root, nodes: [step('ask', { after: DECISION }), step('b', { needs: ['ask'] })] }),
    environment: fingerprint('here'),
  });
  rig.claim({ environment: fingerprint('here') });
  return rig;
}
const elsewhere = {
  type: 'claim',
  node: 'root',
  claimant: claimant('w2'),
  environment: fingerprint('there'),
} as const;

describe('the lease comes first', () => {
  test('W14: while one worker holds the run another claim is refused and names the holder', () => {
    const rig = running();
    expect(
      rig.refused({ type: 'claim', node: 'root', claimant: claimant('w2'), resume: { by: 'ann' } }),
    ).toMatchObject({
      code: 'E_LEASE_CONFLICT',
      details: { worker_id: 'w2', existing_worker_id: 'w1', existing_lease_id: 'lease-w1' },
    });
  });

  test('W24: a resume in the wrong environment leaves the run of a live worker alone', () => {
    const rig = running();
    expect(rig.refused({ ...elsewhere, resume: { by: 'ann' } }).code).toBe('E_LEASE_CONFLICT');
    expect(rig.standing).toBe('running');
  });

  test('without news of the lease it counts as live', () => {
    const rig = running();
    rig.lease = undefined;
    expect(rig.refused({ type: 'claim', node: 'root', claimant: claimant('w2') }).code).toBe(
      'E_LEASE_CONFLICT',
    );
  });

  test('an expired one is taken over under a new epoch; the old holder is refused', () => {
    const rig = running();
    rig.start('ask');
    const events = rig.crash().claim({ claimant: claimant('w2') });
    expect(events.map(({ type }) => type)).toEqual(['node_released', 'node_assigned']);
    expect(ofType(events, 'node_released')[0]).toMatchObject({
      cause: 'expired',
      lease: { worker: 'w1', epoch: 1 },
    });
    expect(rig.epochOf('ask')).toBe(2);
    expect(
      rig.refused({ type: 'finish', node: 'ask', attempt: 1, epoch: 1, outcome: 'succeeded', usage: {} })
        .code,
    ).toBe('E_LEASE_CONFLICT');
  });

  test('a released one is free; releasing twice is no error', () => {
    const rig = running();
    const release = {
      type: 'release',
      node: 'root',
      epoch: 1,
      cause: 'released',
      seenMs: rig.nowMs,
    } as const;
    rig.must(release);
    expect(rig.must(release)).toEqual([]);
    rig.claim({ claimant: claimant('w2') });
    expect(rig.epochOf('root')).toBe(2);
  });
});

describe('then the environment', () => {
  test('W22: a changed one holds the run for an error and says so', () => {
    const rig = running().crash();
    const events = rig.must(elsewhere);
    expect(rig.standing).toBe('held:error');
    expect(ofType(events, 'node_assigned')).toEqual([]);
    expect(ofType(events, 'checkpoint_emitted')[0]).toMatchObject({
      checkpoint: 'blocked',
      reasonCodes: ['E_ENV_FINGERPRINT_MISMATCH'],
    });
  });

  test('W22: a queued run begins only to be held; the right place then runs it with its plan checkpoint', () => {
    const rig = new RunRig();
    const root = {
      id: 'root',
      kind: 'composite',
      drive: 'plan',
      before: { type: 'plan', summary: 'go' },
    } as const;
    rig.must({
      type: 'create',
      spec: specOf({ root, nodes: [step('a')] }),
      environment: fingerprint('here'),
    });
    rig.must(elsewhere);
    expect(rig.standing).toBe('held:error');
    rig.resume({});
    expect(rig.all('checkpoint_emitted').map(({ checkpoint }) => checkpoint)).toEqual(['blocked', 'plan']);
  });

  test('it comes before the gate: an unapproved run in the wrong place is held for the environment', () => {
    const rig = running();
    rig.perform('ask').crash();
    rig.must({ ...elsewhere, resume: { by: 'ann' } });
    expect(rig.standing).toBe('held:error');
  });

  test('a claim of a held run that is no resume is refused before anything is looked at', () => {
    const rig = running();
    rig.must({ type: 'pause', by: 'ann' });
    rig.crash();
    expect(rig.refused(elsewhere).code).toBe('E_INVALID_STATE_TRANSITION');
    expect(rig.standing).toBe('held:paused');
  });

  test('W22: force with a reason moves the baseline; without a reason it is refused', () => {
    const rig = running().crash();
    rig.must(elsewhere);
    expect(rig.refused({ ...elsewhere, resume: { by: 'ann', force: true, reason: ' ' } }).code).toBe(
      'E_INVALID_INPUT_SCHEMA',
    );
    const events = rig.must({ ...elsewhere, resume: { by: 'ann', force: true, reason: 'new machine' } });
    expect(ofType(events, 'environment_recorded')[0]).toMatchObject({
      environment: { hash: 'there' },
      override: { expectedHash: 'here', by: 'ann', reason: 'new machine' },
    });
    expect(rig.state.environment?.hash).toBe('there');
    expect(rig.standing).toBe('running');
  });

  test('the gate comes before the override: it is not recorded while a decision is open', () => {
    const rig = running();
    rig.perform('ask').crash();
    const refusal = rig.refused({ ...elsewhere, resume: { by: 'ann', force: true, reason: 'new machine' } });
    expect(refusal.code).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
    expect(rig.state.environment?.hash).toBe('here');
  });

  test('where none was recorded the first claim records one', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim({ environment: fingerprint('here') });
    expect(rig.state.environment?.hash).toBe('here');
  });
});

describe('then the standing', () => {
  test('W17: a paused run finishes the step in flight, starts no other, and goes on when resumed', () => {
    const rig = RunRig.plan(steps(['a', 'b']));
    rig.claim();
    rig.start('a');
    rig.must({ type: 'pause', by: 'ann', reason: 'lunch' });
    rig.finish('a');
    expect(rig.standing).toBe('held:paused');
    expect(rig.refused({ type: 'start', node: 'b', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
    rig.crash();
    expect(ofType(rig.resume({ reason: 'back' }), 'phase_changed')[0]).toMatchObject({
      by: 'ann',
      reason: 'back',
    });
    rig.perform('b');
    expect(rig.standing).toBe('succeeded');
  });

  test('a plan that was finished while paused completes with the resume, inner plans too', () => {
    const rig = RunRig.plan([{ id: 'inner', kind: 'composite', drive: 'plan' }]);
    rig.must({ type: 'add_nodes', parent: 'inner', nodes: [step('a')] });
    rig.claim();
    rig.start('a');
    rig.must({ type: 'pause', by: 'ann' });
    rig.finish('a');
    rig.crash().resume();
    expect(rig.standing).toBe('succeeded');
  });

  test('a child of a plan is not claimed by itself', () => {
    const rig = running();
    for (const command of [
      { type: 'claim', node: 'b', claimant: claimant() },
      { type: 'start', node: 'ask', epoch: 1, claimant: claimant() },
    ] as const) {
      expect(rig.refused(command).code).toBe('E_INVALID_STATE_TRANSITION');
    }
  });

  test('what was never created cannot be claimed, and a run is created once', () => {
    expect(new RunRig().refused({ type: 'claim', node: 'root', claimant: claimant() }).code).toBe(
      'E_INVALID_INPUT_SCHEMA',
    );
    const spec = specOf({ root: { id: 'root', kind: 'atomic' } });
    expect(running().refused({ type: 'create', spec }).code).toBe('E_INVALID_INPUT_SCHEMA');
  });
});
