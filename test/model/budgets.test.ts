import { describe, expect, test } from 'vitest';
import { allowance, violations, violationText } from '../../src/model/budget.ts';
import { NO_USAGE, type Usage } from '../../src/model/usage.ts';
import { ofType, RunRig, step, steps } from './rig.ts';

const CALL = { reserve: { steps: 1, toolCalls: 1 } };

describe('limits', () => {
  test('W19: usage equal to the limit passes, one more is over', () => {
    const rig = RunRig.plan(steps(['a', 'b', 'c']), { limits: { steps: 2 } });
    rig.claim();
    rig.perform('a', 'b');
    expect(rig.standing).toBe('running');
    const events = rig.start('c');
    expect(ofType(events, 'attempt_started')).toEqual([]);
    expect(rig.standing).toBe('held:budget');
    expect(ofType(events, 'checkpoint_emitted')[0]).toMatchObject({
      checkpoint: 'blocked',
      summary: 'budget exceeded: step_count>2',
      reasonCodes: ['E_BUDGET_EXCEEDED'],
    });
  });

  test('W19: a run that ends exactly at its limits succeeds', () => {
    const rig = RunRig.plan([step('a', CALL)], {
      limits: { steps: 1, toolCalls: 1, tokens: 5, wallMs: 100 },
    });
    rig.claim();
    rig.start('a');
    rig.after(100).finish('a', { usage: { tokens: 5 } });
    expect(rig.standing).toBe('succeeded');
    expect(rig.state.used).toEqual({ ...NO_USAGE, steps: 1, toolCalls: 1, tokens: 5, wallMs: 100 });
  });

  test('W19: violations come in the fixed order, in the words of the contract', () => {
    const usage: Usage = {
      wallMs: 61_000,
      steps: 9,
      retries: 9,
      toolCalls: 9,
      tokens: 9,
      costMicros: 9_000_000,
    };
    const limits: Usage = {
      wallMs: 60_000,
      steps: 1,
      retries: 2,
      toolCalls: 3,
      tokens: 4,
      costMicros: 500_000,
    };
    expect(violations(limits, usage).map(violationText)).toEqual([
      'wall_time_seconds>60',
      'retry_count>2',
      'step_count>1',
      'tool_call_count>3',
      'estimated_cost>0.5000',
      'tokens>4',
    ]);
  });

  test('absent and zero do not limit', () => {
    expect(violations({ steps: 0 }, { ...NO_USAGE, steps: 99 })).toEqual([]);
    expect(
      allowance({ steps: 0, tokens: 10, toolCalls: 2 }, { ...NO_USAGE, tokens: 4, toolCalls: 9 }),
    ).toEqual({ tokens: 6, toolCalls: 0 });
  });

  test('I7: open reservations count, so that two side by side cannot spend the same step', () => {
    const rig = RunRig.plan([step('a'), step('b')], { limits: { steps: 1 } });
    rig.claim();
    rig.start('a');
    expect(rig.state.reserved.steps).toBe(1);
    expect(ofType(rig.start('b'), 'attempt_started')).toEqual([]);
    expect(rig.standing).toBe('held:budget');
    rig.finish('a');
    expect(rig.state.reserved).toEqual(NO_USAGE);
    expect(rig.state.used.steps).toBe(1);
  });

  test('a reservation that was not used is given back', () => {
    const rig = RunRig.plan(steps(['a', 'b'], { reserve: { steps: 1, tokens: 80 } }), {
      limits: { tokens: 100 },
    });
    rig.claim();
    rig.start('a');
    rig.finish('a', { usage: { tokens: 20 } });
    rig.start('b');
    expect(rig.state.used.tokens).toBe(20);
    expect(rig.state.reserved.tokens).toBe(80);
  });
});

describe('reported usage', () => {
  test('that overshoots is recorded as it was, and stops the run after the step', () => {
    const rig = RunRig.plan(steps(['a', 'b']), { limits: { tokens: 10, costMicros: 5 } });
    rig.claim();
    rig.start('a');
    const events = rig.finish('a', { usage: { tokens: 11, costMicros: 6 } });
    expect(ofType(events, 'checkpoint_emitted').at(-1)?.summary).toBe(
      'budget exceeded: estimated_cost>0.0000, tokens>10',
    );
    expect(rig.standing).toBe('held:budget');
    expect(rig.state.settled.get('a')?.state).toBe('succeeded'); // the step that went over is done all the same
  });

  test('is charged once: what was charged while it ran is part of what it used', () => {
    const rig = RunRig.plan([step('a', CALL)]);
    rig.claim();
    rig.start('a');
    rig.charge('a', { tokens: 5 });
    rig.charge('a', { tokens: 7, toolCalls: 2 });
    expect(rig.state.used.tokens).toBe(12);
    rig.finish('a', { usage: { tokens: 15 } });
    expect(rig.state.used).toMatchObject({ tokens: 15, toolCalls: 3, steps: 1 });
  });

  test('less in the end than was charged on the way takes nothing back', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    rig.start('a');
    rig.charge('a', { tokens: 12 });
    rig.finish('a', { usage: { tokens: 3 } });
    expect(rig.state.used.tokens).toBe(12);
  });

  test('over_budget leaves the step to be done again, and holds the run', () => {
    const rig = RunRig.plan([step('a')], { limits: { tokens: 10 } });
    rig.claim();
    rig.start('a');
    rig.charge('a', { tokens: 11 });
    rig.finish('a', { outcome: 'over_budget', usage: { tokens: 11 } });
    expect(rig.standing).toBe('held:budget');
    expect(rig.ready()).toEqual(['a']);
  });
});

describe('raising limits', () => {
  function overBudget(): RunRig {
    const rig = RunRig.plan(steps(['a', 'b', 'c']), { limits: { steps: 1 } });
    rig.claim();
    rig.perform('a').start('b');
    rig.must({ type: 'release', node: 'root', epoch: 1, cause: 'released', seenMs: rig.nowMs });
    return rig;
  }

  test('W20: is on record with who and why, and no finished step repeats', () => {
    const rig = overBudget();
    const events = rig.resume({ limits: { steps: 3 }, reason: ' worth it ' });
    expect(ofType(events, 'limits_raised')).toEqual([
      { type: 'limits_raised', limits: { steps: 3 }, by: 'ann', reason: 'worth it' },
    ]);
    rig.perform('b', 'c');
    expect(rig.standing).toBe('succeeded');
    expect(rig.all('attempt_started').map(({ node }) => node)).toEqual(['a', 'b', 'c']);
  });

  test('a resume without it runs into the same limit before anything starts', () => {
    const rig = overBudget();
    rig.resume();
    expect(rig.standing).toBe('running');
    rig.start('b');
    expect(rig.standing).toBe('held:budget');
    expect(rig.all('attempt_started')).toHaveLength(1);
  });

  test('to nothing is allowed: 0 is no limit', () => {
    const rig = overBudget();
    rig.resume({ limits: { steps: 0 }, reason: 'x' });
    rig.perform('b', 'c');
    expect(rig.standing).toBe('succeeded');
  });

  test.each([
    [{ steps: 0.5 }, 'x'],
    [{ tokens: 7 }, 'x'],
    [{ steps: 5 }, ' '],
  ])('%j for %j is refused: it would lower one, or has no reason', (limits, reason) => {
    const rig = overBudget();
    const command = {
      type: 'claim',
      node: 'root',
      claimant: { worker: 'w', leaseId: 'l', ttlMs: 1 },
      resume: { by: 'ann', reason, limits },
    } as const;
    expect(rig.refused(command).code).toBe('E_INVALID_INPUT_SCHEMA');
    expect(rig.standing).toBe('held:budget');
  });
});

describe('wall time', () => {
  test('W21: waiting for an approval, paused, or without a worker costs nothing', () => {
    const rig = RunRig.plan(steps(['a', 'b']));
    rig.after(5000).claim();
    rig.after(100).start('a');
    rig.after(200).must({ type: 'pause', by: 'ann' });
    rig.after(7000).finish('a');
    rig.must({ type: 'release', node: 'root', epoch: 1, cause: 'released', seenMs: rig.nowMs });
    rig.after(9000).resume();
    rig.after(50).perform('b');
    expect(rig.state.used.wallMs).toBe(350);
  });

  test('W21: after a worker was lost, time runs until it was last seen', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    rig.start('a');
    rig.lease = { live: false, seenMs: rig.nowMs + 400 };
    rig.after(60_000).claim();
    expect(rig.state.used.wallMs).toBe(400);
    rig.after(100).finish('a');
    expect(rig.state.used.wallMs).toBe(500);
  });

  test('W21: a retry that is not due costs nothing in a run of one step', () => {
    const rig = RunRig.of({ root: step('only', { retry: { max: 1, backoffMs: 60_000, capMs: 60_000 } }) });
    rig.claim();
    rig.start('only');
    rig.after(10).fail('only');
    rig.after(60_000).claim();
    rig.perform('only');
    expect(rig.state.used.wallMs).toBe(10);
  });

  test('over the limit nothing more starts', () => {
    const rig = RunRig.plan(steps(['a', 'b']), { limits: { wallMs: 1000 } });
    rig.claim();
    rig.start('a');
    rig.after(1001).finish('a');
    expect(rig.standing).toBe('held:budget');
    expect(rig.all('checkpoint_emitted').at(-1)?.summary).toBe('budget exceeded: wall_time_seconds>1');
  });

  test('a clock that goes back takes nothing back', () => {
    const rig = RunRig.plan(steps(['a', 'b']));
    rig.claim();
    rig.after(100).start('a');
    rig.after(-50_000).finish('a');
    expect(rig.state.used.wallMs).toBe(100);
    rig.perform('b');
    expect(rig.state.used.wallMs).toBe(100);
  });
});
