import type { Limits } from '../model/budget.ts';
import type { UsageKey } from '../model/usage.ts';
import type { Flags } from './command.ts';

const FLAGS: readonly (readonly [flag: string, key: UsageKey, factor: number])[] = [
  ['max-wall-time-seconds', 'wallMs', 1000],
  ['max-retries', 'retries', 1],
  ['max-step-count', 'steps', 1],
  ['max-tool-calls', 'toolCalls', 1],
  ['max-tokens', 'tokens', 1],
  ['max-estimated-cost', 'costMicros', 1_000_000],
];

/** The limits that were given; undefined when none was. 0 takes a limit away. */
export function limitsFrom(flags: Flags): Limits | undefined {
  const given = FLAGS.flatMap(([flag, key, factor]): [UsageKey, number][] => {
    const value = flags.number(flag);
    // A limit below one unit still limits: 0 would not.
    return value === undefined ? [] : [[key, value === 0 ? 0 : Math.max(1, Math.round(value * factor))]];
  });
  return given.length === 0 ? undefined : Object.fromEntries(given);
}
