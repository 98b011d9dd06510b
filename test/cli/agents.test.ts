// Agents whose event stream tells usage (contract wrkr §c, e). The recorded streams are replayed line by line by a shell.
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { test } from './rig.ts';

const STREAMS = fileURLToPath(new URL('../fixtures/agent-streams/', import.meta.url));

/** Says what the agent said, then does what an agent does that nobody stops: it goes on. */
function replay(stream: string, then = ''): string {
  return `while IFS= read -r line; do printf '%s\\n' "$line"; done < ${STREAMS}${stream}${then}`;
}

const ON_AND_ON = '; sleep 60; echo survived > survived';

describe.concurrent('usage of an agent', () => {
  test('a stream within its limits: the job completes, its usage is counted and visible', async ({
    home,
  }) => {
    const limits = ['--max-tokens', '1000000', '--max-estimated-cost', '2', '--max-tool-calls', '50'];
    const result = await home.json([
      'wrap',
      '--job-id',
      'w',
      '--usage',
      'claude-code',
      ...limits,
      '--',
      'sh',
      '-c',
      replay('claude-code-tools.jsonl'),
    ]);
    expect(result.adapter_result).toMatchObject({ status: 'completed', exit_code: 0 });
    const { budget_state: budget } = (await home.checkpoints('w')).at(-1);
    expect(budget.tool_call_count, 'the tools of the agent count').toBeGreaterThanOrEqual(2);
    // $0.0398085 and 40,743 tokens, says the stream itself.
    for (const [flag, below, above] of [
      ['--max-estimated-cost', '0.039', '0.04'],
      ['--max-tokens', '38597', '45000'],
    ] as const) {
      const over = await home.fails(['budget', 'check', 'w', flag, below]);
      expect(over).toMatchObject({ code: 'E_BUDGET_EXCEEDED' });
      expect(await home.json(['budget', 'check', 'w', flag, above])).toEqual({ result: 'within_budget' });
    }
    const shown = await home.run(['status', 'w', '--store', home.store], { program: 'reeve' });
    expect(shown.stdout).toMatch(/tokens/i);
    expect(shown.stdout).toMatch(/0\.04|0\.039|3\.98|¢|\$/);
  });

  test.for([
    ['tokens', ['--max-tokens', '1000']],
    ['cost', ['--max-estimated-cost', '0.001']],
    ['tool calls', ['--max-tool-calls', '1']],
  ] as const)(
    'over its %s: the command is stopped at once, E_BUDGET_EXCEEDED',
    async ([, limit], { home }) => {
      const argv = ['--', 'sh', '-c', replay('claude-code-tools.jsonl', ON_AND_ON)];
      const result = await home.run([
        'wrap',
        '--job-id',
        'w',
        '--usage',
        'claude-code',
        ...limit,
        '--json',
        ...argv,
      ]);
      expect(result.code).toBe(1);
      expect(result.error, result.stderr).toMatchObject({ code: 'E_BUDGET_EXCEEDED', exit_code: 1 });
      expect(result.error.details.violations).toHaveLength(1);
      expect(await home.status('w')).toMatchObject({
        status: 'blocked_budget',
        reason_codes: ['E_BUDGET_EXCEEDED'],
      });
      expect(home.processes()).toEqual([]);
      await expect(home.read('survived')).rejects.toThrow('ENOENT');
    },
  );

  test('a model without a price under a cost limit fails closed: E_UNKNOWN_PRICE, the command is stopped', async ({
    home,
  }) => {
    const argv = ['--', 'sh', '-c', replay('codex-tools.jsonl', ON_AND_ON)];
    const result = await home.run([
      'wrap',
      '--job-id',
      'w',
      '--usage',
      'codex',
      '--max-estimated-cost',
      '100',
      '--json',
      ...argv,
    ]);
    expect(result).toMatchObject({ code: 1, error: { code: 'E_UNKNOWN_PRICE', exit_code: 1 } });
    expect(await home.status('w')).toMatchObject({ status: 'blocked_error' });
    expect(home.processes()).toEqual([]);
    const free = ['--', 'sh', '-c', replay('codex-tools.jsonl')];
    expect(
      (
        await home.run([
          'wrap',
          '--job-id',
          'f',
          '--usage',
          'codex',
          '--max-tokens',
          '100000000',
          '--json',
          ...free,
        ])
      ).json,
    ).toMatchObject({
      adapter_result: { status: 'completed' },
    });
  });

  test('a step names its source and prices; the budget of the job holds', async ({ home }) => {
    const price = { input: 10, output: 10, cacheWrite: 10, cacheRead: 10 };
    const steps = [
      {
        id: 'agent',
        command: replay('codex-tools.jsonl'),
        usage: { source: 'codex', prices: { '*': price } },
      },
      { id: 'after', command: 'echo after > after' },
    ];
    const result = await home.submit('j', steps, { budgets: { max_estimated_cost: 0.000_01 } });
    expect(result).toMatchObject({
      code: 1,
      error: {
        code: 'E_BUDGET_EXCEEDED',
        details: { violations: [expect.stringMatching(/^estimated_cost>0\.0000$/)] },
      },
    });
    await expect(home.read('after')).rejects.toThrow('ENOENT');
    expect((await home.submit('k', steps, { budgets: { max_estimated_cost: 1000 } })).json).toMatchObject({
      status: 'completed',
    });
  });

  test('an agent that says it failed has failed, though it exits 0', async ({ home }) => {
    const result = await home.run([
      'wrap',
      '--job-id',
      'w',
      '--usage',
      'codex',
      '--json',
      '--',
      'sh',
      '-c',
      replay('codex-failed-turn.jsonl'),
    ]);
    expect(result).toMatchObject({ code: 1, error: { code: 'E_AGENT_FAILED' } });
    expect(await home.status('w')).toMatchObject({ status: 'blocked_error' });
  });

  test('usage_file: counted; one that is none fails the step', async ({ home }) => {
    const write = (text: string) => ({
      id: 'one',
      command: `printf '%s' '${text}' > usage.json`,
      usage_file: 'usage.json',
    });
    await home.submit('good', [write('{"tool_calls":7,"tokens":1000,"estimated_cost":0.25}')]);
    expect((await home.checkpoints('good')).at(-1).budget_state.tool_call_count).toBeGreaterThanOrEqual(7);
    expect(await home.fails(['budget', 'check', 'good', '--max-tokens', '999'])).toMatchObject({
      details: { violations: ['tokens>999'] },
    });
    for (const [id, text] of [
      ['a', 'no json'],
      ['b', '{"tokens":-1}'],
      ['c', '{"tokens":"9"}'],
      ['d', '[]'],
    ] as const) {
      expect(await home.submit(id, [write(text)]), text).toMatchObject({
        code: 1,
        error: { code: 'E_USAGE_INVALID' },
      });
    }
    const over = await home.submit('over', [write('{"tokens":1000}'), { id: 'two', command: 'touch two' }], {
      budgets: { max_tokens: 999 },
    });
    expect(over).toMatchObject({
      code: 1,
      error: { code: 'E_BUDGET_EXCEEDED', details: { violations: ['tokens>999'] } },
    });
    await expect(home.read('two')).rejects.toThrow('ENOENT');
  });

  test('an unknown source is refused before anything runs', async ({ home }) => {
    expect(await home.fails(['wrap', '--usage', 'guess', '--', 'touch', 'ran'])).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      exit_code: 6,
    });
    await expect(home.read('ran')).rejects.toThrow('ENOENT');
  });
});
