import type { UsageSource } from '../usage-source.ts';
import { ClaudeCodeUsage } from './claude-code.ts';
import { CodexUsage } from './codex.ts';
import type { PriceTable } from './prices.ts';

export { parsePrices, type PriceTable } from './prices.ts';

/** Every agent whose stream is understood, for the schema that checks the name in a job. */
export const USAGE_SOURCES = ['claude-code', 'codex'] as const;
export type UsageSourceName = (typeof USAGE_SOURCES)[number];

const SOURCES: Readonly<
  Record<UsageSourceName, new (prices: PriceTable, requirePrices: boolean, model?: string) => UsageSource>
> = { 'claude-code': ClaudeCodeUsage, codex: CodexUsage };

export interface UsageSourceOptions {
  /** Come before the built-in prices, which are a snapshot of public list prices. */
  readonly prices?: PriceTable | undefined;
  /** True when a budget for cost applies: then use that cannot be priced is a problem, not free. */
  readonly requirePrices: boolean;
  /** The model the job asks for, until the stream names another. Codex names none. */
  readonly model?: string | undefined;
}

/**
 * A reader of one attempt's stream. Its tokens, tool calls and cost never fall while lines pass. `agentError` may be
 * withdrawn by a later line; it counts once the stream has ended.
 */
export function createUsageSource(name: UsageSourceName, options: UsageSourceOptions): UsageSource {
  const { prices = {}, requirePrices, model } = options;
  return new SOURCES[name](prices, requirePrices, model);
}
