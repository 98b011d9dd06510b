import { describe, expect, test } from 'vitest';
import { evaluate, type Sample } from '../../../../src/doors/agents/control/rollouts/criteria.ts';
import { CRITERIA_DEFAULTS, type Criteria } from '../../../../src/doors/agents/control/rollouts/spec.ts';

const tasks = (...outcomes: Sample['outcome'][]): Sample[] =>
  outcomes.map((outcome, index) => ({ agentId: `a${index}`, outcome }));
const many = (count: number, outcome: Sample['outcome']): Sample['outcome'][] =>
  Array.from({ length: count }, () => outcome);
const judge = (
  criteria: Partial<Criteria>,
  samples: readonly Sample[],
  health?: { ok: boolean; actual: number },
) =>
  evaluate({ ...CRITERIA_DEFAULTS, ...criteria }, samples, {
    elapsedS: 7,
    ...(health === undefined ? {} : { health }),
  });
const named = (name: string, verdict: ReturnType<typeof judge>) =>
  verdict.criteria.find((one) => one.name === name);

describe('J24 criteria', () => {
  test('by default all have to succeed', () => {
    expect(judge({}, tasks('succeeded', 'succeeded')).verdict).toBe('pass');
    expect(judge({}, tasks('succeeded', 'failed'))).toMatchObject({
      verdict: 'fail',
      criteria: [
        { name: 'min_success_rate', limit: 1, actual: 0.5, ok: false },
        { name: 'max_failures', limit: 0, actual: 1, ok: false },
        { name: 'deadline_s', limit: 3600, actual: 7, ok: true },
      ],
    });
  });

  test.each(['failed', 'refused', 'timed_out', 'lost', 'cancelled', 'unfinished'] as const)(
    '%s is a failure',
    (outcome) => {
      expect(named('max_failures', judge({}, tasks('succeeded', outcome)))).toMatchObject({
        actual: 1,
        ok: false,
      });
    },
  );

  test('a limit that is just met is met', () => {
    const samples = tasks(...many(9, 'succeeded'), 'failed');
    expect(judge({ min_success_rate: 0.9, max_failures: 1 }, samples).verdict).toBe('pass');
    expect(judge({ min_success_rate: 0.91, max_failures: 1 }, samples).verdict).toBe('fail');
    expect(judge({ min_success_rate: 0.9, max_failures: 0 }, samples).verdict).toBe('fail');
  });

  test('what was skipped counts as it is told', () => {
    const samples = tasks('succeeded', 'skipped');
    expect(judge({ skipped_counts_as: 'ignore' }, samples).verdict).toBe('pass');
    expect(judge({ skipped_counts_as: 'success' }, samples).verdict).toBe('pass');
    expect(judge({ skipped_counts_as: 'failure' }, samples).verdict).toBe('fail');
  });

  test('where nothing was checked nothing passes', () => {
    expect(judge({}, tasks('skipped', 'skipped')).verdict).toBe('fail');
    expect(judge({ min_success_rate: 0 }, []).verdict).toBe('pass');
  });

  test('p95 is the nearest rank', () => {
    const samples = Array.from({ length: 20 }, (_, index) => ({
      agentId: `a${index}`,
      outcome: 'succeeded' as const,
      durationMs: (index + 1) * 10,
    }));
    expect(named('max_p95_duration_ms', judge({ max_p95_duration_ms: 190 }, samples))).toMatchObject({
      actual: 190,
      ok: true,
    });
    expect(judge({ max_p95_duration_ms: 189 }, samples).verdict).toBe('fail');
  });

  test('findings are counted over all reports, each severity by itself', () => {
    const samples: Sample[] = [
      { agentId: 'a', outcome: 'succeeded', findings: { high: 1, low: 5 } },
      { agentId: 'b', outcome: 'succeeded', findings: { high: 1 } },
    ];
    expect(judge({ max_findings: { high: 2, low: 5 } }, samples).verdict).toBe('pass');
    expect(named('max_findings.high', judge({ max_findings: { high: 1 } }, samples))).toMatchObject({
      actual: 2,
      ok: false,
    });
  });

  test('required agents and the gate', () => {
    const samples = tasks('succeeded', 'skipped');
    expect(judge({ required_agents: ['a0'] }, samples).verdict).toBe('pass');
    expect(named('required_agents', judge({ required_agents: ['a0', 'a1'] }, samples))).toMatchObject({
      actual: ['a0'],
      ok: false,
    });
    expect(
      judge({ health_gate: { url: 'http://h' } }, tasks('succeeded'), { ok: false, actual: 503 }).verdict,
    ).toBe('fail');
  });
});
