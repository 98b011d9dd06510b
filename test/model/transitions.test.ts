import { expect, test } from 'vitest';
import { isTerminal, mayChange, type HoldKind, type Standing } from '../../src/model/transitions.ts';

const HOLDS: readonly HoldKind[] = ['paused', 'decision', 'budget', 'error', 'outcome_unknown'];
const ALL = ['queued', 'running', ...HOLDS, 'succeeded', 'failed', 'canceled'];

/** Contract wrkr §c, with `error` and `outcome_unknown` both reading as `blocked_error`. */
const TABLE: Record<string, readonly string[]> = {
  queued: ['running', 'canceled'],
  running: [...HOLDS, 'succeeded', 'failed', 'canceled'],
  paused: ['running', 'error', 'outcome_unknown', 'canceled'],
  decision: ['running', 'error', 'outcome_unknown', 'canceled'],
  budget: ['running', 'error', 'outcome_unknown', 'canceled'],
  error: ['running', 'canceled'],
  outcome_unknown: ['running', 'canceled'],
  succeeded: [],
  failed: [],
  canceled: [],
};

function standing(word: string): Standing {
  const hold = HOLDS.find((kind) => kind === word);
  return hold === undefined ? { phase: word as 'queued' } : { phase: 'held', hold };
}

test.each(ALL.flatMap((from) => ALL.map((to) => [from, to] as const)))(
  'W4: %s → %s is as the table says',
  (from, to) => {
    expect(mayChange(standing(from), standing(to))).toBe(TABLE[from]?.includes(to));
  },
);

test('I6: succeeded, failed and canceled are terminal, and nothing else is', () => {
  expect(ALL.filter((word) => isTerminal(standing(word)))).toEqual(['succeeded', 'failed', 'canceled']);
});
