/** Budgets as bars: how much of a limit is used. */
import type { BudgetView } from '../../doors/jobs/view.ts';
import { amountText, BUDGET_NAMES } from '../../evidence/amounts.ts';
import type { Style } from './colour.ts';
import { styled, type Span } from './text.ts';

export { BUDGET_NAMES };

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
  return limit === undefined
    ? amountText(key, used)
    : `${amountText(key, used)} of ${amountText(key, limit)}`;
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
