/** Amounts as people read them at a glance. */
import type { UsageKey } from '../model/usage.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const BUDGET_NAMES: Readonly<Record<UsageKey, string>> = {
  wallMs: 'running time',
  steps: 'steps',
  toolCalls: 'tool calls',
  retries: 'retries',
  tokens: 'tokens',
  costMicros: 'cost',
};

/** `0.3s`, `42s`, `1m 05s`, `2h 03m`, `3d 04h`. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.floor(ms));
  if (whole < 10 * SECOND) return `${(Math.floor(whole / 100) / 10).toFixed(1)}s`;
  if (whole < MINUTE) return `${Math.floor(whole / SECOND)}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m ${two((whole % MINUTE) / SECOND)}s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h ${two((whole % HOUR) / MINUTE)}m`;
  return `${Math.floor(whole / DAY)}d ${two((whole % DAY) / HOUR)}h`;
}

/** `1,200`, `12s`, `$0.40`. */
export function amountText(key: UsageKey, value: number): string {
  if (key === 'wallMs') return duration(value);
  if (key === 'costMicros') return `$${(value / 1_000_000).toFixed(value % 10_000 === 0 ? 2 : 4)}`;
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

function two(amount: number): string {
  return String(Math.floor(amount)).padStart(2, '0');
}
