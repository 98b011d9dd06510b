// examples/wrap-agent, for real: an agent within its budget, over it, and one whose price nobody knows.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cli, ROOT } from './cli.ts';

const SPEC = 'examples/wrap-agent/jobspec.yaml';
const AGENT = ['node', 'examples/wrap-agent/fake-agent.mjs'];

let cli: Cli;
beforeEach(() => {
  cli = new Cli();
});
afterEach(() => cli.close());

function streamOf(jobId: string): { type: string; message?: { id: string } }[] {
  const log = readFileSync(join(cli.store, 'jobs', jobId, 'steps/0/output/stdout.log'), 'utf8');
  return log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string });
}

test('an agent within its budget ends, is reviewed, and its work goes on', () => {
  const env = { AGENT: `${AGENT.join(' ')} --pause 0` };
  expect(cli.json(ROOT, ['submit', SPEC, '--job-id', 'w'], env)).toMatchObject({
    status: 'blocked_decision',
  });
  expect(streamOf('w').at(-1)).toMatchObject({ type: 'result', subtype: 'success' });
  cli.json(ROOT, ['approve', 'w', '--checkpoint', cli.decision(ROOT, 'w'), '--reason', 'read the diff']);
  expect(cli.json(ROOT, ['resume', 'w'], env)).toMatchObject({ status: 'completed' });
  // 5 turns of 20,000 tokens in and 1,000 out; 5 tools and the command of each of the two steps.
  expect(
    cli.refusal(ROOT, ['budget', 'check', 'w', '--max-tokens', '104999', '--max-tool-calls', '6']),
  ).toMatchObject({
    code: 'E_BUDGET_EXCEEDED',
    details: { violations: ['tool_call_count>6', 'tokens>104999'] },
  });
  expect(
    cli.json(ROOT, ['budget', 'check', 'w', '--max-tokens', '105000', '--max-tool-calls', '7']),
  ).toMatchObject({ result: 'within_budget' });
});

test('an agent over its budget is stopped while it runs, and goes on once the limit is raised', () => {
  const env = { AGENT: `${AGENT.join(' ')} --turns 100 --pause 200` };
  expect(cli.refusal(ROOT, ['submit', SPEC, '--job-id', 'w'], env)).toMatchObject({
    code: 'E_BUDGET_EXCEEDED',
    message: 'budget exceeded: tokens>200000',
    exit_code: 1,
  });
  const turns = new Set(streamOf('w').map(({ message }) => message?.id)).size;
  expect(turns).toBeLessThan(20);
  const raised = ['--max-tokens', '1000000', '--max-estimated-cost', '2', '--reason', 'worth it'];
  expect(cli.json(ROOT, ['resume', 'w', ...raised], { AGENT: `${AGENT.join(' ')} --pause 0` })).toMatchObject(
    { status: 'blocked_decision' },
  );
});

test('a model without a price stops under a limit of cost, and runs once the spec names one', () => {
  expect(cli.refusal(ROOT, ['submit', SPEC, '--job-id', 'a'], { AGENT_MODEL: 'nobody-knows' })).toMatchObject(
    {
      code: 'E_UNKNOWN_PRICE',
      message: expect.stringContaining('"nobody-knows"') as string,
    },
  );
  expect(cli.json(ROOT, ['submit', SPEC, '--job-id', 'b'], { AGENT_MODEL: 'our-tuned-model' })).toMatchObject(
    { status: 'blocked_decision' },
  );
});

test('wrapped agents are held to the limits of the command line', () => {
  const wrap = (jobId: string, flags: readonly string[], agent: readonly string[]) =>
    cli.run(ROOT, [
      'wrap',
      '--job-id',
      jobId,
      '--out-dir',
      cli.path('out'),
      ...flags,
      '--',
      ...AGENT,
      ...agent,
    ]);
  const within = wrap('w1', ['--usage', 'claude-code', '--max-estimated-cost', '1'], ['--pause', '0']);
  expect(within).toMatchObject({ code: 0, stdout: expect.stringContaining('job_id=w1\n') as string });

  const cases = [
    [
      ['--usage', 'claude-code', '--max-estimated-cost', '0.10'],
      [],
      'E_BUDGET_EXCEEDED: budget exceeded: estimated_cost>0.1000',
    ],
    [['--usage', 'claude-code', '--max-estimated-cost', '1'], ['--model', 'x'], 'E_UNKNOWN_PRICE'],
    [['--usage', 'claude-code'], ['--pause', '0', '--fail'], 'E_AGENT_FAILED'],
    [
      ['--usage', 'codex', '--max-tool-calls', '3'],
      ['--format', 'codex', '--turns', '50'],
      'E_BUDGET_EXCEEDED: budget exceeded: tool_call_count>3',
    ],
  ] as const;
  for (const [index, [flags, agent, error]] of cases.entries()) {
    const { code, stderr } = wrap(`x${index}`, flags, agent);
    expect({ flags, code, stderr }).toEqual({
      flags,
      code: 1,
      stderr: expect.stringContaining(error) as string,
    });
  }
});
