// Budgets (contract wrkr §c).
import { describe, expect } from 'vitest';
import { DECISION, ledger, test, until } from './rig.ts';

const STEPS = [ledger('one'), ledger('two'), ledger('three')];

describe.concurrent('budgets', () => {
  test('W19 usage equal to the limit passes', async ({ home }) => {
    const result = await home.submit('j', STEPS, {
      budgets: { max_step_count: 3, max_tool_calls: 3, max_retries: 0 },
    });
    expect([result.code, result.json?.status], result.stderr).toEqual([0, 'completed']);
  });

  test('W19 W20 one more: blocked_budget, exit 1; after raising the limit no finished step repeats', async ({
    home,
  }) => {
    const result = await home.submit('j', STEPS, { budgets: { max_step_count: 2 } });
    expect(result).toMatchObject({ code: 1, stdout: '', error: { code: 'E_BUDGET_EXCEEDED', exit_code: 1 } });
    expect(result.error.details).toMatchObject({ job_id: 'j', violations: ['step_count>2'] });
    expect(await home.status('j')).toMatchObject({
      status: 'blocked_budget',
      reason_codes: ['E_BUDGET_EXCEEDED'],
    });
    const blocked = (await home.checkpoints('j')).at(-1);
    expect(blocked).toMatchObject({
      type: 'blocked',
      status: 'blocked_budget',
      summary: 'budget exceeded: step_count>2',
      reason_codes: ['E_BUDGET_EXCEEDED'],
    });
    const done = await home.lines('ledger');

    expect(await home.fails(['resume', 'j']), 'the limit still stands').toMatchObject({
      code: 'E_BUDGET_EXCEEDED',
    });
    expect(await home.lines('ledger')).toEqual(done);
    const raised = await home.json([
      'resume',
      'j',
      '--max-step-count',
      '10',
      '--reason',
      'two more',
      '--approved-by',
      'ann',
    ]);
    expect(raised).toMatchObject({ status: 'completed', next_step_index: 3 });
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'three']);
    const raise = (await home.events('j')).find(({ payload }) =>
      JSON.stringify(payload).includes('two more'),
    );
    expect(JSON.stringify(raise.payload), 'who and why is on record').toContain('ann');
  });

  test('W19 several violations are named in their order', async ({ home }) => {
    await home.submit('j', [ledger('one'), ledger('two'), DECISION]);
    const error = await home.fails([
      'budget',
      'check',
      'j',
      '--max-tool-calls',
      '1',
      '--max-step-count',
      '1',
      '--max-wall-time-seconds',
      '0',
    ]);
    expect(error).toMatchObject({
      code: 'E_BUDGET_EXCEEDED',
      message: expect.stringContaining('step_count>1, tool_call_count>1'),
      details: { job_id: 'j', violations: ['step_count>1', 'tool_call_count>1'] },
    });
  });

  test('W19 max_retries: a step that was tried too often is not started again', async ({ home }) => {
    await home.submit('j', [ledger('one', 'test -e repaired')], { budgets: { max_retries: 1 } });
    expect(await home.fails(['resume', 'j'])).toMatchObject({ code: 'E_ADAPTER_FAIL' });
    const error = await home.fails(['resume', 'j']);
    expect(error).toMatchObject({ code: 'E_BUDGET_EXCEEDED', details: { violations: ['retry_count>1'] } });
    expect(await home.status('j')).toMatchObject({ status: 'blocked_budget' });
    await home.write('repaired', '');
    expect(await home.json(['resume', 'j', '--max-retries', '5', '--reason', 'repaired'])).toMatchObject({
      status: 'completed',
    });
  });

  test('W19 wall time runs out during a step: its command is stopped', async ({ home }) => {
    const result = await home.submit('j', [ledger('one', 'sleep 50'), ledger('two')], {
      budgets: { max_wall_time_seconds: 1 },
    });
    expect(result).toMatchObject({
      code: 1,
      error: { code: 'E_BUDGET_EXCEEDED', details: { violations: ['wall_time_seconds>1'] } },
    });
    expect(await home.status('j')).toMatchObject({ status: 'blocked_budget' });
    expect(home.processes()).toEqual([]);
    expect(await home.lines('ledger')).toEqual(['one']);
  });

  test('W21 waiting for an approval costs no wall time', async ({ home }) => {
    await home.submit('j', [DECISION, ledger('two')], { budgets: { max_wall_time_seconds: 3 } });
    const { checkpoint_id: decision } = (await home.checkpoints('j')).at(-1);
    const startedAtMs = Date.parse((await home.events('j'))[0].created_at);
    await until(() => Date.now() > startedAtMs + 3200, 'more time than the budget has');
    await home.json(['budget', 'check', 'j', '--max-wall-time-seconds', '3']);
    await home.json(['approve', 'j', '--checkpoint', decision, '--reason', 'ok']);
    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed' });
    const { budget_state: budget } = (await home.checkpoints('j')).at(-1);
    expect(budget.wall_time_seconds).toBeLessThan(3);
  });

  test('budget check: within, over on a waiting and on a finished job', async ({ home }) => {
    await home.submit('done', STEPS);
    expect(await home.json(['budget', 'check', 'done', '--max-step-count', '3'])).toEqual({
      result: 'within_budget',
    });
    expect((await home.run(['budget', 'check', 'done'])).stdout).toBe('budget=within_limits\n');
    expect(await home.json(['budget', 'check', 'done', '--max-step-count', '0'])).toEqual({
      result: 'within_budget',
    });
    const error = await home.fails(['budget', 'check', 'done', '--max-step-count', '2']);
    expect(error).toMatchObject({ code: 'E_BUDGET_EXCEEDED', details: { violations: ['step_count>2'] } });
    expect(await home.status('done'), 'a completed job stays completed').toMatchObject({
      status: 'completed',
    });
  });
});
