/** External composites: handed over by an attempt or open from the start, running until a command settles them. */
import { describe, expect, test } from 'vitest';
import { decodeSnapshot, encodeSnapshot } from '../../src/model/snapshot.ts';
import { deadlineOf } from '../../src/model/state.ts';
import { claimant, DECISION, RunRig, step, T0 } from './rig.ts';

const BEGUN = { id: 'c', kind: 'composite', executor: 'x', input: { do: 'c' } } as const;
const root = (more = {}) => RunRig.of({ root: { ...BEGUN, id: 'root', ...more } });

describe('a composite with an executor', () => {
  test('is handed over: its attempt ends, and it runs with nobody’s lease until it is settled', () => {
    const rig = root();
    rig.claim();
    rig.start('root');
    expect(rig.finish('root', { outcome: 'accepted' })).toMatchObject([
      { type: 'attempt_ended', outcome: 'accepted', next: { state: 'running' }, usage: { steps: 1 } },
    ]);
    const node = rig.state.nodes.get('root');
    expect(node).toMatchObject({ state: 'running', handedOverAtMs: T0 });
    expect(node?.lease).toBeUndefined();
    expect([...rig.state.open.keys()]).toEqual(['root']);
    expect(rig.ready()).toEqual([]);
    expect(rig.refused({ type: 'start', node: 'root', epoch: 1 }).message).toContain('handed over');
    rig.must({ type: 'settle', node: 'root', state: 'succeeded', outputs: { ok: true } });
    expect(rig.standing).toBe('succeeded');
    expect(rig.state.open.size).toBe(0);
  });

  test('settled before the news that it was handed over: both are on record, the news comes too late', () => {
    const rig = root();
    rig.claim();
    rig.start('root');
    const late = rig.ref('root');
    expect(
      rig.must({ type: 'settle', node: 'root', state: 'failed', error: { code: 'x', message: 'no' } }),
    ).toMatchObject([
      { type: 'attempt_ended', outcome: 'accepted' },
      { type: 'node_settled', state: 'failed' },
      { type: 'phase_changed', to: { phase: 'failed' } },
    ]);
    expect(rig.refused({ type: 'finish', ...late, outcome: 'accepted', usage: {} }).code).toBe(
      'E_LEASE_CONFLICT',
    );
  });

  test('that is turned away has failed, or is tried again, as its policy says', () => {
    const plain = root();
    plain.claim();
    plain.start('root');
    plain.fail('root', 'rejected');
    expect(plain.standing).toBe('failed');
    const patient = root({ retry: { max: 1, backoffMs: 100, capMs: 100 } });
    patient.claim();
    patient.start('root');
    patient.fail('root', 'busy');
    expect(patient.ready()).toEqual(['root']);
  });

  test('of a plan: the plan waits for it, and goes on', () => {
    const rig = RunRig.plan([BEGUN, step('last', { needs: ['c'] })]);
    rig.claim();
    rig.start('c');
    rig.finish('c', { outcome: 'accepted' });
    expect(rig.standing).toBe('running');
    rig.must({ type: 'settle', node: 'c', state: 'succeeded' });
    rig.perform('last');
    expect(rig.standing).toBe('succeeded');
  });

  test('an open decision beside it does not hold the run: it goes on', () => {
    const rig = RunRig.plan([BEGUN, step('ask', { after: DECISION }), step('b', { needs: ['ask', 'c'] })]);
    rig.claim();
    rig.start('c');
    rig.finish('c', { outcome: 'accepted' });
    rig.perform('ask');
    expect(rig.standing).toBe('running');
    rig.must({ type: 'settle', node: 'c', state: 'succeeded' });
    expect(rig.standing).toBe('held:decision');
  });

  test('goes with its run or the composite above it', () => {
    const rig = root();
    rig.claim();
    rig.start('root');
    rig.finish('root', { outcome: 'accepted' });
    rig.must({ type: 'add_nodes', parent: 'root', nodes: [BEGUN] });
    rig.must({ type: 'start', node: 'c', epoch: 0, claimant: claimant() });
    rig.finish('c', { outcome: 'accepted' });
    rig.must({ type: 'cancel', by: 'ann' });
    expect(rig.state.open.size).toBe(0);
    expect(rig.state.settled.get('c')?.state).toBe('canceled');
    expect(rig.refused({ type: 'settle', node: 'c', state: 'succeeded' })).toMatchObject({
      code: 'E_INVALID_STATE_TRANSITION',
      details: { state: 'canceled', phase: 'canceled' },
    });
  });

  test('what is atomic is not handed over', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    rig.start('a');
    expect(rig.refused({ type: 'finish', ...rig.ref('a'), outcome: 'accepted', usage: {} }).code).toBe(
      'E_INVALID_INPUT_SCHEMA',
    );
  });

  test('a resumed run gives its root a holder who lets go; it is not begun again', () => {
    const rig = root();
    rig.claim();
    rig.start('root');
    rig.finish('root', { outcome: 'accepted' });
    rig.must({ type: 'pause', by: 'ann' });
    rig.resume();
    const { epoch } = rig.state.nodes.get('root') ?? { epoch: 0 };
    expect(rig.refused({ type: 'start', node: 'root', epoch }).code).toBe('E_INVALID_STATE_TRANSITION');
    rig.must({ type: 'release', node: 'root', epoch, cause: 'released', seenMs: rig.nowMs });
    expect(rig.state.nodes.get('root')?.state).toBe('running');
    expect(rig.standing).toBe('running');
  });
});

describe('a composite without an executor', () => {
  test('is open once its needs are met, and never started', () => {
    const rig = RunRig.plan([step('a'), { id: 'ext', kind: 'composite', needs: ['a'] }]);
    rig.claim();
    expect(rig.state.open.size).toBe(0);
    rig.perform('a');
    expect([...rig.state.open.keys()]).toEqual(['ext']);
    expect(rig.state.nodes.get('ext')?.state).toBe('running');
    expect(rig.refused({ type: 'start', node: 'ext', epoch: 1 }).message).toContain('no attempts');
    rig.must({ type: 'settle', node: 'ext', state: 'succeeded' });
    expect(rig.standing).toBe('succeeded');
  });

  test('below another one is not for a worker to claim', () => {
    const rig = RunRig.of({
      root: { id: 'root', kind: 'composite' },
      nodes: [{ id: 'e', kind: 'composite' }],
    });
    rig.claim();
    expect(rig.refused({ type: 'claim', node: 'e', claimant: claimant() }).message).toContain('settled');
  });
});

describe('time', () => {
  test('its own limit: settled as failed when asked after it, and not before', () => {
    const rig = root({ timeoutMs: 5000 });
    rig.claim();
    rig.start('root');
    rig.after(1000).finish('root', { outcome: 'accepted' });
    const node = rig.state.nodes.get('root')!;
    expect(deadlineOf(rig.state, node)).toBe(T0 + 6000);
    expect(rig.after(4999).must({ type: 'expire', node: 'root' })).toEqual([]);
    expect(rig.after(1).must({ type: 'expire', node: 'root' })[0]).toMatchObject({
      type: 'node_settled',
      state: 'failed',
      error: { details: { reason: 'timed_out', timeout_ms: 5000 } },
    });
    expect(rig.standing).toBe('failed');
    expect(rig.must({ type: 'expire', node: 'root' })).toEqual([]);
  });

  test('I7: the run’s limit holds it; time while it is held does not count', () => {
    const rig = RunRig.of({ root: { ...BEGUN, id: 'root' }, limits: { wallMs: 10_000 } });
    rig.claim();
    rig.start('root');
    rig.after(2000).finish('root', { outcome: 'accepted' });
    rig.must({ type: 'pause', by: 'ann' });
    rig.after(60_000).resume();
    expect(deadlineOf(rig.state, rig.state.nodes.get('root')!)).toBe(T0 + 70_001);
    expect(rig.after(8000).must({ type: 'expire', node: 'root' })).toEqual([]);
    rig.after(1).must({ type: 'expire', node: 'root' });
    expect(rig.standing).toBe('held:budget');
    rig.must({ type: 'settle', node: 'root', state: 'succeeded' });
    expect(rig.standing).toBe('held:budget');
    rig.resume({ limits: { wallMs: 0 }, reason: 'it is done' });
    expect(rig.standing).toBe('succeeded');
  });
});

describe('checkpoints before', () => {
  const before = { type: 'plan', summary: 'here it begins' } as const;
  const said = (rig: RunRig): (string | undefined)[] => rig.all('checkpoint_emitted').map(({ node }) => node);

  test('any node has one: a step at its first start, not at its retries', () => {
    const rig = RunRig.plan([step('a', { before, retry: { max: 1, backoffMs: 1, capMs: 1 } })]);
    rig.claim();
    expect(rig.start('a').map(({ type }) => type)).toEqual(['checkpoint_emitted', 'attempt_started']);
    rig.fail('a');
    rig.after(10).start('a');
    expect(said(rig)).toEqual(['a']);
  });

  test('a plan inside a plan, and an open composite, when their needs are met; once', () => {
    const rig = RunRig.plan([
      step('a'),
      { id: 'p', kind: 'composite', drive: 'plan', needs: ['a'], before },
      { id: 'e', kind: 'composite', needs: ['p'], before },
      { id: 'now', kind: 'composite', before },
    ]);
    rig.must({ type: 'add_nodes', parent: 'p', nodes: [step('x')] });
    rig.claim();
    expect(said(rig)).toEqual(['now']);
    rig.perform('a');
    expect(said(rig)).toEqual(['now', 'p']);
    rig.perform('x');
    expect(said(rig)).toEqual(['now', 'p', 'e']);
    rig.must({ type: 'pause', by: 'ann' });
    rig.crash().resume();
    expect(said(rig)).toEqual(['now', 'p', 'e']);
  });

  test('a plan that is claimed by itself, with its claim', () => {
    const rig = RunRig.of({ root: { id: 'root', kind: 'composite' } });
    rig.claim();
    rig.must({
      type: 'add_nodes',
      parent: 'root',
      nodes: [{ id: 'p', kind: 'composite', drive: 'plan', before }],
      below: [{ parent: 'p', nodes: [step('x')] }],
    });
    expect(said(rig)).toEqual([]);
    const claimed = rig.must({ type: 'claim', node: 'p', claimant: claimant('w2') });
    expect(claimed.map(({ type }) => type)).toEqual(['checkpoint_emitted', 'node_assigned']);
  });
});

test('I3: a snapshot keeps what is open', () => {
  const rig = root();
  rig.claim();
  rig.start('root');
  rig.finish('root', { outcome: 'accepted' });
  const read = decodeSnapshot(encodeSnapshot(rig.state));
  expect([...(read?.open.keys() ?? [])]).toEqual(['root']);
  expect(read).toEqual({ ...rig.state, fresh: [] });
});

test('I3: a snapshot keeps what is live', () => {
  const rig = root();
  rig.claim();
  rig.start('root');
  const read = decodeSnapshot(encodeSnapshot(rig.state));
  expect([...(read?.live.keys() ?? [])]).toEqual(['root']);
  expect(read).toEqual({ ...rig.state, fresh: [] });
});
