// Pause and cancel while a step runs (contract wrkr §c).
import { describe, expect } from 'vitest';
import { isAlive, ledger, test, until, type Home, type Running } from './rig.ts';

const WAIT = 'until [ -e go ]; do sleep 0.05; done';

/** Starts a job whose step `one` runs until the file `go` is there, and waits until it does. */
async function running(home: Home, command = WAIT): Promise<Running> {
  const worker = await home.submitting('j', [
    { id: 'one', command: `echo $$ > pid; echo one >> ledger; ${command}` },
    ledger('two'),
  ]);
  await worker.until('the first step', async () => (await home.lines('ledger')).length === 1);
  return worker;
}

describe.concurrent('pause', () => {
  test('W17 pause during a step: it finishes, the next is not started, the submission exits 0 as paused', async ({
    home,
  }) => {
    const worker = await running(home);
    expect(await home.json(['pause', 'j'])).toMatchObject({ job_id: 'j', status: 'paused' });
    expect(isAlive(Number(await home.read('pid'))), 'the step runs on').toBe(true);
    await home.write('go', '');
    const { code, json, stderr } = await worker.ended;
    expect([code, json?.status], stderr).toEqual([0, 'paused']);
    expect(await home.lines('ledger')).toEqual(['one']);
    expect((await home.checkpoints('j')).filter(({ type }) => type === 'progress')).toHaveLength(1);
    expect(await home.fails(['pause', 'j'])).toMatchObject({ code: 'E_INVALID_STATE_TRANSITION' });

    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed', next_step_index: 2 });
    expect(await home.lines('ledger')).toEqual(['one', 'two']);
  });
});

describe.concurrent('cancel', () => {
  test.for([
    ['a child that ends when asked', 'sleep 60'],
    ['a child that ignores TERM', "trap '' TERM INT HUP; while :; do sleep 0.2; done"],
    [
      'a grandchild in a session of its own',
      'setsid sh -c "trap \'\' TERM; echo \\$\\$ > grand; while :; do sleep 0.2; done" & wait',
    ],
  ])(
    'W18 cancel during a step ends %s within 6 s and adds no checkpoint',
    async ([, command = ''], { home }) => {
      const worker = await running(home, command);
      if (command.startsWith('setsid'))
        await until(async () => (await home.lines('grand')).length > 0, 'grandchild');
      const pids = [Number(await home.read('pid')), Number(await home.read('grand').catch(() => '0'))].filter(
        (pid) => pid > 0,
      );
      const before = await home.checkpoints('j');
      expect(await home.json(['cancel', 'j', '--reason', 'not needed'])).toMatchObject({
        status: 'canceled',
      });
      // 5 s from TERM to KILL, one to notice; the rest is for a machine that others use too.
      await until(() => !pids.some(isAlive), 'the end of the children', 12_000);
      const { code, json, stderr } = await worker.ended;
      expect([code, json?.status], stderr).toEqual([0, 'canceled']);
      expect(await home.lines('ledger')).toEqual(['one']);
      expect(await home.checkpoints('j')).toEqual(before);
      expect(await home.status('j')).toMatchObject({ status: 'canceled' });
      expect(await home.fails(['resume', 'j'])).toMatchObject({ code: 'E_INVALID_STATE_TRANSITION' });
    },
  );

  test('W18 cancel of a job whose worker was killed ends its children too', async ({ home }) => {
    const worker = await running(home, 'sleep 60');
    worker.kill('SIGKILL');
    await worker.ended;
    const pid = Number(await home.read('pid'));
    await home.json(['cancel', 'j']);
    await until(() => !isAlive(pid), 'the end of the child', 12_000);
    expect(await home.status('j')).toMatchObject({ status: 'canceled' });
  });

  test('a waiting job is canceled; a queued one is never started', async ({ home }) => {
    const file = await home.spec([ledger('one')]);
    await home.json(['submit', file, '--job-id', 'q', '--queue']);
    expect(await home.json(['cancel', 'q'])).toMatchObject({ status: 'canceled' });
    await home.json(['work', '--once']);
    expect(await home.lines('ledger')).toEqual([]);
    expect(await home.status('q')).toMatchObject({ status: 'canceled' });
  });

  test.for([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s stops a submission tidily: no child is left, the job can be resumed at once',
    async ([signal, exitCode], { home }) => {
      const worker = await running(home, '[ -e go ] || sleep 60');
      const pid = Number(await home.read('pid'));
      worker.kill(signal);
      const { code, stderr } = await worker.ended;
      expect(code, stderr).toBe(exitCode);
      expect(stderr).toContain('resume j');
      await until(() => !isAlive(pid), 'the end of the child', 12_000);
      await home.write('go', '');
      expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed' });
      expect(await home.lines('ledger')).toEqual(['one', 'one', 'two']);
    },
  );
});
