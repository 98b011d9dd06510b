// Size, speed and life without a network (W76, W77). Times are printed, not asserted: the machine may be busy.
import { spawnSync } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { expect } from 'vitest';
import { test, type Home } from './rig.ts';

const hasUnshare = spawnSync('unshare', ['-rn', 'true']).status === 0;

function tell(what: string, sinceMs: number): void {
  process.stderr.write(`${what}: ${((performance.now() - sinceMs) / 1000).toFixed(2)} s\n`);
}

async function timed(home: Home, what: string, words: readonly string[]): Promise<unknown> {
  const startMs = performance.now();
  const json: unknown = await home.json(words);
  tell(what, startMs);
  return json;
}

test('W77 1,000 dry steps complete, numbered without gap', async ({ home }) => {
  const file = await home.spec(Array.from({ length: 1000 }, (_, n) => ({ id: `s${n}` })));
  expect(await timed(home, '1,000 dry steps', ['submit', file, '--job-id', 'j'])).toMatchObject({
    status: 'completed',
  });
  const events = await home.events('j');
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
  expect(events.filter(({ type }) => type === 'adapter_step')).toHaveLength(1000);
  expect(await timed(home, 'checkpoint list of them', ['checkpoint', 'list', 'j'])).toHaveLength(1002);
});

test('W77 250 steps with commands: status, list, export, verify, and a pack of at most 15 MB', async ({
  home,
}) => {
  const file = await home.spec(Array.from({ length: 250 }, (_, n) => ({ id: `s${n}`, command: ':' })));
  expect(await timed(home, '250 steps with commands', ['submit', file, '--job-id', 'j'])).toMatchObject({
    status: 'completed',
  });
  expect(await timed(home, 'status', ['status', 'j'])).toMatchObject({ status: 'completed' });
  expect(await timed(home, 'list', ['list'])).toMatchObject({ jobs: [{ steps: 250, steps_done: 250 }] });
  const { path } = (await timed(home, 'export', ['export', 'j'])) as { path: string };
  expect((await stat(path)).size).toBeLessThanOrEqual(15_000_000);
  expect(await timed(home, 'verify', ['verify', 'j'])).toMatchObject({ job_id: 'j' });
});

test.skipIf(!hasUnshare)('W76 everything works without a network (unshare -n)', async ({ home }) => {
  const options = { under: ['unshare', '-rn'] };
  const startMs = performance.now();
  const demo = await home.json(['demo'], options);
  expect(await home.json(['status', demo.job_id], options)).toMatchObject({ status: 'completed' });
  tell('demo', startMs);
  await home.json(['init'], options);
  const job = await home.json(['submit', 'jobspec.yaml', '--job-id', 'j'], options);
  expect(job).toMatchObject({ status: 'blocked_decision' });
  const { checkpoint_id: decision } = (await home.json(['checkpoint', 'list', 'j'], options)).at(-1);
  await home.json(['approve', 'j', '--checkpoint', decision, '--reason', 'ok'], options);
  expect(await home.json(['resume', 'j'], options)).toMatchObject({ status: 'completed' });
  expect(await home.json(['wrap', '--', 'true'], options)).toMatchObject({
    adapter_result: { status: 'completed' },
  });
  await home.json(['submit', 'jobspec.yaml', '--job-id', 'q', '--queue'], options);
  await home.json(['work', '--once'], options);
  expect(await home.json(['status', 'q'], options)).toMatchObject({ status: 'blocked_decision' });
  expect(await home.run(['store', 'check'], options)).toMatchObject({ code: 0 });
  expect(await home.run(['doctor'], options)).toMatchObject({ code: 0 });
});

if (!hasUnshare) process.stderr.write('W76 IS NOT TESTED HERE: unshare -rn does not work on this machine\n');
