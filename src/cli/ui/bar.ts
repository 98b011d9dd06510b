/** Budgets as bars: how much of a limit is used. */
import type { BudgetView } from '../../doors/jobs/view.ts';
import type { UsageKey } from '../../model/usage.ts';
import type { Style } from './colour.ts';
import { styled, type Span } from './text.ts';
import { duration } from './time.ts';

export const BUDGET_NAMES: Readonly<Record<UsageKey, string>> = {
  wallMs: 'running time',
  steps: 'steps',
  toolCalls: 'tool calls',
  retries: 'retries',
  tokens: 'tokens',
  costMicros: 'cost',
};

/** Full only when all is used, empty only when nothing is. */
export function bar(used: number, limit: number, cells: number, style: Style = 'plain'): Span[] {
  const share = limit <= 0 ? 1 : used / limit;
  const most = share < 1 ? cells - 1 : cells;
  const full = Math.max(used > 0 ? 1 : 0, Math.min(most, Math.round(share * cells)));
  return [
    styled('█'.repeat(Math.min(full, cells)), style),
    styled('░'.repeat(Math.max(0, cells - full)), 'dim'),
  ];
}

export function budgetStyle({ used, limit }: BudgetView): Style {
  if (limit === undefined) return 'plain';
  if (used > limit) return 'red';
  return used >= 0.75 * limit ? 'yellow' : 'green';
}

/** `8 of 10`, `12s of 1m 00s`, `$0.40 of $2.00`. */
export function budgetText({ key, used, limit }: BudgetView): string {
  return limit === undefined ? amount(key, used) : `${amount(key, used)} of ${amount(key, limit)}`;
}

function amount(key: UsageKey, value: number): string {
  if (key === 'wallMs') return duration(value);
  if (key === 'costMicros') return `$${(value / 1_000_000).toFixed(value % 10_000 === 0 ? 2 : 4)}`;
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

/** The limit that will be reached first. */
export function nearestLimit(budget: readonly BudgetView[]): BudgetView | undefined {
  const share = ({ used, limit }: BudgetView): number => (limit === undefined ? -1 : used / limit);
  return budget
    .filter(({ limit }) => limit !== undefined)
    .reduce<BudgetView | undefined>(
      (nearest, each) => (nearest === undefined || share(each) > share(nearest) ? each : nearest),
      undefined,
    );
}
