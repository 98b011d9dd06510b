/**
 * What work has used, or may use. All six are whole numbers ≥ 0, so that sums are exact and the same everywhere.
 *
 * - `wallMs`: milliseconds the run spent running (waiting does not count).
 * - `steps`: nodes completed.  `retries`: attempts after a node's first.
 * - `toolCalls`: commands executed, plus the calls those commands report.
 * - `tokens`: model tokens.  `costMicros`: estimated cost in millionths of a dollar.
 */
export interface Usage {
  readonly wallMs: number;
  readonly steps: number;
  readonly retries: number;
  readonly toolCalls: number;
  readonly tokens: number;
  readonly costMicros: number;
}
export type UsageKey = keyof Usage;
export const USAGE_KEYS = [
  'wallMs',
  'retries',
  'steps',
  'toolCalls',
  'costMicros',
  'tokens',
] as const satisfies readonly UsageKey[];

export const NO_USAGE: Usage = { wallMs: 0, steps: 0, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 };

/**
 * What may be believed of a usage that work reported about itself: tokens, cost and calls, as whole numbers ≥ 0, rounded
 * up. Time, steps and retries are counted by the run; anything else is no number and counts nothing.
 */
export function reportedUsage(usage: Partial<Usage>): Partial<Usage> {
  const found: { -readonly [K in UsageKey]?: number } = {};
  for (const key of ['toolCalls', 'tokens', 'costMicros'] as const) {
    const value = Math.min(Math.ceil(usage[key] ?? 0), REPORTED_MAX);
    if (value > 0) found[key] = value; // false for NaN
  }
  return found;
}
/** Sums of some thousands of these are still exact. */
const REPORTED_MAX = 2 ** 40;

/** Sum of two usages; absent keys count as 0. */
export function addUsage(a: Usage, b: Partial<Usage>): Usage {
  return {
    wallMs: a.wallMs + (b.wallMs ?? 0),
    steps: a.steps + (b.steps ?? 0),
    retries: a.retries + (b.retries ?? 0),
    toolCalls: a.toolCalls + (b.toolCalls ?? 0),
    tokens: a.tokens + (b.tokens ?? 0),
    costMicros: a.costMicros + (b.costMicros ?? 0),
  };
}

/** `a` less `b`, never below 0 in any key. */
export function subtractUsage(a: Usage, b: Partial<Usage>): Usage {
  return {
    wallMs: Math.max(0, a.wallMs - (b.wallMs ?? 0)),
    steps: Math.max(0, a.steps - (b.steps ?? 0)),
    retries: Math.max(0, a.retries - (b.retries ?? 0)),
    toolCalls: Math.max(0, a.toolCalls - (b.toolCalls ?? 0)),
    tokens: Math.max(0, a.tokens - (b.tokens ?? 0)),
    costMicros: Math.max(0, a.costMicros - (b.costMicros ?? 0)),
  };
}
