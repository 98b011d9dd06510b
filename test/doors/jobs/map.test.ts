import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkpointId,
  parseCheckpointId,
  parseStatus,
  standingOf,
  STATUSES,
  statusOf,
  type Status,
} from '../../../src/doors/jobs/map.ts';
import { formatTime, parseTime } from '../../../src/doors/jobs/time.ts';
import { mayChange } from '../../../src/model/transitions.ts';
import { expectCode } from './support.ts';

/** The table of contract wrkr §c, word for word. */
const TABLE: Readonly<Record<Status, readonly Status[]>> = {
  queued: ['running', 'canceled'],
  running: ['paused', 'blocked_decision', 'blocked_budget', 'blocked_error', 'completed', 'canceled'],
  paused: ['running', 'blocked_error', 'canceled'],
  blocked_decision: ['running', 'blocked_error', 'canceled'],
  blocked_budget: ['running', 'blocked_error', 'canceled'],
  blocked_error: ['running', 'canceled'],
  completed: [],
  canceled: [],
};

describe('W4: status pairs', () => {
  const pairs = STATUSES.flatMap((from) => STATUSES.map((to) => [from, to] as const));

  test('there are 64', () => {
    expect(pairs).toHaveLength(64);
  });

  test.each(pairs)('%s → %s as in the table', (from, to) => {
    expect(mayChange(standingOf(from), standingOf(to))).toBe(TABLE[from].includes(to));
  });
});

test('every status maps to a standing and back', () => {
  for (const status of STATUSES) expect(statusOf(standingOf(status))).toBe(status);
});

test('what wrkr has no word for reads as an error', () => {
  expect(statusOf({ phase: 'held', hold: 'outcome_unknown' })).toBe('blocked_error');
  expect(statusOf({ phase: 'failed' })).toBe('blocked_error');
});

test('an unknown status is refused', async () => {
  expect(parseStatus('paused')).toBe('paused');
  for (const word of ['', 'Running', 'done', 'constructor']) {
    await expectCode('E_INVALID_INPUT_SCHEMA', () => parseStatus(word));
  }
});

describe('W28: checkpoint ids', () => {
  test('the canonical form of any sequence number comes back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (seq) => {
        expect(parseCheckpointId(checkpointId(seq))).toBe(seq);
      }),
    );
  });

  test.each([
    'cp_011',
    'cp_0',
    'cp_',
    'cp_-1',
    'cp_+1',
    'cp_1.0',
    'cp_1e3',
    ' cp_1',
    'cp_1\n',
    'CP_1',
    '1',
    'cp_9007199254740993',
    'cp_99999999999999999999',
  ])('%j is refused', async (id) => {
    const error = await expectCode('E_INVALID_INPUT_SCHEMA', () => parseCheckpointId(id));
    expect(error.details).toMatchObject({ checkpoint_id: id });
  });
});

describe('times', () => {
  test('W46: no time ends in a fraction zero, and every time comes back', () => {
    const ms = fc.integer({ min: Date.UTC(0, 0, 1), max: Date.UTC(9999, 11, 31, 23, 59, 59, 999) });
    fc.assert(
      fc.property(ms, (at) => {
        const text = formatTime(at);
        expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,2}[1-9])?Z$/);
        expect(parseTime(text)).toBe(at);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    [0, '1970-01-01T00:00:00Z'],
    [500, '1970-01-01T00:00:00.5Z'],
    [10_120, '1970-01-01T00:00:10.12Z'],
    [10, '1970-01-01T00:00:00.01Z'],
    [600_000, '1970-01-01T00:10:00Z'],
  ])('%i ms is %s', (ms, text) => {
    expect(formatTime(ms)).toBe(text);
  });

  test('what RFC 3339 cannot say is refused', () => {
    expect(() => formatTime(Date.UTC(10_000, 0, 1))).toThrow(RangeError);
    expect(() => formatTime(Number.NaN)).toThrow(RangeError);
  });

  test.each([
    ['2026-01-02T03:04:05.500Z', 500],
    ['2026-01-02T03:04:05.000000001Z', 0],
    ['2026-01-02T03:04:05.999999999999Z', 999],
    ['2026-01-02t03:04:05z', 0],
    ['2026-01-02T05:34:05+02:30', 0],
    ['2026-01-02T00:04:05-03:00', 0],
  ])('%s is read', (text, ms) => {
    expect(parseTime(text)).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, ms));
  });

  test.each([
    '',
    '2026-01-02',
    '2026-01-02T03:04Z',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-02T24:00:00Z',
    '2026-01-02T03:60:00Z',
    '2026-01-02T03:04:60Z',
    '2026-01-02T03:04:05',
    '2026-01-02 03:04:05Z',
    '2026-01-02T03:04:05,5Z',
    '2026-01-02T03:04:05+24:00',
    '2025-02-29T00:00:00Z',
    '2026-01-00T00:00:00Z',
  ])('%j is no time', (text) => {
    expect(parseTime(text)).toBeUndefined();
  });
});
