import { describe, expect, test } from 'vitest';
import { createUsageSource, type PriceTable } from '../../../src/executors/process/usage/index.ts';
import type { UsageSource } from '../../../src/executors/process/usage-source.ts';
import { feed, linesOf, reportsOf } from './streams.ts';

const open = (prices?: PriceTable): UsageSource =>
  createUsageSource('claude-code', { prices, requirePrices: true });

interface MessageParts {
  readonly id?: string;
  readonly model?: string;
  readonly usage?: unknown;
  readonly content?: unknown;
  readonly session?: string;
}

function message({
  id = 'msg_1',
  model = 'claude-opus-5',
  usage,
  content = [],
  session = 's',
}: MessageParts): string {
  return JSON.stringify({ type: 'assistant', message: { id, model, content, usage }, session_id: session });
}

const result = (fields: object): string => JSON.stringify({ type: 'result', session_id: 's', ...fields });

describe('recorded streams', () => {
  test('a run with tools: messages count once, calls when they start, and the result settles the rest', () => {
    const reports = reportsOf(open(), linesOf('claude-code-tools'));
    expect(reports.map(({ tokens, toolCalls, costMicros }) => [tokens, toolCalls, costMicros])).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [12_005, 0, 30_018],
      [12_005, 0, 30_018],
      [12_005, 1, 30_018],
      [12_184, 2, 31_808],
      [12_184, 2, 31_808],
      [12_184, 2, 31_808],
      [25_230, 3, 36_670],
      [25_230, 3, 36_670],
      [25_230, 3, 36_670],
      [38_598, 3, 39_576],
      [40_743, 3, 39_809],
    ]);
    expect(reports.at(-1)).toMatchObject({
      model: 'claude-sonnet-5-5',
      sessionId: '3f0c9a5e-6b1d-4c57-9d7e-2a4f8b1c6e01',
    });
    expect(reports.at(-1)).not.toHaveProperty('agentError');
    expect(reports.at(-1)).not.toHaveProperty('problem');
  });

  test('a run with a sub-agent: each message has its own model, hour-long cache writes and long prompts cost more', () => {
    const lines = linesOf('claude-code-subagent-error');
    const source = open();
    const before = feed(source, lines.slice(0, -1));
    // Opus 177 788, and Haiku 1 050 for the short prompt and 94 355 for the long one.
    expect(before).toMatchObject({ tokens: 208_102, toolCalls: 3, costMicros: 273_193 });
    expect(before).not.toHaveProperty('problem');
    const after = feed(source, lines.slice(-1));
    expect(after).toEqual({
      ...before,
      agentError: 'error_max_turns: Reached maximum number of turns (3)',
    });
  });

  test('a run with partial messages that was cut off: the true output arrives with the delta', () => {
    const report = feed(open(), linesOf('claude-code-partial'));
    expect(report).toMatchObject({ tokens: 3100, toolCalls: 1, costMicros: 8460 });
  });

  test('a line that comes twice counts once', () => {
    const lines = linesOf('claude-code-tools');
    expect(
      feed(
        open(),
        lines.flatMap((line) => [line, line]),
      ),
    ).toEqual(feed(open(), lines));
  });
});

describe('tokens', () => {
  test('a message keeps the largest of each field, in whatever order its lines come', () => {
    const source = open();
    feed(source, [message({ usage: { input_tokens: 10, output_tokens: 90 } })]);
    const report = feed(source, [
      message({ usage: { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 5 } }),
    ]);
    expect(report.tokens).toBe(105);
  });

  test('messages without an id count each', () => {
    const line = JSON.stringify({ type: 'assistant', message: { usage: { output_tokens: 3 } } });
    expect(feed(open({ '*': price(1) }), [line, line]).tokens).toBe(6);
  });

  test('totals of several results run on within a session and add up over sessions', () => {
    const turn = (tokens: number, session: string): string =>
      result({
        modelUsage: { m: { inputTokens: tokens } },
        total_cost_usd: tokens / 1e6,
        session_id: session,
      });
    const report = feed(open(), [turn(10, 'a'), turn(30, 'a'), turn(5, 'b')]);
    expect(report).toMatchObject({ tokens: 35, costMicros: 35, sessionId: 'b' });
  });

  test('a message after a result adds to it, and the next total settles again', () => {
    const source = open({ 'm-': price(1) });
    feed(source, [
      message({ id: '1', model: 'm-1', usage: { input_tokens: 10 } }),
      result({ total_cost_usd: 5e-5 }),
    ]);
    const between = feed(source, [message({ id: '2', model: 'm-1', usage: { input_tokens: 10 } })]);
    expect(between).toMatchObject({ tokens: 20, costMicros: 60 });
    expect(feed(source, [result({ total_cost_usd: 7e-5 })])).toMatchObject({ tokens: 20, costMicros: 70 });
  });

  test('a result below the estimate leaves the estimate standing', () => {
    const source = open();
    const estimate = feed(source, [message({ usage: { input_tokens: 1000, output_tokens: 1000 } })]);
    expect(estimate.costMicros).toBe(30_000);
    const zeroed = { total_cost_usd: 0, usage: { input_tokens: 0 }, modelUsage: {} };
    expect(feed(source, [result(zeroed)])).toMatchObject({ tokens: 2000, costMicros: 30_000 });
  });

  test('a result without modelUsage settles by its usage', () => {
    const usage = {
      input_tokens: 1,
      cache_creation_input_tokens: 2,
      cache_read_input_tokens: 3,
      output_tokens: 4,
    };
    expect(feed(open(), [result({ usage, total_cost_usd: 0.1 })])).toMatchObject({
      tokens: 10,
      costMicros: 100_000,
    });
  });
});

describe('errors', () => {
  test('is_error counts whatever the subtype says, and the reason comes along', () => {
    const text = "There's an issue with the selected model (nonexistent).";
    const report = feed(open(), [result({ subtype: 'success', is_error: true, errors: [], result: text })]);
    expect(report.agentError).toBe(text);
  });

  test.each([
    [{ subtype: 'error_during_execution' }, 'error_during_execution'],
    [{ is_error: true }, 'the agent reported an error without saying which'],
    [{ subtype: 'error_max_budget_usd', errors: ['a', 7, 'b'] }, 'error_max_budget_usd: a; b'],
  ])('%j', (fields, expected) => {
    expect(feed(open(), [result(fields)]).agentError).toBe(expected);
  });

  test('the last result decides', () => {
    const report = feed(open(), [
      result({ is_error: true }),
      result({ subtype: 'success', is_error: false }),
    ]);
    expect(report).not.toHaveProperty('agentError');
  });
});

describe('unknown price', () => {
  const unknown = message({ model: 'claude-unheard-of-9', usage: { input_tokens: 1 } });

  test('stops an attempt with a budget for cost, naming the model and what to supply', () => {
    const { problem, costMicros } = feed(open(), [unknown]);
    expect(costMicros).toBe(0);
    expect(problem?.code).toBe('E_UNKNOWN_PRICE');
    expect(problem?.message).toContain('"claude-unheard-of-9": {"input":');
  });

  test('does not matter without one', () => {
    const source = createUsageSource('claude-code', { requirePrices: false });
    expect(feed(source, [unknown])).toMatchObject({ tokens: 1, costMicros: 0 });
    expect(source.report()).not.toHaveProperty('problem');
  });

  test('is no problem once the caller gives a price', () => {
    const source = open({ 'claude-unheard': price(7) });
    expect(feed(source, [unknown])).toMatchObject({ tokens: 1, costMicros: 7 });
    expect(source.report()).not.toHaveProperty('problem');
  });

  test('stays a problem when the result knows the cost', () => {
    expect(feed(open(), [unknown, result({ total_cost_usd: 1 })]).problem?.code).toBe('E_UNKNOWN_PRICE');
  });

  test('a message that used nothing needs no price', () => {
    const synthetic = message({ model: '<synthetic>', usage: { input_tokens: 0, output_tokens: 0 } });
    const report = feed(open(), [synthetic]);
    expect(report).not.toHaveProperty('problem');
    expect(report).not.toHaveProperty('model');
  });
});

function price(each: number): PriceTable[string] {
  return { input: each, output: each, cacheWrite: each, cacheRead: each };
}
