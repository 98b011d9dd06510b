// `submit --queue` and `work` (contract wrkr §k, 15).
import { describe, expect } from 'vitest';
import { DECISION, ledger, until } from './rig.ts';
import { test } from './session.ts';

describe.concurrent('the queue', () => {
  test('a queued job waits, and work --once runs it to its end; a foreground job is not taken', async ({
    home,
  }) => {
    await home.write('s.json', '');
    const file = await home.spec([ledger('one')]);
    expect(await home.json(['submit', file, '--job-id', 'q', '--queue'])).toMatchObject({
      job_id: 'q',
      status: 'queued',
    });
    await home.submit('failed', [ledger('two', 'false')]);
    expect(await home.lines('ledger')).toEqual(['two']);
    expect(await home.status('q')).toMatchObject({ status: 'queued' });
    expect(await home.json(['work', '--once'])).toEqual({ jobs: [{ job_id: 'q', status: 'completed' }] });
    expect(await home.lines('ledger')).toEqual(['two', 'one']);
    expect(await home.status('failed')).toMatchObject({ status: 'blocked_error' });
    expect(await home.json(['work', '--once'])).toEqual({ jobs: [] });
  });

  test('a queued job that needs a decision is left to a person, and goes back to the queue', async ({
    home,
  }) => {
    const file = await home.spec([DECISION, ledger('after')]);
    await home.json(['submit', file, '--job-id', 'q', '--queue']);
    expect(await home.json(['work', '--once'])).toEqual({
      jobs: [{ job_id: 'q', status: 'blocked_decision' }],
    });
    expect(await home.fails(['resume', 'q', '--queue'])).toMatchObject({ exit_code: 4 });
    const { checkpoint_id: decision } = (await home.checkpoints('q')).at(-1);
    await home.json(['approve', 'q', '--checkpoint', decision, '--reason', 'ok']);
    expect((await home.json(['resume', 'q', '--queue'])).status).toMatch(/^(queued|running)$/);
    expect(await home.lines('ledger')).toEqual([]);
    await home.json(['work', '--once']);
    expect(await home.status('q')).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['after']);
  });

  test('work --concurrency runs several jobs side by side', async ({ home }) => {
    const meet =
      'touch $ME; n=0; until [ "$(ls m? | wc -l)" -ge 3 ]; do n=$((n+1)); [ $n -gt 400 ] && exit 1; sleep 0.05; done';
    for (const n of [1, 2, 3]) {
      const file = await home.spec([{ id: 'meet', command: `ME=m${n}; ${meet}` }], { file: `s${n}` });
      await home.json(['submit', file, '--job-id', `q${n}`, '--queue']);
    }
    const { jobs } = await home.json(['work', '--once', '--concurrency', '3']);
    expect(jobs.map(({ status }: { status: string }) => status)).toEqual([
      'completed',
      'completed',
      'completed',
    ]);
    for (const n of ['0', '257', '-1', 'x', '1.5'])
      expect(await home.fails(['work', '--once', '--concurrency', n]), n).toMatchObject({ exit_code: 6 });
  });

  test('several workers on one store: every job once, though one of them is killed', async ({ home }) => {
    const file = await home.spec([{ id: 'one', command: 'sleep 0.2; echo $REEVE_EFFECT_KEY >> ledger' }]);
    const ids = Array.from({ length: 12 }, (_, n) => `q${n}`);
    for (const id of ids) await home.json(['submit', file, '--job-id', id, '--queue']);
    const env = { REEVE_LEASE_TTL_MS: '3000' };
    const workers = Array.from({ length: 3 }, () => home.start(['work', '--concurrency', '2'], { env }));
    await until(async () => (await home.lines('ledger')).length >= 2, 'the first jobs');
    workers[0]!.kill('SIGKILL');
    await until(
      async () => (await home.json(['list', '--status', 'completed'])).jobs.length === ids.length,
      'all jobs',
    );
    for (const worker of workers.slice(1)) worker.kill('SIGTERM');
    for (const worker of workers.slice(1))
      expect(await worker.ended).toMatchObject({ code: 0, signal: null });
    const ledgerLines = await home.lines('ledger');
    expect(ledgerLines.toSorted()).toEqual([...new Set(ledgerLines)].toSorted());
    expect(ledgerLines).toHaveLength(ids.length);
    expect(await home.run(['store', 'check'])).toMatchObject({ code: 0 });
  });

  test('commands work while a worker holds the store', async ({ home }) => {
    const worker = home.start(['work']);
    await worker.until('it works', () => worker.stderr.includes('queue='));
    const file = await home.spec([ledger('one')]);
    await home.json(['submit', file, '--job-id', 'q', '--queue']);
    await until(async () => (await home.status('q')).status === 'completed', 'the job');
    expect((await home.submit('f', [ledger('two')])).json).toMatchObject({ status: 'completed' });
    worker.kill('SIGINT');
    expect(await worker.ended).toMatchObject({ code: 0 });
    expect(await home.status('q')).toMatchObject({ status: 'completed' });
  });

  test('list: newest first, by status, page by page', async ({ session: home }) => {
    const file = await home.spec([DECISION]);
    for (const n of [1, 2, 3, 4, 5]) await home.json(['submit', file, '--job-id', `q${n}`, '--queue']);
    await home.json(['cancel', 'q3']);
    const ids = (page: { jobs: { job_id: string }[] }) => page.jobs.map(({ job_id: id }) => id);
    expect(ids(await home.json(['list']))).toEqual(['q5', 'q4', 'q3', 'q2', 'q1']);
    expect(ids(await home.json(['list', '--status', 'canceled']))).toEqual(['q3']);
    expect(
      ids(await home.json(['list', '--status', 'canceled', '--status', 'queued', '--limit', '2'])),
    ).toEqual(['q5', 'q4']);
    const seen: string[] = [];
    for (let cursor: string[] = []; ; ) {
      const page = await home.json(['list', '--limit', '2', ...cursor]);
      seen.push(...ids(page));
      if (page.next_cursor === undefined) break;
      cursor = ['--cursor', page.next_cursor];
    }
    expect(seen).toEqual(['q5', 'q4', 'q3', 'q2', 'q1']);
    for (const words of [
      ['--status', 'lost'],
      ['--limit', '0'],
      ['--limit', '501'],
      ['--cursor', 'x'],
      ['extra'],
    ])
      expect(await home.fails(['list', ...words]), words.join(' ')).toMatchObject({
        code: 'E_INVALID_INPUT_SCHEMA',
        exit_code: 6,
      });
  });
});
