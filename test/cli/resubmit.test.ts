// A directory of a job that came into being between a look at the store and a look at the directories.
import { expect } from 'vitest';
import { importJob, type Jobs } from '../../src/doors/jobs/jobs.ts';
import { test } from './rig.ts';

test('a leased directory of a job that the store knows by now is our own, and no foreign one', async ({
  home,
}) => {
  const file = await home.spec([{ id: 'one', command: 'until [ -e go ]; do sleep 0.05; done' }], {
    file: 'twice',
  });
  const submitting = home.start(['submit', file, '--job-id', 'twice']);
  const job = async () => (await home.json(['status', 'twice'])).status;
  await submitting.until('it runs', async () => (await job().catch(() => '')) === 'running');
  const seen = (known: boolean): Jobs =>
    ({
      root: home.store,
      version: '0',
      note: () => undefined,
      surroundings: { cwd: home.cwd, env: {} },
      engine: {
        clock: { nowMs: () => Date.now() },
        store: { head: async () => (known ? { id: 'twice' } : undefined) },
      },
    }) as unknown as Jobs;
  await expect(importJob(seen(false), 'twice')).rejects.toMatchObject({ code: 'E_LEASE_CONFLICT' });
  expect(await importJob(seen(true), 'twice')).toBe(true);
  await home.write('go', '');
  expect((await submitting.ended).code).toBe(0);
});
