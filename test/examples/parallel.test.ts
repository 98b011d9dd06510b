// examples/parallel, for real, in a copy.
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cli, ROOT } from './cli.ts';

let cli: Cli;
beforeEach(() => {
  cli = new Cli();
  cpSync(join(ROOT, 'examples/parallel'), cli.path('examples/parallel'), { recursive: true });
});
afterEach(() => cli.close());

test('steps wait for what they need, one is tried again, and the environment is what the list lets through', () => {
  const env = { GREETING: 'good morning', SECRET: 'not for you' };
  expect(
    cli.json(cli.temp, ['submit', 'examples/parallel/jobspec.yaml', '--job-id', 'p'], env),
  ).toMatchObject({ status: 'completed' });
  const released = readFileSync(cli.path('examples/parallel/out/released.txt'), 'utf8');
  expect(released).toBe('good morning from part a, secret=absent\ngood morning from part b, secret=absent\n');

  const checkpoints = cli.json(cli.temp, ['checkpoint', 'list', 'p']) as {
    summary: string;
    budget_state: { retry_count: number };
  }[];
  const order = checkpoints.map(({ summary }) => summary);
  const at = (summary: string): number => order.indexOf(summary);
  expect(at('parts tested')).toBeGreaterThan(Math.max(at('part a built'), at('part b built')));
  expect(at('released')).toBeGreaterThan(at('the flaky part answered'));
  expect(checkpoints.at(-1)?.budget_state.retry_count).toBe(1);
  // The usage file was charged: 7 steps' commands, one of them twice, and the two calls it tells of.
  expect(cli.refusal(cli.temp, ['budget', 'check', 'p', '--max-tokens', '1199'])).toMatchObject({
    details: { violations: ['tokens>1199'] },
  });
  expect(readFileSync(join(cli.store, 'jobs/p/steps/5/output/stdout.log'), 'utf8')).toBe('');
});
