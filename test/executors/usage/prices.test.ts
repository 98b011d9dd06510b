import { describe, expect, test } from 'vitest';
import { createUsageSource, parsePrices, USAGE_SOURCES } from '../../../src/executors/process/usage/index.ts';
import { BUILT_IN_PRICES, findPrice } from '../../../src/executors/process/usage/prices.ts';

const each = (dollars: number) => ({
  input: dollars,
  output: dollars,
  cacheWrite: dollars,
  cacheRead: dollars,
});

describe('finding a price', () => {
  test.each([
    ['claude-opus-5', 5],
    ['claude-opus-5-5', 4],
    ['claude-opus-5-5[1m]', 4],
    ['claude-haiku-4-5-20251001', 1],
    ['claude-haiku-4-5@20251001', 1],
    ['gpt-5.4-2026-03-05', 2.5],
  ])('%s has a built-in price', (model, input) => {
    expect(findPrice(model)?.input).toBe(input);
  });

  test.each([
    undefined,
    '',
    'gpt',
    'gpt-5.5-pro',
    'gpt-5.4-mini',
    'claude-opus-5-6',
    'claude-opus-50',
    'us.anthropic.claude-opus-5',
  ])('%s has none: another model is not priced by its neighbour', (model) => {
    expect(findPrice(model)).toBeUndefined();
  });

  test("the longest prefix of the caller's wins, and the caller's come first", () => {
    const prices = { 'claude-': each(1), 'claude-opus-5-*': each(2), '*': each(3) };
    expect(findPrice('claude-opus-5-5', prices)).toEqual(each(2));
    expect(findPrice('claude-opus-5', prices)).toEqual(each(1));
    expect(findPrice('gpt-6-sol', prices)).toEqual(each(3));
    expect(findPrice(undefined, prices)).toEqual(each(3));
    expect(findPrice('gpt-6-sol', { 'gpt-7': each(9) })?.input).toBe(2);
  });
});

test('the built-in table keeps to the form asked of others', () => {
  expect(parsePrices(BUILT_IN_PRICES)).toEqual(BUILT_IN_PRICES);
});

test('a price for long prompts is parsed', () => {
  const prices = { m: { ...each(1), longPrompt: { overTokens: 10, ...each(2) } } };
  expect(parsePrices(prices)).toEqual(prices);
});

test.each([
  [[], 'prices: expected an object'],
  [{ m: 3 }, 'prices.m: expected an object'],
  [{ m: { input: 1 } }, 'prices.m.output: '],
  [{ m: { ...each(1), input: -1 } }, 'prices.m.input: '],
  [{ m: { ...each(1), cacheRead: '1' } }, 'prices.m.cacheRead: '],
  [{ m: { ...each(1), outputs: 1 } }, 'prices.m.outputs: not a price'],
  [{ m: { ...each(1), longPrompt: { overTokens: 1.5, ...each(1) } } }, 'prices.m.longPrompt.overTokens: '],
  [{ m: { ...each(1), longPrompt: { overTokens: 1 } } }, 'prices.m.longPrompt.input: '],
])('%j is refused', (prices, message) => {
  expect(() => parsePrices(prices)).toThrow(TypeError);
  expect(() => parsePrices(prices)).toThrow(message);
});

test('every name in the list opens a source that has seen nothing', () => {
  for (const name of USAGE_SOURCES) {
    expect(createUsageSource(name, { requirePrices: true }).report()).toEqual({
      tokens: 0,
      toolCalls: 0,
      costMicros: 0,
    });
  }
});
