/** Whether what was seen is good enough (contract agents §7). Pure: the same tasks give the same verdict (J24). */
import type { Criteria } from './spec.ts';

/** One agent's task, as far as criteria ask. */
export interface Sample {
  readonly agentId: string;
  /** `unfinished`: it had not ended by the deadline. Whatever is not `succeeded` or `skipped` is a failure. */
  readonly outcome:
    | 'succeeded'
    | 'skipped'
    | 'failed'
    | 'refused'
    | 'timed_out'
    | 'cancelled'
    | 'lost'
    | 'unfinished';
  readonly durationMs?: number;
  /** By severity. */
  readonly findings?: Readonly<Record<string, number>>;
}

export interface CriterionResult {
  readonly name: string;
  readonly limit: unknown;
  readonly actual: unknown;
  readonly ok: boolean;
}

export interface Verdict {
  readonly verdict: 'pass' | 'fail';
  readonly criteria: readonly CriterionResult[];
}

export interface Surroundings {
  /** Seconds since the phase began, without pauses. */
  readonly elapsedS: number;
  /** What the gate answered: a status, or why there is none. Absent: there is no gate. */
  readonly health?: { readonly ok: boolean; readonly actual: number | string };
}

export function evaluate(criteria: Criteria, samples: readonly Sample[], around: Surroundings): Verdict {
  const skipped = criteria.skipped_counts_as;
  const isSuccess = ({ outcome }: Sample): boolean =>
    outcome === 'succeeded' || (outcome === 'skipped' && skipped === 'success');
  const counted = samples.filter(({ outcome }) => outcome !== 'skipped' || skipped !== 'ignore');
  const successes = counted.filter(isSuccess).length;
  const failures = counted.length - successes;
  // Where nothing was checked, nothing was shown.
  const rate = counted.length === 0 ? 0 : successes / counted.length;
  const late = samples.filter(({ outcome }) => outcome === 'unfinished').length;
  const results: CriterionResult[] = [
    atLeast('min_success_rate', criteria.min_success_rate, rate),
    atMost('max_failures', criteria.max_failures, failures),
    {
      name: 'deadline_s',
      limit: criteria.deadline_s,
      actual: around.elapsedS,
      ok: late === 0,
    },
  ];
  if (criteria.max_p95_duration_ms !== undefined)
    results.push(atMost('max_p95_duration_ms', criteria.max_p95_duration_ms, p95(samples) ?? 0));
  for (const [severity, limit] of Object.entries(
    (criteria.max_findings ?? {}) as Readonly<Record<string, number>>,
  )) {
    const found = samples.reduce((sum, { findings }) => sum + (findings?.[severity] ?? 0), 0);
    results.push(atMost(`max_findings.${severity}`, limit, found));
  }
  if (criteria.required_agents !== undefined) {
    const good = new Set(samples.filter(isSuccess).map(({ agentId }) => agentId));
    const actual = criteria.required_agents.filter((id) => good.has(id));
    const ok = actual.length === criteria.required_agents.length;
    results.push({ name: 'required_agents', limit: criteria.required_agents, actual, ok });
  }
  if (around.health !== undefined) {
    const { ok, actual } = around.health;
    results.push({ name: 'health_gate', limit: criteria.health_gate?.expect ?? 200, actual, ok });
  }
  return { verdict: results.every(({ ok }) => ok) ? 'pass' : 'fail', criteria: results };
}

function atLeast(name: string, limit: number, actual: number): CriterionResult {
  return { name, limit, actual, ok: actual >= limit };
}

function atMost(name: string, limit: number, actual: number): CriterionResult {
  return { name, limit, actual, ok: actual <= limit };
}

/** Nearest rank; undefined where nothing was timed. */
function p95(samples: readonly Sample[]): number | undefined {
  const times = samples.flatMap(({ durationMs }) => (durationMs === undefined ? [] : [durationMs]));
  return times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.95) - 1];
}
