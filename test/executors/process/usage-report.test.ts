/** What commands report about their own use, in a file or on their stream, and what follows from it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RuntimeStatus } from '../../../src/engine/executor.ts';
import type { JsonObject } from '../../../src/model/json.ts';
import { judge } from '../../../src/executors/process/outcome.ts';
import {
  exceeds,
  greaterUsage,
  readUsageFile,
  usageFileVersion,
} from '../../../src/executors/process/usage-report.ts';
import { expectFinished, lastStatus } from '../../contracts/executor.ts';
import { Rig } from './rig.ts';

const stream = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/agent-streams/${name}.jsonl`, import.meta.url));
const CODEX: JsonObject = { usageSource: { name: 'codex' } };

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.open();
});
afterEach(() => rig.close());

describe('usage file', () => {
  const run = (key: string, script: string): Promise<Extract<RuntimeStatus, { phase: 'finished' }>> =>
    rig.run(rig.executor(), rig.shell(key, script, { usageFile: 'u.json' }));

  test('is read once the command ended; cost is rounded up to millionths', async () => {
    const status = await run(
      'k1',
      `echo '{"tool_calls": 3, "tokens": 1200, "estimated_cost": 0.0700001}' > u.json`,
    );
    expect(status).toMatchObject({
      outcome: 'succeeded',
      usage: { toolCalls: 3, tokens: 1200, costMicros: 70_001 },
    });
  });

  test('left by an earlier attempt counts for nothing, nor does a missing one', async () => {
    expect((await run('k1', 'true')).usage).toEqual({});
    expect((await run('k2', `echo '{"tokens": 5}' > u.json`)).usage).toEqual({ tokens: 5 });
    expect((await run('k3', 'true')).usage).toEqual({});
    expect((await run('k4', `echo '{"tokens": 5}' > u.json`)).usage).toEqual({ tokens: 5 });
  });

  test('that is wrong fails the attempt; a command that failed keeps its own error', async () => {
    expect(await run('k1', `echo '{"tokens": -1}' > u.json`)).toMatchObject({
      outcome: 'failed',
      exitCode: 0,
      error: { code: 'E_USAGE_INVALID', message: expect.stringContaining('tokens -1') },
    });
    expect(await run('k2', 'echo no > u.json; exit 4')).toMatchObject({
      exitCode: 4,
      error: { code: 'E_ADAPTER_FAIL', details: { usage_problem: expect.stringContaining('no JSON') } },
    });
  });

  test.each([
    ['{"tokens": "5"}', 'tokens "5"'],
    ['{"tokens": null}', 'tokens null'],
    ['{"estimated_cost": 1e300}', 'estimated_cost'],
    ['{"tool_calls": 1e999}', 'tool_calls'],
    ['[]', 'no JSON object'],
    ['', 'no JSON'],
    [`"${'x'.repeat(70_000)}"`, 'longer than'],
  ])('%.30s is invalid', async (content, message) => {
    writeFileSync(rig.path('u'), content);
    expect(await readUsageFile(rig.path('u'), undefined)).toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining(message),
    });
  });

  test('that is a directory is invalid', async () => {
    mkdirSync(rig.path('u'));
    expect(await readUsageFile(rig.path('u'), undefined)).toMatchObject({ kind: 'invalid' });
  });

  test('numbers that are binary fractions are not rounded to one too many', async () => {
    for (const [cost, micros] of [
      [0.07, 70_000],
      [0.1, 100_000],
      [0.000_000_1, 1],
      [0, 0],
    ] as const) {
      writeFileSync(rig.path('u'), JSON.stringify({ estimated_cost: cost }));
      expect(await readUsageFile(rig.path('u'), undefined)).toEqual({
        kind: 'usage',
        usage: { costMicros: micros },
      });
    }
    expect(await readUsageFile(rig.path('u'), await usageFileVersion(rig.path('u')))).toEqual({
      kind: 'none',
    });
  });
});

describe('usage source', () => {
  test('tells of usage while the command runs, to its owner and to a stranger', async () => {
    const executor = rig.executor();
    const ref = await executor.submit(rig.shell('k1', `cat ${stream('codex-older')}; sleep 1000`, CODEX));
    const stranger = rig.executor();
    for (const watcher of [executor, stranger]) {
      let seen = 0;
      for await (const status of watcher.watch(ref, AbortSignal.timeout(20_000))) {
        if (status.phase === 'running') seen = status.usage.tokens ?? 0;
        if (seen > 0) break;
      }
      expect(seen).toBeGreaterThan(0);
    }
    await executor.cancel(ref, 'canceled');
    expect(expectFinished(await lastStatus(executor, 'k1')).usage.tokens).toBeGreaterThan(0);
  });

  test('stops the command by itself when it reports more than is allowed, without an engine', async () => {
    const executor = rig.executor();
    const work = rig.shell('k1', `cat ${stream('codex-older')}; sleep 1000`, CODEX);
    const status = await rig.run(executor, { ...work, allowance: { tokens: 100 } });
    expect(status.outcome).toBe('over_budget');
    expect(status.usage.tokens).toBeGreaterThan(100);
  });

  test('stops a command whose use cannot be priced under a budget for cost', async () => {
    const work = rig.shell('k1', `cat ${stream('codex-tools')}; sleep 1000`, CODEX);
    const status = await rig.run(rig.executor(), { ...work, allowance: { costMicros: 1_000_000 } });
    expect(status).toMatchObject({ outcome: 'failed', error: { code: 'E_UNKNOWN_PRICE' } });
  });

  test('tells that the agent failed although its exit code is 0', async () => {
    const status = await rig.run(
      rig.executor(),
      rig.shell('k1', `cat ${stream('codex-failed-turn')}`, CODEX),
    );
    expect(status).toMatchObject({ outcome: 'failed', exitCode: 0, error: { code: 'E_AGENT_FAILED' } });
  });

  test('skips lines of more than 8 MiB and says so', async () => {
    const script = `head -c 9000000 /dev/zero; echo; cat ${stream('codex-older')}`;
    const status = await rig.run(rig.executor(), rig.shell('k1', script, CODEX));
    expect(status.outputs).toMatchObject({ skipped_lines: 1 });
    expect(status.usage.tokens).toBeGreaterThan(0);
  });
});

test('a stop that was asked for outranks how the command ended', () => {
  const ended = { kind: 'exited', code: 0, signal: null } as const;
  const file = { kind: 'invalid', message: 'bad' } as const;
  for (const cause of ['canceled', 'over_budget', 'timed_out'] as const) {
    expect(judge(ended, cause, undefined, file)).toEqual({ outcome: cause });
  }
  expect(judge(ended, 'interrupted', undefined, file)).toMatchObject({ error: { code: 'E_ADAPTER_FAIL' } });
  expect(judge(ended, undefined, undefined, { kind: 'none' })).toEqual({ outcome: 'succeeded' });
});

test('usage of file and stream is the greater of both, and a limit may be reached', () => {
  expect(greaterUsage({ tokens: 5 }, { tokens: 3, toolCalls: 1 })).toEqual({ tokens: 5, toolCalls: 1 });
  expect(exceeds({ tokens: 5 }, { tokens: 5 })).toBe(false);
  expect(exceeds({ tokens: 6 }, { tokens: 5 })).toBe(true);
  expect(exceeds({ tokens: 6 }, {})).toBe(false);
});
