import type { UsageReport } from '../usage-source.ts';

/** Dollars per million tokens, which is also millionths of a dollar per token. */
export interface TokenRates {
  readonly input: number;
  readonly output: number;
  /** Input written to the provider's cache. Where writing costs nothing extra, the same as `input`. */
  readonly cacheWrite: number;
  /** Input read from the provider's cache. */
  readonly cacheRead: number;
}

export interface ModelPrice extends TokenRates {
  /** The rates of a whole request whose prompt, cache included, is longer than this. */
  readonly longPrompt?: TokenRates & { readonly overTokens: number };
}

/** Prices by the beginning of the model's name; the longest that fits applies. `*` at the end is allowed; alone it fits all. */
export type PriceTable = Readonly<Record<string, ModelPrice>>;

export interface TokenCounts {
  /** Input neither written to a cache nor read from one. */
  readonly input: number;
  readonly output: number;
  readonly cacheWrite: number;
  readonly cacheRead: number;
}

const rates = (input: number, output: number, cacheWrite: number, cacheRead: number): ModelPrice => ({
  input,
  output,
  cacheWrite,
  cacheRead,
});

/**
 * Public list prices as published on 2026-10-27, standard service. They age: a job's own prices come first.
 * Discounts, fast modes, regional surcharges and charges per search are not in here. A promotion is not either (for
 * gpt-5.6-sol the full price stands), since the estimate errs on the dear side.
 */
export const BUILT_IN_PRICES: PriceTable = {
  'claude-fable-5-1': rates(10, 50, 12.5, 0.25),
  'claude-fable-5': rates(10, 50, 12.5, 1),
  'claude-opus-5-5': rates(4, 20, 5, 0.2),
  'claude-opus-5': rates(5, 25, 6.25, 0.5),
  'claude-opus-4-8': rates(5, 25, 6.25, 0.5),
  'claude-opus-4-7': rates(5, 25, 6.25, 0.5),
  'claude-opus-4-6': rates(5, 25, 6.25, 0.5),
  'claude-opus-4-5': rates(5, 25, 6.25, 0.5),
  'claude-sonnet-5-5': rates(2, 10, 2.5, 0.1),
  'claude-sonnet-5': rates(2, 10, 2.5, 0.2),
  'claude-sonnet-4-6': rates(3, 15, 3.75, 0.3),
  'claude-haiku-5-5': {
    ...rates(0.1, 0.5, 0.125, 0.01),
    longPrompt: { overTokens: 100_000, ...rates(0.5, 2.5, 0.625, 0.05) },
  },
  'claude-haiku-4-5': rates(1, 5, 1.25, 0.1),
  'gpt-6-astra': rates(10, 50, 12.5, 1),
  'gpt-6.1-terra': rates(1, 5, 1.25, 0.05),
  'gpt-6-sol': rates(2, 10, 2.5, 0.2),
  'gpt-6-luna': rates(0.1, 0.5, 0.125, 0.01),
  'gpt-5.6-sol': rates(5, 30, 6.25, 0.5),
  'gpt-5.6-terra': rates(2, 12, 2.5, 0.2),
  'gpt-5.6-luna': rates(0.2, 1.2, 0.25, 0.02),
  'gpt-5.5': rates(5, 30, 5, 0.5),
  'gpt-5.4': rates(2.5, 15, 2.5, 0.25),
  'gpt-5.3-codex': rates(1.75, 14, 1.75, 0.175),
};

/**
 * What may follow a built-in name: a date, a revision, a context size. Anything else is another model: `gpt-5.5` must
 * not price `gpt-5.5-pro`, which costs six times as much.
 */
const SAME_MODEL = /^(?:[-@]\d{8}|-\d{4}-\d{2}-\d{2}|-latest)?(?:-v\d+(?::\d+)?)?(?:\[1m\])?$/;

/**
 * The price of a model, or undefined. What fits in the caller's table comes before the built-in one, however short,
 * since the caller knows the contract. A stream that names no model is priced by `*` alone.
 */
export function findPrice(model: string | undefined, prices: PriceTable = {}): ModelPrice | undefined {
  const name = model ?? '';
  return (
    longestPrefix(name, prices, () => true) ??
    longestPrefix(name, BUILT_IN_PRICES, (rest) => SAME_MODEL.test(rest))
  );
}

function longestPrefix(
  name: string,
  prices: PriceTable,
  mayFollow: (rest: string) => boolean,
): ModelPrice | undefined {
  let best: { readonly length: number; readonly price: ModelPrice } | undefined;
  for (const [key, price] of Object.entries(prices)) {
    const prefix = key.endsWith('*') ? key.slice(0, -1) : key;
    if (!name.startsWith(prefix) || !mayFollow(name.slice(prefix.length))) continue;
    if (best === undefined || prefix.length > best.length) best = { length: prefix.length, price };
  }
  return best?.price;
}

/** Millionths of a dollar, unrounded. */
export function costOf(tokens: TokenCounts, price: TokenRates): number {
  return (
    tokens.input * price.input +
    tokens.output * price.output +
    tokens.cacheWrite * price.cacheWrite +
    tokens.cacheRead * price.cacheRead
  );
}

export function unknownPrice(agent: string, model: string | undefined): NonNullable<UsageReport['problem']> {
  const what =
    model === undefined
      ? `${agent} does not say which model it uses; name the model in the job`
      : `no price is known for model ${JSON.stringify(model)} of ${agent}`;
  return {
    code: 'E_UNKNOWN_PRICE',
    message:
      `${what}, so a budget for cost would count it as free. Add to the job's prices, in dollars per million tokens: ` +
      `{${JSON.stringify(model ?? '*')}: {"input": …, "output": …, "cacheWrite": …, "cacheRead": …}}`,
  };
}

const RATES = ['input', 'output', 'cacheWrite', 'cacheRead'] as const;

/** Checks prices that a job or a file gives. @throws TypeError naming the model and the field. */
export function parsePrices(value: unknown): PriceTable {
  const models = Object.entries(parseObject(value, 'prices'));
  if (models.length > 1000) throw new TypeError(`prices: at most 1000 models, got ${models.length}`);
  return Object.fromEntries(models.map(([model, price]) => [model, parsePrice(price, `prices.${model}`)]));
}

function parsePrice(value: unknown, field: string): ModelPrice {
  const { longPrompt, ...price } = parseObject(value, field);
  const plain = parseRates(price, field);
  if (longPrompt === undefined) return plain;
  const { overTokens, ...long } = parseObject(longPrompt, `${field}.longPrompt`);
  if (typeof overTokens !== 'number' || !Number.isSafeInteger(overTokens) || overTokens < 0) {
    throw new TypeError(`${field}.longPrompt.overTokens: expected a whole number of tokens`);
  }
  return { ...plain, longPrompt: { overTokens, ...parseRates(long, `${field}.longPrompt`) } };
}

function parseRates(price: Readonly<Record<string, unknown>>, field: string): TokenRates {
  const unknown = Object.keys(price).find((key) => !RATES.some((rate) => rate === key));
  if (unknown !== undefined)
    throw new TypeError(`${field}.${unknown}: not a price; the prices are ${RATES.join(', ')}`);
  const rate = (key: (typeof RATES)[number]): number => {
    const dollars = price[key];
    if (typeof dollars === 'number' && dollars >= 0 && dollars <= 1_000_000) return dollars;
    throw new TypeError(`${field}.${key}: expected dollars per million tokens, from 0 to 1000000`);
  };
  return rates(rate('input'), rate('output'), rate('cacheWrite'), rate('cacheRead'));
}

function parseObject(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new TypeError(`${field}: expected an object`);
}
