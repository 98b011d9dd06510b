import { describe, expect, test } from 'vitest';
import { createUsageSource } from '../../../src/executors/process/usage/index.ts';
import type { UsageSource } from '../../../src/executors/process/usage-source.ts';
import { feed, linesOf, reportsOf } from './streams.ts';

const open = (model?: string): UsageSource => createUsageSource('codex', { requirePrices: true, model });
const line = (type: string, fields: object = {}): string => JSON.stringify({ type, ...fields });
const turn = (input: number, output: number): string =>
  line('turn.completed', { usage: { input_tokens: input, cached_input_tokens: 0, output_tokens: output } });

describe('recorded streams', () => {
  test('a run with tools: calls count at their first event, tokens at the end of the turn', () => {
    const reports = reportsOf(open('gpt-6-sol'), linesOf('codex-tools'));
    expect(reports.map(({ toolCalls }) => toolCalls)).toEqual([
      0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4, 4,
    ]);
    expect(reports.at(-2)).toMatchObject({ tokens: 0, costMicros: 0 });
    // 10 000 fresh, 30 000 written to the cache, 60 000 read from it, 2 000 out.
    expect(reports.at(-1)).toEqual({
      tokens: 102_000,
      toolCalls: 4,
      costMicros: 20_000 + 75_000 + 12_000 + 20_000,
      model: 'gpt-6-sol',
      sessionId: '019e49d4-05e3-7111-9bef-5f4f48c36e88',
    });
  });

  test('a failed turn after a resumed thread: item ids start anew, tokens do not', () => {
    const report = feed(open('gpt-5.5'), linesOf('codex-failed-turn'));
    expect(report).toMatchObject({
      tokens: 20_300,
      toolCalls: 2,
      costMicros: 15_000 * 5 + 5_000 * 0.5 + 300 * 30,
      agentError: "You've hit your usage limit. Try again later.",
    });
  });

  test('the older form names its model and counts within the turn', () => {
    const reports = reportsOf(open(), linesOf('codex-older'));
    expect(reports.map(({ tokens }) => tokens)).toEqual([
      0, 0, 0, 0, 0, 0, 0, 0, 6200, 6200, 6200, 14_450, 14_450, 14_450,
    ]);
    expect(reports.at(-1)).toEqual({
      tokens: 14_450,
      toolCalls: 2,
      costMicros: 18_200,
      model: 'gpt-5.3-codex',
      sessionId: '0199a7c1-2f6e-7b52-9c0d-3e8f5a1b4d60',
    });
  });
});

test('totals run on within a thread and add up over threads', () => {
  const thread = (id: string): string => line('thread.started', { thread_id: id });
  const report = feed(open('gpt-6-luna'), [
    thread('a'),
    turn(10, 1),
    turn(30, 3),
    thread('b'),
    turn(5, 5),
    thread('a'),
    turn(40, 4),
  ]);
  expect(report.tokens).toBe(54);
});

test('a total below the last leaves it standing', () => {
  expect(feed(open('gpt-6-sol'), [turn(1000, 10), turn(0, 0), turn(10, 1)])).toMatchObject({
    tokens: 1010,
    costMicros: 2100,
  });
});

test('cached parts are never more than the input they are part of', () => {
  const usage = {
    input_tokens: 10,
    cached_input_tokens: 1e9,
    cache_write_input_tokens: 1e9,
    output_tokens: 0,
  };
  expect(feed(open('gpt-5.5'), [line('turn.completed', { usage })])).toMatchObject({
    tokens: 10,
    costMicros: 5,
  });
});

test('the oldest form has its totals in the message itself', () => {
  const msg = { type: 'token_count', input_tokens: 7, output_tokens: 2, total_tokens: 9 };
  expect(feed(open('gpt-5.5'), [JSON.stringify({ id: '1', msg })]).tokens).toBe(9);
});

describe('errors', () => {
  const lost = line('error', { message: 'stream disconnected' });

  test('a lost connection that is repaired is none', () => {
    const source = open('gpt-6-sol');
    expect(feed(source, [line('error', { message: 'Reconnecting... 2/5' })])).not.toHaveProperty(
      'agentError',
    );
    expect(feed(source, [lost]).agentError).toBe('stream disconnected');
    expect(feed(source, [turn(1, 1)])).not.toHaveProperty('agentError');
  });

  test('turn.failed says why, or that it does not', () => {
    expect(
      feed(open('gpt-6-sol'), [lost, line('turn.failed', { error: { message: 'no' } })]).agentError,
    ).toBe('no');
    expect(feed(open('gpt-6-sol'), [line('turn.failed')]).agentError).toBe(
      'the turn failed without saying why',
    );
  });

  test('an aborted turn of the older form', () => {
    const msg = { type: 'turn_aborted', reason: 'interrupted' };
    expect(feed(open('gpt-6-sol'), [JSON.stringify({ id: '1', msg })]).agentError).toBe(
      'the turn was aborted: interrupted',
    );
  });
});

describe('unknown price', () => {
  const started = line('thread.started', { thread_id: 't' });

  test('with no model named, the attempt stops at the first event, before anything is spent', () => {
    const { problem } = feed(open(), [started]);
    expect(problem?.code).toBe('E_UNKNOWN_PRICE');
    expect(problem?.message).toContain('name the model in the job');
    expect(problem?.message).toContain('{"*": {"input":');
  });

  test('with a model that has no price, likewise', () => {
    expect(feed(open('gpt-5.5-pro'), [started]).problem?.message).toContain('"gpt-5.5-pro"');
  });

  test('a price for * is enough', () => {
    const prices = { '*': { input: 1, output: 2, cacheWrite: 1, cacheRead: 0 } };
    const source = createUsageSource('codex', { prices, requirePrices: true });
    expect(feed(source, [started, turn(10, 1)])).toEqual({
      tokens: 11,
      toolCalls: 0,
      costMicros: 12,
      sessionId: 't',
    });
  });

  test('does not matter without a budget for cost', () => {
    const source = createUsageSource('codex', { requirePrices: false });
    expect(feed(source, [started, turn(10, 1)])).toEqual({
      tokens: 11,
      toolCalls: 0,
      costMicros: 0,
      sessionId: 't',
    });
  });
});
