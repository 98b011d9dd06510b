/** Attempts: intents, ends, retries, and what becomes of those that nobody saw the end of (I4, I5). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { claimant, ofType, RunRig, step, steps } from './rig.ts';

const RETRY = { max: 2, backoffMs: 100, capMs: 350 };

describe('an attempt', () => {
  test('I5: is on record before its effect: executor, arguments hash and effect key', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    expect(rig.start('a')).toEqual([
      {
        type: 'attempt_started',
        node: 'a',
        attempt: 1,
        epoch: 1,
        executor: 'x',
        effectKey: 'run-1.1.1',
        argumentsHash: expect.stringMatching(/^[0-9a-f]{64}$/),
        reserved: { wallMs: 0, steps: 1, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 },
      },
    ]);
  });

  test('I4: only one is live per node', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    rig.start('a');
    expect(rig.refused({ type: 'start', node: 'a', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('I4: under a stale epoch or a wrong number nothing is written', () => {
    const rig = RunRig.plan(steps(['a', 'b']));
    rig.claim();
    rig.start('a');
    rig.crash().claim({ claimant: claimant('w2') });
    const stale = { node: 'a', attempt: 1, epoch: 1 };
    const wrong = { node: 'a', attempt: 2, epoch: 2 };
    for (const ref of [stale, wrong]) {
      for (const command of [
        { type: 'finish', ...ref, outcome: 'succeeded', usage: {} },
        { type: 'charge', ...ref, usage: { tokens: 1 } },
        { type: 'interrupt', ...ref, found: 'unknown', reason: 'x' },
      ] as const) {
        expect(rig.refused(command).code).toBe('E_LEASE_CONFLICT');
      }
    }
    expect(rig.refused({ type: 'release', node: 'root', epoch: 1, cause: 'released', seenMs: 0 }).code).toBe(
      'E_LEASE_CONFLICT',
    );
    rig.finish('a');
    expect(rig.refused({ type: 'start', node: 'b', epoch: 1 }).code).toBe('E_LEASE_CONFLICT');
  });

  test('a plan itself is not something to start', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    expect(rig.refused({ type: 'start', node: 'root', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('nothing starts before the run was claimed, or while it is held', () => {
    const rig = RunRig.plan([step('a')]);
    expect(rig.refused({ type: 'start', node: 'a', epoch: 0 }).code).toBe('E_INVALID_STATE_TRANSITION');
    rig.claim();
    rig.must({ type: 'pause', by: 'ann' });
    expect(rig.refused({ type: 'start', node: 'a', epoch: 1 }).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('the key of a node is recorded with its success, and only then', () => {
    const rig = RunRig.plan([step('a', { key: 'step:0:a', retry: RETRY })]);
    rig.claim();
    rig.start('a');
    expect(ofType(rig.fail('a'), 'key_recorded')).toEqual([]);
    rig.after(1000).start('a');
    expect(ofType(rig.finish('a'), 'key_recorded')).toEqual([
      { type: 'key_recorded', node: 'a', key: 'step:0:a' },
    ]);
  });
});

describe('failures', () => {
  test('are retried after a delay, as often as the policy says, and counted', () => {
    const rig = RunRig.plan([step('a', { retry: RETRY })]);
    rig.claim();
    for (const attempt of [1, 2]) {
      rig.start('a');
      const [ended] = ofType(rig.fail('a'), 'attempt_ended');
      expect(ended).toMatchObject({ attempt, next: { state: 'queued', notBeforeMs: expect.any(Number) } });
      expect(rig.refused({ type: 'start', node: 'a', epoch: 1 }).message).toContain('not due');
      rig.after(400);
    }
    rig.start('a');
    rig.fail('a');
    expect(rig.standing).toBe('failed');
    expect(rig.state.used).toMatchObject({ retries: 2, steps: 0 });
  });

  test('wait a random time that doubles up to the cap, and never less than a millisecond', () => {
    fc.assert(
      fc.property(
        fc.record({
          max: fc.constant(50),
          backoffMs: fc.integer({ min: 1, max: 10_000 }),
          capMs: fc.integer({ min: 1, max: 60_000 }),
        }),
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
          minLength: 1,
          maxLength: 40,
        }),
        (retry, chances) => {
          const rig = RunRig.plan([step('a', { retry })]);
          rig.claim();
          for (const [failures, chance] of chances.entries()) {
            rig.chance = chance;
            rig.start('a');
            const [ended] = ofType(rig.fail('a'), 'attempt_ended');
            const delayMs = (ended?.next.state === 'queued' ? (ended.next.notBeforeMs ?? 0) : 0) - rig.nowMs;
            const ceilingMs = Math.min(retry.capMs, retry.backoffMs * 2 ** failures);
            expect(delayMs).toBe(Math.max(1, Math.floor(chance * ceilingMs)));
            expect(delayMs).toBeLessThanOrEqual(retry.capMs);
            rig.after(delayMs);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('hold the run for a person where the node says so; the resume runs the step again', () => {
    const rig = RunRig.plan(steps(['a', 'b'], { onFailure: 'hold', name: 'build' }));
    rig.claim();
    rig.start('a');
    const events = rig.fail('a', 'exit code 3');
    expect(rig.standing).toBe('held:error');
    expect(ofType(events, 'checkpoint_emitted')[0]).toMatchObject({
      checkpoint: 'blocked',
      summary: "step 'build' failed: exit code 3",
      reasonCodes: ['E_ADAPTER_FAIL'],
    });
    rig.crash().resume();
    rig.perform('a', 'b');
    expect(rig.standing).toBe('succeeded');
    expect(rig.state.used.retries).toBe(1);
  });

  test('hold also a run that was paused meanwhile', () => {
    const rig = RunRig.plan([step('a', { onFailure: 'hold' })]);
    rig.claim();
    rig.start('a');
    rig.must({ type: 'pause', by: 'ann' });
    rig.fail('a');
    expect(rig.standing).toBe('held:error');
  });

  test('before a resume do not count against the retries after it', () => {
    const rig = RunRig.plan([step('a', { onFailure: 'hold', retry: { max: 1, backoffMs: 1, capMs: 1 } })]);
    rig.claim();
    for (const round of [1, 2]) {
      rig.start('a');
      rig.fail('a');
      expect(rig.standing, `round ${round}`).toBe('running');
      rig.after(5).start('a');
      rig.fail('a');
      expect(rig.standing, `round ${round}`).toBe('held:error');
      rig.crash().resume();
    }
  });

  test('fail the run and end what runs beside as leftovers', () => {
    const rig = RunRig.plan([step('a'), step('b'), step('c')]);
    rig.claim();
    rig.start('a');
    rig.start('b');
    rig.fail('a');
    expect(rig.standing).toBe('failed');
    expect([...rig.state.live.keys()]).toEqual(['b']);
    expect(rig.ready()).toEqual([]);
    rig.must({ type: 'finish', node: 'b', attempt: 1, epoch: 1, outcome: 'canceled', usage: { tokens: 3 } });
    expect(rig.state.used.tokens).toBe(3);
    expect(rig.state.reserved.steps).toBe(0);
    expect(rig.state.settled.get('b')?.state).toBe('canceled');
  });
});

describe('an interrupted attempt', () => {
  function crashed(more: Parameters<typeof step>[1] = {}): RunRig {
    const rig = RunRig.plan(steps(['a', 'b'], more));
    rig.claim();
    rig.start('a');
    rig.crash().claim({ claimant: claimant('w2') });
    return rig;
  }

  test('that was never started runs again and counts no retry', () => {
    const rig = crashed({ reserve: { steps: 1, toolCalls: 1 } });
    rig.interrupt('a', 'not_started');
    expect(rig.state.used).toMatchObject({ steps: 0, toolCalls: 0 });
    rig.perform('a', 'b');
    expect(rig.standing).toBe('succeeded');
    expect(rig.state.used).toMatchObject({ retries: 0, steps: 2, toolCalls: 2 });
  });

  test('I5: of unknown outcome holds the run, and says so, before it could be repeated', () => {
    const rig = crashed();
    const events = rig.interrupt('a', 'unknown');
    expect(ofType(events, 'attempt_ended')[0]).toMatchObject({
      outcome: 'unknown',
      error: { code: 'E_OUTCOME_UNKNOWN' },
    });
    expect(ofType(events, 'checkpoint_emitted')[0]).toMatchObject({
      checkpoint: 'blocked',
      reasonCodes: ['E_OUTCOME_UNKNOWN'],
    });
    expect(rig.standing).toBe('held:outcome_unknown');
    rig.crash().resume();
    rig.perform('a');
    expect(rig.state.used.retries).toBe(1);
  });

  test('I5: of unknown outcome holds also a paused run', () => {
    const rig = crashed();
    rig.must({ type: 'pause', by: 'ann' });
    rig.interrupt('a', 'unknown');
    expect(rig.standing).toBe('held:outcome_unknown');
  });

  test('of unknown outcome is rerun where the node allows it: on record, and counted as a retry', () => {
    const rig = crashed({ onInterrupt: 'rerun' });
    rig.interrupt('a', 'unknown');
    expect(rig.standing).toBe('running');
    rig.perform('a', 'b');
    expect(rig.all('attempt_ended').map(({ outcome }) => outcome)).toEqual([
      'unknown',
      'succeeded',
      'succeeded',
    ]);
    expect(rig.state.used.retries).toBe(1);
  });

  test('I7: a rerun needs a retry from the budget', () => {
    const rig = RunRig.plan(
      [step('a', { onInterrupt: 'rerun', retry: { max: 5, backoffMs: 1, capMs: 1 } })],
      { limits: { retries: 1 } },
    );
    rig.claim();
    rig.start('a');
    rig.interrupt('a', 'unknown');
    rig.start('a');
    rig.fail('a');
    rig.after(5).start('a');
    expect(rig.standing).toBe('held:budget');
  });

  test('may be settled by hand, with a name and a reason; its checkpoint and key are recorded', () => {
    const rig = crashed({ key: 'k', after: { type: 'progress', summary: 'done' } });
    rig.interrupt('a', 'unknown');
    expect(rig.refused({ type: 'settle', node: 'a', state: 'succeeded', by: 'ann' }).code).toBe(
      'E_INVALID_INPUT_SCHEMA',
    );
    expect(rig.refused({ type: 'settle', node: 'a', state: 'succeeded', reason: 'saw it' }).code).toBe(
      'E_INVALID_INPUT_SCHEMA',
    );
    expect(rig.settleByHand('a').map(({ type }) => type)).toEqual([
      'node_settled',
      'checkpoint_emitted',
      'key_recorded',
    ]);
    rig.crash().resume();
    rig.perform('b');
    expect(rig.standing).toBe('succeeded');
    expect(rig.all('attempt_started').map(({ node }) => node)).toEqual(['a', 'b']);
  });

  test('that is known may not be settled by hand', () => {
    const rig = crashed();
    const settle = { type: 'settle', node: 'a', state: 'succeeded', by: 'ann', reason: 'saw it' } as const;
    expect(rig.refused(settle).code).toBe('E_INVALID_STATE_TRANSITION'); // it is live
    rig.interrupt('a', 'not_started');
    expect(rig.refused(settle).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('of the only step, settled by hand: the resume ends the run', () => {
    const rig = RunRig.of({ root: step('only') });
    rig.claim();
    rig.start('only');
    rig.crash().claim();
    rig.interrupt('only', 'unknown');
    rig.settleByHand('only');
    expect(rig.standing).toBe('held:outcome_unknown');
    rig.resume();
    expect(rig.standing).toBe('succeeded');
  });
});

describe('cancel', () => {
  test('W18: with live attempts, only their ends are recorded after it, and no checkpoint', () => {
    const rig = RunRig.plan([step('a', { key: 'k', after: { type: 'progress', summary: 'x' } }), step('b')]);
    rig.claim();
    rig.start('a');
    rig.must({ type: 'cancel', by: 'ann', reason: 'enough' });
    const at = rig.events.length;
    expect(rig.state.live.size).toBe(1);
    expect(rig.ready()).toEqual([]);
    rig.must({ type: 'finish', node: 'a', attempt: 1, epoch: 1, outcome: 'succeeded', usage: {} });
    expect(rig.events.slice(at).map(({ event }) => event.type)).toEqual(['attempt_ended']);
    expect(rig.state.settled.get('a')?.state).toBe('canceled');
    expect(rig.standing).toBe('canceled');
  });

  test('the holder lets go of the lease once, while its leftover still runs and after', () => {
    const rig = RunRig.of({ root: step('only') });
    rig.claim();
    rig.start('only');
    rig.must({ type: 'cancel', by: 'ann' });
    const release = {
      type: 'release',
      node: 'only',
      epoch: 1,
      cause: 'released',
      seenMs: rig.nowMs,
    } as const;
    expect(rig.must(release)).toHaveLength(1);
    expect(rig.must(release)).toEqual([]);
    rig.must({ type: 'interrupt', node: 'only', attempt: 1, epoch: 1, found: 'unknown', reason: 'x' });
    expect(rig.must(release)).toEqual([]);
  });

  test('a leftover is ended by whoever cleans up, but only once', () => {
    const rig = RunRig.plan([step('a')]);
    rig.claim();
    rig.start('a');
    rig.must({ type: 'cancel', by: 'ann' });
    rig.must({ type: 'interrupt', node: 'a', attempt: 1, epoch: 77, found: 'not_started', reason: 'x' });
    expect(
      rig.refused({ type: 'interrupt', node: 'a', attempt: 1, epoch: 77, found: 'unknown', reason: 'x' })
        .code,
    ).toBe('E_LEASE_CONFLICT');
  });

  test.each(['cancel', 'pause'] as const)('I6: a terminal run takes no %s', (type) => {
    const rig = RunRig.plan([]);
    rig.claim();
    expect(rig.refused({ type, by: 'ann' }).code).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('W5: a terminal run takes no resume, no nodes and no settling', () => {
    const rig = RunRig.plan([]);
    rig.must({ type: 'cancel', by: 'ann' });
    for (const command of [
      { type: 'claim', node: 'root', claimant: claimant(), resume: { by: 'ann' } },
      { type: 'add_nodes', parent: 'root', nodes: [step('z')] },
      { type: 'settle', node: 'root', state: 'succeeded' },
      { type: 'hold', hold: 'error', summary: 'x', reasonCodes: [] },
    ] as const) {
      expect(rig.refused(command).code).toBe('E_INVALID_STATE_TRANSITION');
    }
  });
});

describe('a run that is one step', () => {
  test('is paused during the step: it finishes, and the resume ends the run', () => {
    const rig = RunRig.of({ root: step('only') });
    rig.claim();
    rig.start('only');
    rig.must({ type: 'pause', by: 'ann' });
    rig.finish('only');
    expect(rig.standing).toBe('held:paused');
    rig.resume();
    expect(rig.standing).toBe('succeeded');
    expect(rig.all('attempt_started')).toHaveLength(1);
  });

  test('goes over its budget with its last report: held, and the resume ends the run', () => {
    const rig = RunRig.of({ root: step('only'), limits: { tokens: 1 } });
    rig.claim();
    rig.start('only');
    rig.finish('only', { usage: { tokens: 2 } });
    expect(rig.standing).toBe('held:budget');
    rig.resume();
    expect(rig.standing).toBe('succeeded');
  });

  test('is claimed and started in one act once it runs', () => {
    const rig = RunRig.of({ root: step('only', { retry: RETRY }) });
    rig.claim();
    rig.start('only');
    rig.fail('only');
    rig.after(1000);
    const [started] = ofType(
      rig.must({ type: 'start', node: 'only', epoch: 0, claimant: claimant('w9') }),
      'attempt_started',
    );
    expect(started).toMatchObject({ epoch: 2, lease: { worker: 'w9', epoch: 2 }, ttlMs: 30_000 });
    expect(rig.refused({ type: 'start', node: 'only', epoch: 0, claimant: claimant('w1') }).code).toBe(
      'E_INVALID_STATE_TRANSITION',
    );
  });
});
