// The disk of an embedded store fills up under a worker, and there is room again later (I1, I5).
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { ledger, test, until } from '../cli/rig.ts';
import { fillUp, mountMemory, unmount } from '../store/mounts.ts';

vi.setConfig({ testTimeout: 180_000 });

test('a full disk: commands are refused, nothing is written by halves, and the worker goes on once there is room', async ({
  home,
  skip,
}) => {
  mkdirSync(home.store);
  if (process.getuid?.() !== 0 || !mountMemory(home.store, 8)) skip('no file system can be mounted here');
  try {
    // More output than fits into an event: it becomes a blob on the same disk.
    const loud =
      "until [ -e go ]; do sleep 0.05; done; head -c 60000 /dev/zero | tr '\\0' y; echo end >> ledger";
    const steps = [ledger('one'), { ...ledger('two', loud), on_interrupt: 'block' }, ledger('three')];
    const file = await home.spec(steps);
    await home.json(['submit', file, '--job-id', 'j', '--queue']);
    const worker = home.start(['work']);
    await worker.until('the second step', async () => (await home.lines('ledger')).includes('two'));
    const before = await home.json(['status', 'j']);

    fillUp(join(home.store, 'ballast'));
    for (const args of [
      ['submit', file, '--job-id', 'k', '--queue'],
      ['pause', 'j'],
      ['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', 'half way'],
    ])
      expect(await home.fails(args)).toMatchObject({ code: 'E_STORE_FULL' });
    expect(await home.json(['list'])).toMatchObject({ jobs: [{ job_id: 'j', status: 'running' }] });
    expect((await home.json(['status', 'j'])).created_at).toBe(before.created_at);
    await home.write('go', '');
    // By itself; or, on a machine so busy that the lease could end, stopped by the worker that cannot renew it.
    const isAtWork = (): boolean =>
      home.processes().some(({ command }) => command.includes('until [ -e go ]'));
    await until(() => !isAtWork(), 'the end of the command', 60_000);

    rmSync(join(home.store, 'ballast'));
    // Whoever watched the command may have had no room to say how it ended: then that is unknown, and a person looks.
    const done = async (): Promise<boolean> => {
      const { status } = await home.status('j');
      const isDone = (await home.lines('ledger')).includes('end');
      const found = isDone ? ['--mark-done', 'two', '--reason', 'the ledger has it'] : [];
      if (status === 'blocked_error') await home.run(['resume', 'j', '--queue', ...found]);
      return status === 'completed';
    };
    await until(done, 'the end of the job', 90_000);
    expect((await home.lines('ledger')).filter((line) => line !== 'two')).toEqual(['one', 'end', 'three']);
    await home.json(['submit', file, '--job-id', 'k', '--queue']);
    await until(async () => (await home.status('k')).status === 'completed', 'the job after it', 90_000);
    expect(await home.json(['store', 'check'])).toMatchObject({ ok: true, runs: 2 });
    worker.kill('SIGTERM');
    await worker.ended;
  } finally {
    for (const { pid } of home.processes()) process.kill(pid, 'SIGKILL');
    unmount(home.store);
  }
});
