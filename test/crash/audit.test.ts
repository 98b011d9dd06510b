// Whether the auditor of a campaign sees: each history below has one thing wrong with it.
import { describe, expect, test } from 'vitest';
import { ROOT_ID } from '../../src/doors/jobs/steps.ts';
import type { RecordedEvent, RunEvent } from '../../src/model/events.ts';
import { NO_USAGE } from '../../src/model/usage.ts';
import { audit, type Acknowledged, type Found } from './fire/audit.ts';
import { plant, PLANTED } from './fire/planted.ts';

const root = ROOT_ID;
const created = {
  type: 'run_created',
  spec: { nodes: [{ id: 'a', kind: 'atomic' }], root: { id: root, kind: 'composite' } },
} as unknown as RunEvent;
const claimed = (epoch: number): RunEvent => ({
  type: 'node_assigned',
  node: root,
  lease: { worker: `work-${epoch}`, leaseId: `l${epoch}`, epoch },
  ttlMs: 1000,
});
const started = (attempt: number, epoch = attempt): RunEvent => ({
  type: 'attempt_started',
  node: 'a',
  attempt,
  epoch,
  executor: 'process',
  effectKey: `r.1.${attempt}`,
  argumentsHash: '',
  reserved: NO_USAGE,
});
const ended = (attempt: number, outcome: 'succeeded' | 'failed' | 'unknown' | 'not_started'): RunEvent => ({
  type: 'attempt_ended',
  node: 'a',
  attempt,
  outcome,
  next: outcome === 'succeeded' ? { state: 'succeeded' } : { state: 'queued' },
  usage: NO_USAGE,
  total: NO_USAGE,
});
const over = (phase: 'succeeded' | 'canceled'): RunEvent => ({
  type: 'phase_changed',
  from: { phase: 'running' },
  to: { phase },
});
const settled: RunEvent = { type: 'node_settled', node: 'a', state: 'succeeded', by: 'ann', reason: 'seen' };

/** One run `r`, and the attempts of its step that had their effect. */
function auditOf(
  events: readonly RunEvent[],
  effects: readonly number[],
  told: readonly Acknowledged[] = [],
) {
  const recorded = events.map((event, at): RecordedEvent => ({ seq: at + 1, atMs: at, event }));
  const lines = effects.map((attempt) => ({ effectKey: `r.1.${attempt}`, pid: 1, atMs: 1 }));
  return audit({ runs: new Map([['r', recorded]]), lines, acknowledged: told });
}

const rules = (found: readonly Found[]): string[] => found.map(({ rule }) => rule);

describe('nothing to find', () => {
  test.each([
    ['a step that is done', [created, claimed(1), started(1), ended(1, 'succeeded'), over('succeeded')], [1]],
    [
      'a step that had not started',
      [
        created,
        claimed(1),
        started(1),
        claimed(2),
        ended(1, 'not_started'),
        started(2),
        ended(2, 'succeeded'),
        over('succeeded'),
      ],
      [2],
    ],
    [
      'a failure that is tried again',
      [
        created,
        claimed(1),
        started(1),
        ended(1, 'failed'),
        started(2, 1),
        ended(2, 'succeeded'),
        over('succeeded'),
      ],
      [1, 2],
    ],
    [
      'a step that somebody settled',
      [created, claimed(1), started(1), ended(1, 'unknown'), settled, over('succeeded')],
      [1],
    ],
  ] as const)('%s', (_, events, effects) => {
    expect(auditOf(events, effects)).toMatchObject({ findings: [], reported: 0 });
  });

  test('an effect again after an unknown outcome is counted: the run says so', () => {
    const events = [
      created,
      claimed(1),
      started(1),
      claimed(2),
      ended(1, 'unknown'),
      started(2),
      ended(2, 'succeeded'),
      over('succeeded'),
    ];
    expect(auditOf(events, [1, 2])).toMatchObject({ findings: [], reported: 1, unknown: 1, unknownDone: 1 });
  });
});

describe('found', () => {
  const done = [created, claimed(1), started(1), ended(1, 'succeeded'), over('succeeded')];
  test.each([
    ['a step that succeeded without its effect', done, [], ['lost']],
    ['an attempt with its effect twice', done, [1, 1], ['doubled']],
    ['an effect that nobody started', done, [1, 9], ['unrecorded']],
    [
      'an effect of what is said not to have started, and again',
      [
        created,
        claimed(1),
        started(1),
        claimed(2),
        ended(1, 'not_started'),
        started(2),
        ended(2, 'succeeded'),
        over('succeeded'),
      ],
      [1, 2],
      ['unrecorded', 'doubled'],
    ],
    [
      'an effect again after it was done',
      [
        created,
        claimed(1),
        started(1),
        ended(1, 'succeeded'),
        started(2, 1),
        ended(2, 'succeeded'),
        over('succeeded'),
      ],
      [1, 2],
      ['doubled'],
    ],
    [
      'a start under a lease that is lost',
      [created, claimed(1), claimed(2), started(1, 1), ended(1, 'succeeded'), over('succeeded')],
      [1],
      ['stale'],
    ],
    [
      'an epoch that does not rise',
      [created, claimed(1), claimed(1), started(1), ended(1, 'succeeded'), over('succeeded')],
      [1],
      ['stale'],
    ],
    ['a run that does not end', done.slice(0, -1), [1], ['stuck']],
    ['an attempt that does not end', [created, claimed(1), started(1), over('canceled')], [1], ['stuck']],
    ['a run that succeeded without its step', [created, claimed(1), over('succeeded')], [], ['lost']],
    [
      'a step that was settled and never done',
      [created, claimed(1), started(1), ended(1, 'unknown'), settled, over('succeeded')],
      [],
      ['lost'],
    ],
  ] as const)('%s', (_, events, effects, expected) => {
    expect(rules(auditOf(events, effects).findings)).toEqual(expected);
  });

  test.each([
    ['a submission without its run', { what: 'submit', run: 'gone' }],
    ['a cancel without effect', { what: 'cancel', run: 'r' }],
    ['an approval that is not there', { what: 'approve', run: 'r', reason: 'fine', tries: 1 }],
    ['a settlement that is not there', { what: 'mark_done', run: 'r', reason: 'fine', steps: 1 }],
  ] as const)('I1: %s', (_, told) => {
    expect(rules(auditOf(done, [1], [told]).findings)).toEqual(['lost']);
  });

  test('an approval that is there more often than it was sent', () => {
    const approval = {
      type: 'approval_recorded',
      checkpoint: 4,
      by: 'ann',
      reason: 'fine',
      binds: '',
    } as const;
    const told = { what: 'approve', run: 'r', reason: 'fine', tries: 1 } as const;
    expect(rules(auditOf([...done, approval, approval], [1], [told]).findings)).toEqual(['doubled']);
  });
});

// That a campaign finds them is tried by hand (docs/testing.md): each takes a minute or more.
test.each(Object.keys(PLANTED))('the planted fault %s still fits the built program', (name) => {
  const { program, remove } = plant(name);
  expect(program).toMatch(/reeve\.js$/);
  remove();
});
