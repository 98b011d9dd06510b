// How long files are kept (contract agents §8, J26).
import { expect } from 'vitest';
import { test } from './fixtures.ts';
import { DAY_MS, sha256, START_MS, type FilesRig } from './rig.ts';
import type { TaskView } from '../../../../src/doors/agents/wire/tasks.ts';

const at = (day: number): string => `${new Date(START_MS + day * DAY_MS).toISOString().slice(0, 19)}Z`;

/** A run with an output, a log and a summary, which has ended on the day of the clock. */
async function finished(
  rig: FilesRig,
  runId: string,
  about: Partial<TaskView> = {},
  tenant = 'default',
): Promise<void> {
  rig.runs.lend(tenant, runId, 'a1', 'l1');
  const options = { runId, as: `agent:${tenant}:a1` };
  for (const [path, body] of [
    ['artifacts/output.raw', `output of ${runId}\n`],
    ['artifacts/summary.json', `{"run_id":"${runId}"}`],
    ['logs/step_check.log', `log of ${runId}\n`],
  ] as const)
    expect((await rig.put(path, body, options)).status).toBe(201);
  const day = (rig.clock.nowMs() - START_MS) / DAY_MS;
  rig.runs.end(tenant, runId, { status: 'succeeded', finished_at: at(day), ...about });
}

/** Which files of a run are there, by their first letters. */
async function there(rig: FilesRig, runId: string, tenant = 'default'): Promise<string> {
  const files = await rig.part.files.list(tenant, runId);
  return files.map(({ kind }) => kind).join();
}

const ALL = 'raw,summary,log';

test('J26 artifacts go after artifact_days, logs after log_days; summary and digests stay', async ({
  rig,
}) => {
  rig.retention.set('default', { artifact_days: 10, log_days: 20 });
  await finished(rig, 'r2');
  rig.clock.jump(10 * DAY_MS - 1000);
  expect(await rig.part.applyRetention()).toEqual({ files: 0, bytes: 0 });
  rig.clock.jump(1000);
  expect(await rig.part.applyRetention()).toEqual({ files: 1, bytes: 'output of r2\n'.length });
  expect(await there(rig, 'r2')).toBe('summary,log');
  rig.clock.jump(10 * DAY_MS);
  await rig.part.applyRetention();
  expect(await there(rig, 'r2')).toBe('summary');

  const gone = await rig.get('/runs/r2/files/artifacts/output.raw');
  expect([gone.status, gone.json.error]).toEqual([
    404,
    {
      code: 'removed',
      message: expect.any(String),
      details: {
        path: 'artifacts/output.raw',
        size: 13,
        sha256: sha256('output of r2\n'),
        removed_at: at(10),
      },
    },
  ]);
  expect((await rig.get('/runs/r2/files/artifacts/summary.json')).text).toBe('{"run_id":"r2"}');
  const { json } = await rig.get('/runs/r2');
  expect(
    json.files.map(({ path, sha256: hash, removed_at }: Record<string, string>) => [path, hash, removed_at]),
  ).toEqual([
    ['artifacts/output.raw', sha256('output of r2\n'), at(10)],
    ['artifacts/summary.json', sha256('{"run_id":"r2"}'), undefined],
    ['logs/step_check.log', sha256('log of r2\n'), at(20)],
  ]);
  expect(await rig.names()).toEqual([sha256('{"run_id":"r2"}')]);
  expect(rig.audit.filter(({ action }) => action === 'files.remove')).toEqual([
    {
      actor: 'retention',
      tenant: 'default',
      action: 'files.remove',
      object: 'run/r2',
      before: { files: [{ path: 'artifacts/output.raw', size: 13, sha256: sha256('output of r2\n') }] },
      reason: expect.stringContaining('artifact_days 10'),
    },
    expect.objectContaining({
      object: 'run/r2',
      before: { files: [expect.objectContaining({ path: 'logs/step_check.log' })] },
    }),
  ]);
});

test('J26 a removed file does not come back: its digest is still taken as there, and others are refused', async ({
  rig,
}) => {
  await finished(rig, 'r2');
  rig.clock.jump(100 * DAY_MS);
  await rig.part.applyRetention();
  rig.runs.lend('default', 'r2', 'a1', 'l2');
  const late = { runId: 'r2', headers: { 'x-lease-id': 'l2' } };
  expect((await rig.put('artifacts/output.raw', 'output of r2\n', late)).status).toBe(204);
  expect((await rig.put('artifacts/output.raw', 'another\n', late)).status).toBe(409);
  expect(await there(rig, 'r2')).toBe('summary');
});

test('J26 running runs, and runs of a rollout that is open, are left alone whatever their age', async ({
  rig,
}) => {
  await rig.put('artifacts/output.raw', 'still running');
  await finished(rig, 'canary', { rollout_id: 'ro1' });
  rig.openRollouts.add('ro1');
  rig.retention.set('default', { artifact_days: 1, log_days: 1, max_bytes: 0 });
  rig.clock.jump(1000 * DAY_MS);
  expect(await rig.part.applyRetention()).toEqual({ files: 0, bytes: 0 });
  rig.openRollouts.delete('ro1');
  expect((await rig.part.applyRetention()).files).toBe(2);
  expect([await there(rig, 'r1'), await there(rig, 'canary')]).toEqual(['raw', 'summary']);
});

test('J26 a legal hold keeps everything of its tenant, and of no other', async ({ rig }) => {
  await finished(rig, 'mine');
  await finished(rig, 'theirs', {}, 'other');
  const rules = { artifact_days: 1, log_days: 1, max_bytes: 0 };
  rig.retention.set('default', { ...rules, legal_hold: true });
  rig.retention.set('other', rules);
  rig.clock.jump(1000 * DAY_MS);
  await rig.part.applyRetention();
  expect([await there(rig, 'mine'), await there(rig, 'theirs', 'other')]).toEqual([ALL, 'summary']);
  rig.retention.set('default', rules);
  await rig.part.applyRetention();
  expect(await there(rig, 'mine')).toBe('summary');
});

test('J26 runs that failed are kept longer where the tenant says so', async ({ rig }) => {
  rig.retention.set('default', { artifact_days: 1, log_days: 1, keep_failed_days: 30, max_bytes: 0 });
  await finished(rig, 'failed', { status: 'failed' });
  await finished(rig, 'lost', { status: 'lost' });
  await finished(rig, 'fine');
  rig.clock.jump(29 * DAY_MS);
  await rig.part.applyRetention();
  expect([await there(rig, 'failed'), await there(rig, 'lost'), await there(rig, 'fine')]).toEqual([
    ALL,
    ALL,
    'summary',
  ]);
  rig.clock.jump(DAY_MS);
  await rig.part.applyRetention();
  expect([await there(rig, 'failed'), await there(rig, 'lost')]).toEqual(['summary', 'summary']);
});

test('J26 over max_bytes the oldest runs go first, and no more than must', async ({ rig }) => {
  for (const run of ['b-first', 'a-second', 'c-third']) {
    await finished(rig, run);
    rig.clock.jump(DAY_MS);
  }
  const all = (
    await Promise.all(['b-first', 'a-second', 'c-third'].map((run) => rig.part.files.list('default', run)))
  ).flat();
  const bytes = all.reduce((sum, { size }) => sum + size, 0);
  rig.retention.set('default', { max_bytes: bytes });
  expect((await rig.part.applyRetention()).files).toBe(0);
  rig.retention.set('default', { max_bytes: bytes - 1 });
  expect((await rig.part.applyRetention()).files).toBe(2);
  expect([await there(rig, 'b-first'), await there(rig, 'a-second'), await there(rig, 'c-third')]).toEqual([
    'summary',
    ALL,
    ALL,
  ]);
});

test('J26 bytes that another run has too stay, until the last of them goes', async ({ rig }) => {
  rig.retention.set('other', { artifact_days: 50, log_days: 50 });
  rig.runs.lend('other', 'theirs', 'a1', 'l1');
  await rig.put('artifacts/same', 'shared bytes');
  await rig.put('artifacts/same', 'shared bytes', { runId: 'theirs', as: 'agent:other:a1' });
  expect(await rig.names()).toEqual([sha256('shared bytes')]);
  rig.runs.end('default', 'r1', { status: 'succeeded', finished_at: at(0) });
  rig.runs.end('other', 'theirs', { status: 'succeeded', finished_at: at(0) });
  rig.clock.jump(40 * DAY_MS);
  expect((await rig.part.applyRetention()).files).toBe(1);
  expect((await rig.get('/runs/theirs/files/artifacts/same', {}, 'other')).text).toBe('shared bytes');
  rig.clock.jump(10 * DAY_MS);
  expect((await rig.part.applyRetention()).files).toBe(1);
  expect(await rig.names()).toEqual([]);
});

test('J26 a crash between the tombstone and the deletion leaves bytes that the search for orphans removes', async ({
  rig,
}) => {
  await finished(rig, 'r2');
  rig.clock.jump(100 * DAY_MS);
  const remove = rig.blobs.delete.bind(rig.blobs);
  rig.blobs.delete = () => Promise.reject(new Error('killed'));
  await expect(rig.part.applyRetention()).rejects.toThrow('killed');
  rig.blobs.delete = remove;
  expect(await there(rig, 'r2')).toBe('summary');
  expect((await rig.names()).length).toBeGreaterThan(1);
  rig.clock.jump(Date.now() - rig.clock.nowMs()); // files have times of the real clock
  expect(await rig.part.removeOrphans()).toBe(0);
  rig.clock.jump(3 * DAY_MS);
  expect(await rig.part.removeOrphans()).toBe(2);
  expect(await rig.names()).toEqual([sha256('{"run_id":"r2"}')]);
});

test('J26 the sweeper begins at once, comes back every hour, and goes on after a failure', async ({
  rig,
}) => {
  rig.retention.set('default', { artifact_days: 1, log_days: 1 });
  await finished(rig, 'r2');
  rig.clock.jump(DAY_MS - 1800_000);
  const notes: string[] = [];
  const stop = rig.part.start((text) => notes.push(text));
  const { ofRun } = rig.runs.board;
  let asked = 0;
  Object.assign(rig.runs.board, {
    ofRun: () => {
      asked += 1;
      throw new Error('the store is busy');
    },
  });
  const rests = (): boolean => Number.isFinite(rig.clock.nextMs());
  await rig.clock.until(rests, 'the end of the first pass');
  await rig.clock.advance(3_600_000);
  await rig.clock.until(() => asked > 0 && rests(), 'a pass');
  Object.assign(rig.runs.board, { ofRun });
  await rig.clock.advance(3_600_000);
  const passed = async (): Promise<boolean> => (await there(rig, 'r2')) === 'summary';
  await rig.clock.until(passed, 'the next pass');
  await stop();
  expect(notes).toEqual(['retention failed: the store is busy']);
});
