import { describe, expect, test } from 'vitest';
import { cutUtf8, fitSummary, utf8Length } from '../../src/model/decide/checkpoint.ts';
import { DECISION, ofType, RunRig, step, steps } from './rig.ts';

const NOTE = { type: 'emit_checkpoint', checkpoint: 'progress', summary: 'note' } as const;
const PROGRESS = (added: string) =>
  ({ type: 'progress', summary: added, delta: { added: [added], changed: [], removed: [] } }) as const;

describe('emitted by hand', () => {
  test('W30: a summary of 2000 bytes is taken, one of 2001 or none is refused', () => {
    const rig = RunRig.plan([step('a')]);
    rig.must({ ...NOTE, summary: `${'ä'.repeat(999)}ab` });
    for (const summary of [`${'ä'.repeat(1000)}a`, '   ']) {
      expect(rig.refused({ ...NOTE, summary }).code).toBe('E_INVALID_INPUT_SCHEMA');
    }
  });

  test('W30: a decision without an action is refused', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    for (const requiredAction of [undefined, {}, { kind: ' ' }]) {
      const refusal = rig.refused({
        ...NOTE,
        checkpoint: 'decision-needed',
        ...(requiredAction === undefined ? {} : { requiredAction }),
      });
      expect(refusal.code).toBe('E_INVALID_INPUT_SCHEMA');
    }
  });

  test('a decision on a running run holds it, and everything waits for the approval', () => {
    const rig = RunRig.plan([step('a'), step('b')]);
    rig.claim();
    rig.start('a');
    rig.must({ ...NOTE, checkpoint: 'decision-needed', requiredAction: { kind: 'look' } });
    expect(rig.standing).toBe('held:decision');
    rig.finish('a'); // a commit in flight is never stopped
    expect(rig.refused({ type: 'start', node: 'b', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
    rig.approve(rig.open()[0] ?? 0);
    rig.crash().resume();
    rig.perform('b');
    expect(rig.standing).toBe('succeeded');
  });

  test('a decision on a run that waits for its budget must be approved too', () => {
    const rig = RunRig.plan(steps(['a', 'b']), { limits: { steps: 1 } });
    rig.claim();
    rig.perform('a').start('b');
    rig.must({ ...NOTE, checkpoint: 'decision-needed', requiredAction: { kind: 'look' } });
    expect(rig.standing).toBe('held:budget');
    rig.crash();
    const refusal = rig.refused({
      type: 'claim',
      node: 'root',
      claimant: { worker: 'w', leaseId: 'l', ttlMs: 1 },
      resume: { by: 'ann' },
    });
    expect(refusal.code).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
  });

  test('W31: on a terminal run they are refused', () => {
    const rig = RunRig.plan([]);
    rig.claim();
    expect(rig.standing).toBe('succeeded');
    expect(rig.refused(NOTE).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('a status that contradicts the one the run will have is refused; the right one is taken', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    expect(rig.refused({ ...NOTE, standing: { phase: 'queued' } }).code).toBe('E_INVALID_INPUT_SCHEMA');
    rig.must({ ...NOTE, standing: { phase: 'running' } });
    rig.must({
      ...NOTE,
      checkpoint: 'decision-needed',
      requiredAction: { kind: 'x' },
      standing: { phase: 'held', hold: 'decision' },
    });
  });

  test("the latest reason codes are the state's", () => {
    const rig = RunRig.plan([step('a')]);
    rig.must({ ...NOTE, reasonCodes: ['A', 'B'] });
    expect(rig.state.reasonCodes).toEqual(['A', 'B']);
    rig.must(NOTE);
    expect(rig.state.reasonCodes).toEqual([]);
  });
});

describe('a strict policy', () => {
  const nodes = ['a', 'b', 'c'].map((id, at, ids) =>
    step(id, { after: PROGRESS(id), ...(at === 0 ? {} : { needs: [ids[at - 1] ?? ''] }) }),
  );

  test('merges progress that comes too soon into the next checkpoint', () => {
    const rig = RunRig.of({
      root: { id: 'root', kind: 'composite', drive: 'plan', after: { type: 'completed', summary: 'end' } },
      nodes,
      minCheckpointIntervalMs: 1000,
    });
    rig.claim();
    for (const id of ['a', 'b', 'c']) rig.after(400).perform(id);
    expect(rig.all('checkpoint_deferred').map(({ node }) => node)).toEqual(['b', 'c']);
    const [first, last] = rig.all('checkpoint_emitted');
    expect(first?.delta.added).toEqual(['a']);
    expect(last).toMatchObject({ checkpoint: 'completed', delta: { added: ['b', 'c'] } });
  });

  test('delays no progress that is far enough, and no other type', () => {
    const rig = RunRig.plan([...nodes.slice(0, 2), step('ask', { needs: ['b'], after: DECISION })], {
      minCheckpointIntervalMs: 1000,
    });
    rig.claim();
    rig.perform('a').after(1000).perform('b', 'ask');
    expect(rig.all('checkpoint_emitted').map(({ checkpoint }) => checkpoint)).toEqual([
      'progress',
      'progress',
      'decision-needed',
    ]);
  });

  test('without one a clock that goes back merges nothing', () => {
    const rig = RunRig.plan(nodes);
    rig.claim();
    rig.perform('a').after(-60_000).perform('b', 'c');
    expect(rig.all('checkpoint_deferred')).toEqual([]);
    expect(rig.events.map(({ atMs }) => atMs)).toEqual(
      rig.events.map(({ atMs }) => atMs).toSorted((x, y) => x - y),
    );
  });

  test('blocks the end of a run that lacks a required checkpoint, until it is there', () => {
    const rig = RunRig.plan([step('a')], { requiredCheckpoints: ['progress'] });
    rig.claim();
    rig.start('a');
    const [blocked] = ofType(rig.finish('a'), 'checkpoint_emitted');
    expect(blocked).toMatchObject({ checkpoint: 'blocked', reasonCodes: ['E_ADAPTER_FAIL'] });
    expect(rig.standing).toBe('held:error');
    rig.must(NOTE);
    rig.crash().resume();
    expect(rig.standing).toBe('succeeded');
  });
});

describe('summaries that Reeve makes itself', () => {
  test('are cut at whole characters, and never empty', () => {
    expect(cutUtf8('aäb', 2)).toBe('a');
    expect(cutUtf8('a😀b', 4)).toBe('a');
    expect(cutUtf8('a😀b', 5)).toBe('a😀');
    expect(utf8Length('aä€😀')).toBe(10);
    expect(fitSummary('  ', 'step')).toBe('step');
    expect(utf8Length(fitSummary('€'.repeat(3000)))).toBe(1998);
  });
});
