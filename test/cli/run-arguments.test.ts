// What the runner takes, and what it gives its command (contract agents §3).
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { metaOf, outputOf, runOnce, summaryOf, tree, TREE } from './operational.ts';
import { test } from './session.ts';

describe.concurrent('J3, J4: argument errors make no run', () => {
  test('no mode and an unknown one: usage on stdout, exit 1', async ({ home }) => {
    for (const args of [[], ['walk'], ['--help']]) {
      const { code, stdout, stderr } = await home.run(args, { program: 'jarvas_lite_run' });
      expect([code, stderr]).toEqual([1, '']);
      expect(stdout).toMatch(/^usage: jarvas_lite_run agent \| run /);
    }
  });

  const ok = ['--action', 'act', '--command', 'true'];
  const wrong: readonly (readonly string[])[] = [
    [],
    ['--action', 'act'],
    ['--command', 'true'],
    ['--action'],
    [...ok, '--run-id'],
    [...ok, '--nonsense'],
    [...ok, 'word'],
    ['--action', 'act', '--command', ''],
    ['--action', 'act', '--'],
    [...ok, '--timeout', '0'],
    [...ok, '--timeout', '86401'],
    [...ok, '--timeout', 'soon'],
    [...ok, '--max-output', '-1'],
    [...ok, '--max-output', '0'],
    [...ok, '--env-ref', 'NOT_SET'],
    [...ok, '--env-ref', 'JARVAS_RUN_ID'],
    [...ok, '--env-ref', 'a b'],
    [...ok, '--arg', 'a=b'],
    [...ok, '--skill', 'probe@1.0.0'],
    ['--action', 'act', '--skill', 'probe'],
    ['--action', 'act', '--skill', '../probe@1.0.0'],
    ['--action', 'act', '--skill', 'probe@1.0.0', '--arg', 'novalue'],
    ['--action', 'act', '--skill', 'probe@1.0.0'],
    ...[
      '..',
      '../x',
      'a/b',
      '/abs',
      'a..b',
      '.hidden',
      "a'b",
      'a"b',
      'a b',
      'a\nb',
      '',
      'x'.repeat(129),
      'ä',
    ].map((id) => [...ok, '--run-id', id]),
    ...['..', '../x', 'a/b', 'Act', "a'b", 'a..b', '', '-a', 'x'.repeat(65)].map((action) => [
      '--action',
      action,
      '--command',
      'true',
    ]),
  ];
  test(`${wrong.length} wrong command lines: a message on stderr, exit 2`, async ({ home, session }) => {
    for (const args of wrong) {
      const { code, stdout, stderr } = await session.run(['run', ...args], { program: 'reeve' });
      expect([args, code, stdout]).toEqual([args, 2, '']);
      expect(stderr).toMatch(/^E_USAGE: /);
      expect(existsSync(home.path('runs'))).toBe(false);
    }
  });

  test('J5: an id is used once', async ({ home }) => {
    await runOnce(home, ['--command', 'echo first']);
    const before = readFileSync(home.path('runs/r/artifacts/meta.json'), 'utf8');
    const again = await runOnce(home, ['--command', 'echo second']);
    expect([again.code, again.stdout]).toEqual([2, '']);
    expect(outputOf(home)).toBe('first\n');
    expect(readFileSync(home.path('runs/r/artifacts/meta.json'), 'utf8')).toBe(before);
    expect(tree(home)).toEqual(TREE);
  });
});

describe.concurrent('what a command is given', () => {
  test('an environment that holds nothing else', async ({ home }) => {
    const env = {
      SECRET_ONE: 'first-secret',
      OTHER: 'unseen',
      LANG: 'C',
      TZ: 'UTC',
      JARVAS_AGENT_TOKEN: 'agent-token',
    };
    await runOnce(home, ['--env-ref', 'SECRET_ONE', '--', 'env'], { env });
    const names = outputOf(home)
      .split('\n')
      .flatMap((line) => line.split('=')[0] ?? [])
      .filter((name) => name !== '');
    const own = ['JARVAS_ACTION', 'JARVAS_ARTIFACTS_DIR', 'JARVAS_RUN_ID'];
    expect(new Set(names)).toEqual(new Set([...own, 'HOME', 'LANG', 'PATH', 'SECRET_ONE', 'TZ']));
  });

  test('an empty input, a session of its own, the working directory of the caller', async ({ home }) => {
    await runOnce(home, ['--command', 'wc -c; ps -o sid= -p $$ | tr -d " "; echo $$; pwd']);
    const [bytes, session, pid, cwd] = outputOf(home).split('\n');
    expect([bytes, cwd]).toEqual(['0', home.cwd]);
    expect(session).toBe(pid);
  });

  test('J18: its arguments, literally', async ({ home }) => {
    const words = [
      '$(touch pwned)',
      '`id`',
      ';',
      '| tee x',
      '"\'',
      '*',
      '--json',
      '--store',
      '',
      '\\',
      'ü\n',
    ];
    await runOnce(home, [
      '--',
      'node',
      '-e',
      'console.log(JSON.stringify(process.argv.slice(1)))',
      '--',
      ...words,
    ]);
    expect(JSON.parse(outputOf(home))).toEqual(words);
    expect(existsSync(home.path('pwned'))).toBe(false);
  });

  test('a directory whose files are kept, but for links and names of the runner', async ({ home }) => {
    const command = `cd "$JARVAS_ARTIFACTS_DIR"; echo '{"a":1}' > report.json; mkdir deep; echo x > deep/file; ln -s /etc/passwd link; echo forged > summary.json; echo forged > meta.json`;
    await runOnce(home, ['--command', command]);
    expect(tree(home)).toEqual([...TREE, 'artifacts/deep/file', 'artifacts/report.json'].toSorted());
    expect(summaryOf(home)).toMatchObject({ exit_code: 0 });
    expect(metaOf(home).skipped?.map(({ path }) => path)).toEqual(['link', 'meta.json', 'summary.json']);
  });

  test('runs in RUNS_DIR or --runs-dir, the flag first', async ({ home }) => {
    await runOnce(home, ['--command', 'true'], { env: { RUNS_DIR: 'from-variable' } });
    await runOnce(home, ['--command', 'true', '--runs-dir', 'from-flag'], {
      env: { RUNS_DIR: 'from-variable' },
    });
    for (const folder of ['from-variable', 'from-flag'])
      expect(existsSync(home.path(`${folder}/r/logs`))).toBe(true);
  });
});
