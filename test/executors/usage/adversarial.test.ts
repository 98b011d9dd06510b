// The stream is written by a program that may be broken, or may want to be charged less.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createUsageSource,
  USAGE_SOURCES,
  type UsageSourceName,
} from '../../../src/executors/process/usage/index.ts';
import type { UsageReport, UsageSource } from '../../../src/executors/process/usage-source.ts';
import { feed, linesOf, reportsOf } from './streams.ts';

const STREAMS: Readonly<Record<UsageSourceName, readonly string[]>> = {
  'claude-code': ['claude-code-tools', 'claude-code-subagent-error', 'claude-code-partial'],
  codex: ['codex-tools', 'codex-failed-turn', 'codex-older'],
};
const ALL_LINES = Object.values(STREAMS).flat().flatMap(linesOf);

const open = (name: UsageSourceName): UsageSource =>
  createUsageSource(name, { requirePrices: true, model: 'gpt-6-sol' });

function isWhole(report: UsageReport): boolean {
  return [report.tokens, report.toolCalls, report.costMicros].every((n) => Number.isSafeInteger(n) && n >= 0);
}

function expectNeverFalling(reports: readonly UsageReport[]): void {
  reports.forEach((report, index) => {
    expect(report).toSatisfy(isWhole);
    const before = reports[index - 1];
    if (before === undefined) return;
    expect(report.tokens).toBeGreaterThanOrEqual(before.tokens);
    expect(report.toolCalls).toBeGreaterThanOrEqual(before.toolCalls);
    expect(report.costMicros).toBeGreaterThanOrEqual(before.costMicros);
    if (before.problem !== undefined) expect(report.problem).toEqual(before.problem);
  });
}

/** Lines that are no event of either agent. */
const noise = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc.constantFrom(
    '',
    ' ',
    'null',
    '[]',
    '{}',
    '{"type":null}',
    '{"type":["result"]}',
    '[['.repeat(50_000),
    '{"a":'.repeat(50_000),
  ),
  fc
    .record({ type: fc.constantFrom('user', 'system', 'item', 'turn', 'toString', '__proto__') })
    .map((o) => JSON.stringify(o)),
  fc
    .tuple(fc.constantFrom(...ALL_LINES), fc.double({ min: 0, max: 0.99, noNaN: true }))
    .map(([line, at]) => line.slice(0, line.length * at)),
);

const oddValue = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    'x',
    [],
    {},
    -1,
    -0,
    0.5,
    1e308,
    Number.MAX_SAFE_INTEGER,
    2 ** 53,
    '12',
    [null],
    { id: 1 },
  ),
  fc.jsonValue(),
);

/** A real line with one of its values, anywhere, replaced by something else. */
const twisted = fc.tuple(fc.constantFrom(...ALL_LINES), fc.nat(), oddValue).map(([line, at, odd]) => {
  const spots: { holder: Record<string, unknown>; key: string }[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const holder = value as Record<string, unknown>;
    for (const key of Object.keys(holder)) {
      spots.push({ holder, key });
      visit(holder[key]);
    }
  };
  const event: unknown = JSON.parse(line);
  visit(event);
  const spot = spots[at % spots.length];
  if (spot !== undefined) spot.holder[spot.key] = odd;
  return JSON.stringify(event).replaceAll('1e+308', '1e999');
});

/** The lines with others put between them, at any place and in any number. */
function mixed(lines: readonly string[], others: fc.Arbitrary<string>): fc.Arbitrary<readonly string[]> {
  return fc
    .array(fc.tuple(fc.nat({ max: lines.length }), others), { maxLength: 20 })
    .map((inserts) =>
      [...lines, undefined].flatMap((line, index) => [
        ...inserts.filter(([at]) => at === index).map(([, other]) => other),
        ...(line === undefined ? [] : [line]),
      ]),
    );
}

for (const name of USAGE_SOURCES) {
  describe(`${name} stream`, () => {
    for (const stream of STREAMS[name]) {
      const lines = linesOf(stream);

      test(`${stream}: noise between the lines changes nothing`, () => {
        const clean = feed(open(name), lines);
        fc.assert(
          fc.property(mixed(lines, noise), (noisy) => {
            const reports = reportsOf(open(name), noisy);
            expectNeverFalling(reports);
            expect(reports.at(-1)).toEqual(clean);
          }),
        );
      });

      test(`${stream}: twisted events never throw and never make a report fall`, () => {
        fc.assert(
          fc.property(mixed(lines, twisted), (odd) => {
            expectNeverFalling(reportsOf(open(name), odd));
          }),
          { numRuns: 300 },
        );
      });

      test(`${stream}: any part of the stream again, in any order, adds no tool call and nothing below the whole`, () => {
        const clean = feed(open(name), lines);
        // A second process of codex begins with thread.started, and its items are new calls.
        const again = lines.filter(
          (line) => !line.includes('thread.started') && !line.includes('session_configured'),
        );
        fc.assert(
          fc.property(fc.shuffledSubarray([...again]), (repeats) => {
            const source = open(name);
            feed(source, lines);
            const reports = reportsOf(source, repeats);
            expectNeverFalling([clean, ...reports]);
            if (stream !== 'codex-failed-turn')
              expect(reports.at(-1)?.toolCalls ?? clean.toolCalls).toBe(clean.toolCalls);
            expect(reports.at(-1)?.tokens ?? clean.tokens).toBe(clean.tokens);
          }),
        );
      });
    }

    test('numbers beyond every bound stop at the largest safe integer', () => {
      const huge = '{"input_tokens":1e999,"output_tokens":9007199254740993,"cached_input_tokens":1e400}';
      const report = feed(open(name), [
        `{"type":"assistant","message":{"id":"a","model":"claude-opus-5","usage":${huge}}}`,
        `{"type":"assistant","message":{"id":"b","model":"claude-opus-5","usage":${huge}}}`,
        `{"type":"result","total_cost_usd":1e999,"usage":${huge},"modelUsage":{"a":{"inputTokens":1e999},"b":{"inputTokens":1e999}}}`,
        `{"type":"turn.completed","usage":${huge}}`,
        '{"type":"thread.started","thread_id":"t2"}',
        `{"type":"turn.completed","usage":${huge}}`,
      ]);
      expect(report).toMatchObject({ tokens: Number.MAX_SAFE_INTEGER, costMicros: Number.MAX_SAFE_INTEGER });
    });

    test('texts are kept short, whatever their length', () => {
      const long = 'x'.repeat(1_000_000);
      const report = feed(open(name), [
        JSON.stringify({ type: 'system', subtype: 'init', model: long, session_id: long }),
        JSON.stringify({ type: 'result', is_error: true, result: long, errors: [long, long] }),
        JSON.stringify({ id: '0', msg: { type: 'session_configured', model: long, session_id: long } }),
        JSON.stringify({ type: 'turn.completed', usage: { input_tokens: 1 } }),
        JSON.stringify({ type: 'turn.failed', error: { message: long } }),
      ]);
      expect(JSON.stringify(report).length).toBeLessThan(3000);
    });

    test('only so many ids and sessions are remembered; what is forgotten and comes again counts again', () => {
      const source = open(name);
      const call = (id: number): void => {
        source.line(`{"type":"assistant","message":{"content":[{"type":"tool_use","id":"call-${id}"}]}}`);
        source.line(`{"type":"item.started","item":{"type":"command_execution","id":"call-${id}"}}`);
      };
      for (let id = 0; id < 10_001; id += 1) call(id);
      call(10_000);
      expect(source.report().toolCalls).toBe(10_001);
      call(0);
      expect(source.report().toolCalls).toBe(10_002);

      const turn = (session: number): void => {
        source.line(`{"type":"result","session_id":"${session}","usage":{"input_tokens":1}}`);
        source.line(`{"type":"thread.started","thread_id":"${session}"}`);
        source.line('{"type":"turn.completed","usage":{"input_tokens":1}}');
      };
      for (let session = 0; session < 2000; session += 1) turn(session);
      expect(source.report().tokens).toBeGreaterThanOrEqual(1000);
      expect(source.report().tokens).toBeLessThanOrEqual(1001);
    });
  });
}
