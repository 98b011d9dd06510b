import type { Limits } from '../../model/budget.ts';
import type { UsageKey } from '../../model/usage.ts';

/** How limits are named where people set them: the key, and how many of its units one of theirs is. */
const FIELDS: readonly (readonly [name: string, key: UsageKey, factor: number])[] = [
  ['max_wall_time_seconds', 'wallMs', 1000],
  ['max_retries', 'retries', 1],
  ['max_step_count', 'steps', 1],
  ['max_tool_calls', 'toolCalls', 1],
  ['max_tokens', 'tokens', 1],
  ['max_estimated_cost', 'costMicros', 1_000_000],
];

/** The limits that are given; undefined when none is. 0 takes a limit away. */
export function limitsFrom(given: (name: string) => number | undefined): Limits | undefined {
  const found = FIELDS.flatMap(([name, key, factor]): [UsageKey, number][] => {
    const value = given(name);
    // A limit below one unit still limits: 0 would not.
    return value === undefined ? [] : [[key, value === 0 ? 0 : Math.max(1, Math.round(value * factor))]];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
