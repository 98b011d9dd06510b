/**
 * Budgets (I7): work is handed out only for what is left after usage and open reservations, and settled when it ends.
 * Usage that nobody could know beforehand (tokens, cost, calls an agent reports) is charged as it is reported; what it
 * overshoots is recorded as it was, and stops the run.
 */
import { USAGE_KEYS, type Usage, type UsageKey } from './usage.ts';

/** Upper limits. An absent or zero limit does not limit. */
export type Limits = Partial<Usage>;

export interface Violation {
  readonly key: UsageKey;
  readonly limit: number;
  readonly usage: number;
}

/** The limits that `usage` is over, in the fixed order wall time, retries, steps, tool calls, cost, tokens. */
export function violations(limits: Limits, usage: Usage): readonly Violation[] {
  const found: Violation[] = [];
  for (const key of USAGE_KEYS) {
    const limit = limits[key];
    if (limit !== undefined && limit > 0 && usage[key] > limit) found.push({ key, limit, usage: usage[key] });
  }
  return found;
}

/** What is left of every limited key, never below 0; unlimited keys are absent. */
export function allowance(limits: Limits, usage: Usage): Partial<Usage> {
  const left: { -readonly [K in UsageKey]?: number } = {};
  for (const key of USAGE_KEYS) {
    const limit = limits[key];
    if (limit !== undefined && limit > 0) left[key] = Math.max(0, limit - usage[key]);
  }
  return left;
}

const WORDS: Record<UsageKey, string> = {
  wallMs: 'wall_time_seconds',
  retries: 'retry_count',
  steps: 'step_count',
  toolCalls: 'tool_call_count',
  costMicros: 'estimated_cost',
  tokens: 'tokens',
};

/** A violation in the words of the jobs contract: `step_count>3`, `estimated_cost>0.5000`. */
export function violationText(violation: Violation): string {
  return `${WORDS[violation.key]}>${limitText(violation.key, violation.limit)}`;
}

function limitText(key: UsageKey, limit: number): string {
  if (key === 'wallMs') return String(limit / 1000);
  if (key === 'costMicros') return (limit / 1_000_000).toFixed(4);
  return String(limit);
}
