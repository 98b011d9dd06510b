// `store prune` (contract wrkr §d).
import { existsSync } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { DECISION, ledger, test, type Home } from './rig.ts';

const HOUR_MS = 3_600_000;

async function aged(home: Home, name: string, hours: number): Promise<string> {
  const path = await home.write(name, 'x'.repeat(10));
  const at = new Date(Date.now() - hours * HOUR_MS);
  await utimes(path, at, at);
  return path;
}

async function ageJob(home: Home, jobId: string, hours: number): Promise<void> {
  const at = new Date(Date.now() - hours * HOUR_MS);
  for (const file of ['events.jsonl', 'snapshot.json', 'runtime_config.json'])
    await utimes(`${home.jobDir(jobId)}/${file}`, at, at);
}

describe.concurrent('store prune', () => {
  test('W32 a dry run names what a real run removes; age comes before count; what is new stays', async ({
    home,
  }) => {
    for (const [n, hours] of [
      [1, 100],
      [2, 50],
      [3, 3],
      [4, 2],
      [5, 1],
    ] as const)
      await aged(home, `wrkr-out/jobpacks/jobpack_${n}.zip`, hours);
    await aged(home, 'wrkr-out/reports/a.md', 100);
    await aged(home, 'wrkr-out/integrations/lane/deep/request.json', 100);
    await home.submit('old', [ledger('one')]);
    await home.submit('new', [ledger('one')]);
    await ageJob(home, 'old', 100);
    const words = [
      'store',
      'prune',
      '--job-max-age',
      '48h',
      '--jobpack-max-age',
      '72h',
      '--max-jobpacks',
      '2',
      '--report-max-age',
      '1h30m',
      '--integration-max-age',
      '1.5h',
    ];
    const dry = await home.json([...words, '--dry-run']);
    expect(dry).toMatchObject({
      dry_run: true,
      checked: 9,
      matched: 6,
      removed: 0,
      freed_bytes: 0,
      skipped: [],
      errors: [],
    });
    expect(
      dry.entries.map(({ kind, reason, path }: Record<string, string>) => [
        kind,
        reason,
        path!.split('/').slice(-2).join('/'),
      ]),
    ).toEqual([
      ['job', 'age', 'jobs/old'],
      ['integration', 'age', 'deep/request.json'],
      ['jobpack', 'age', 'jobpacks/jobpack_1.zip'],
      ['jobpack', 'count', 'jobpacks/jobpack_2.zip'],
      ['jobpack', 'count', 'jobpacks/jobpack_3.zip'],
      ['report', 'age', 'reports/a.md'],
    ]);
    for (const { path } of dry.entries) expect(existsSync(path), path).toBe(true);

    const real = await home.json(words);
    expect(real.entries).toEqual(dry.entries);
    expect(real).toMatchObject({ dry_run: false, matched: 6, removed: 6 });
    expect(real.freed_bytes).toBe(
      dry.entries.reduce((sum: number, entry: { size_bytes: number }) => sum + entry.size_bytes, 0),
    );
    for (const { path } of dry.entries) expect(existsSync(path), path).toBe(false);
    expect(existsSync(home.path('wrkr-out/jobpacks/jobpack_4.zip'))).toBe(true);
    expect(await home.fails(['status', 'old'])).toMatchObject({ exit_code: 6 });
    expect(await home.json(['list'])).toMatchObject({ jobs: [{ job_id: 'new' }] });
    expect(await home.json(words)).toMatchObject({ matched: 0, removed: 0 });
  });

  test('W32 a job that waits or runs is skipped, unless --include-active', async ({ home }) => {
    await home.submit('waits', [DECISION]);
    await home.submit('done', [{}]);
    for (const id of ['waits', 'done']) await ageJob(home, id, 100);
    const words = ['store', 'prune', '--job-max-age', '48h'];
    const report = await home.json(words);
    expect(report).toMatchObject({
      matched: 1,
      removed: 1,
      entries: [{ path: home.jobDir('done') }],
      skipped: [{ path: home.jobDir('waits') }],
    });
    expect(await home.status('waits')).toMatchObject({ status: 'blocked_decision' });
    await ageJob(home, 'waits', 100);
    expect(await home.json([...words, '--include-active'])).toMatchObject({ removed: 1 });
    expect(await home.json(['list'])).toEqual({ jobs: [] });
  });

  test('a pruned id is free again, and its steps run again', async ({ home }) => {
    const step = ledger('one', 'until [ -e go ]; do sleep 0.05; done');
    const worker = await home.submitting('j', [step]);
    await worker.until('the step', async () => (await home.lines('ledger')).length === 1);
    worker.kill('SIGKILL');
    await worker.ended;
    await home.write('go', '');
    await home.json(['cancel', 'j']);
    await home.json(['store', 'prune', '--job-max-age', '1ms']);
    expect(await home.json(['list'])).toEqual({ jobs: [] });
    expect((await home.submit('j', [ledger('again')])).json).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['one', 'again']);
    expect((await home.events('j'))[0]).toMatchObject({ seq: 1, type: 'job_initialized' });
  });

  test('W32 the text form; --store-root and --out-dir name the places', async ({ home }) => {
    await home.submit('done', [{}]);
    await aged(home, 'elsewhere/reports/r.md', 10);
    const where = ['--store-root', home.store, '--out-dir', 'elsewhere'];
    const { code, stdout } = await home.run(['store', 'prune', '--report-max-age', '1h', ...where], {
      env: { HOME: '/nonexistent' },
    });
    expect(code).toBe(0);
    expect(stdout).toBe(
      `store prune dry_run=false checked=2 matched=1 removed=1 freed_bytes=10\n- kind=report reason=age path=${home.path('elsewhere/reports/r.md')} size=10\n`,
    );
  });

  test('W33 7d, -1, nonsense and no criterion are refused, and nothing is removed', async ({ home }) => {
    await home.submit('done', [{}]);
    for (const words of [
      [],
      ['--dry-run'],
      ['--job-max-age', '7d'],
      ['--job-max-age', '-1h'],
      ['--job-max-age', '0s'],
      ['--job-max-age', '1'],
      ['--job-max-age', ''],
      ['--max-jobpacks', '-1'],
      ['--max-reports', '1.5'],
      ['--max-reports', 'x'],
    ]) {
      const error = await home.fails(['store', 'prune', ...words]);
      expect(error, words.join(' ')).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    }
    expect(await home.status('done')).toMatchObject({ status: 'completed' });
  });
});
