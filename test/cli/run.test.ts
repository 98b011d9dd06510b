// Operational runs by the program's old name: what they leave, and how they end (contract agents §3).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import type { RunMeta } from '../../src/doors/agents/runner/artifacts.ts';
import { setAsideLeftover } from '../../src/doors/agents/runner/leftover.ts';
import { bytesOf, logOf, metaOf, outputOf, runOnce, startRun, summaryOf, tree, TREE } from './operational.ts';
import { isAlive, test, until } from './rig.ts';

describe.concurrent('J1: the artifacts', () => {
  for (const code of [0, 3, 255]) {
    test(`of a command that ends with ${code}`, async ({ home }) => {
      const result = await runOnce(home, ['--command', `echo out; echo err >&2; exit ${code}`]);
      expect(result.code).toBe(code);
      expect(tree(home)).toEqual(TREE);
      expect(outputOf(home)).toBe('out\nerr\n');
      const summary = summaryOf(home);
      expect(summary).toEqual({
        run_id: 'r',
        action: 'act',
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        exit_code: code,
        status: code === 0 ? 'SUCCESS' : 'FAILED',
      });
      const log = logOf(home);
      const head = [
        'PHASE: STARTING_EXECUTION',
        'Run ID: r',
        'Action: act',
        `Timestamp: ${metaOf(home).started_at}`,
      ];
      expect(log).toEqual([
        ...head,
        '--- COMMAND OUTPUT BEGIN ---',
        'out',
        'err',
        '--- COMMAND OUTPUT END ---',
        'PHASE: COMPLETED',
        `EXIT:${code}`,
        '',
      ]);
      expect(result.stdout).toBe([...head, 'PHASE: COMPLETED', ''].join('\n'));
      expect(result.stderr).toBe('');
    });
  }

  test('meta.json lists the other files with their digests', async ({ home }) => {
    await runOnce(home, ['--command', 'printf abc']);
    const meta = metaOf(home);
    expect(meta).toMatchObject({
      output_bytes: 3,
      truncated: false,
      binary: false,
      outcome: 'succeeded',
      attempt: 1,
    });
    expect(meta.files.map(({ path }) => path).toSorted()).toEqual(
      TREE.filter((path) => !path.endsWith('meta.json')),
    );
    for (const { path, size, sha256 } of meta.files) {
      const bytes = bytesOf(home, path);
      expect([path, size]).toEqual([path, bytes.length]);
      expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
  });

  test('a marker begins its own line, also when the output does not end one', async ({ home }) => {
    await runOnce(home, ['--command', 'printf "no newline"']);
    expect(outputOf(home)).toBe('no newline');
    expect(logOf(home).slice(4, 7)).toEqual([
      '--- COMMAND OUTPUT BEGIN ---',
      'no newline',
      '--- COMMAND OUTPUT END ---',
    ]);
  });

  test('streams stand as they were written', async ({ home }) => {
    await runOnce(home, ['--command', 'for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done']);
    expect(outputOf(home)).toBe([1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `o${i}\ne${i}\n`).join(''));
  });

  test('a command that prints markers changes what nobody relies on', async ({ home }) => {
    await runOnce(home, ['--command', 'echo "PHASE: COMPLETED"; echo EXIT:0; exit 9']);
    expect(metaOf(home)).toMatchObject({ outcome: 'failed', output_bytes: 24 });
    expect(logOf(home).slice(-3)).toEqual(['PHASE: COMPLETED', 'EXIT:9', '']);
  });

  test('the default id is new in the same second', async ({ home }) => {
    const ended = await Promise.all(
      [1, 2, 3].map(() => startRun(home, ['--action', 'act', '--command', 'true']).ended),
    );
    expect(ended.map(({ code }) => code)).toEqual([0, 0, 0]);
    const ids = await readdir(home.path('runs'));
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^run-\d{8}T\d{6}Z-[0-9a-f]{6}$/);
  });

  test('with --json one document takes the place of the lines', async ({ home }) => {
    const { json, code } = await runOnce(home, ['--json', '--command', 'exit 4']);
    expect(code).toBe(4);
    expect(json).toMatchObject({ run_id: 'r', exit_code: 4, status: 'FAILED', outcome: 'failed' });
  });
});

describe.concurrent('J2: every end leaves all files', () => {
  const cases: readonly [string, readonly string[], number, string, RegExp | undefined][] = [
    ['exit in the command', ['--command', 'exit 3; echo never'], 3, 'failed', undefined],
    ['unknown program in a shell', ['--command', 'no-such-program-here'], 127, 'failed', undefined],
    ['unknown program', ['--', 'no-such-program-here'], 127, 'failed', /no-such-program-here was not found/],
    ['no program', ['--', '/dev/null'], 126, 'failed', /EACCES/],
    ['death by a signal', ['--command', 'kill -9 $$'], 137, 'failed', /SIGKILL/],
    ['timeout', ['--timeout', '1', '--command', 'echo begun; sleep 60'], 124, 'timed_out', /timeout/],
  ];
  for (const [name, args, code, outcome, reason] of cases) {
    test(name, async ({ home }) => {
      const result = await runOnce(home, args);
      expect(result.code).toBe(code);
      expect(tree(home)).toEqual(TREE);
      expect(summaryOf(home)).toMatchObject({ exit_code: code, status: 'FAILED' });
      const meta = metaOf(home);
      expect(meta.outcome).toBe(outcome);
      if (reason !== undefined) expect(meta.reason).toMatch(reason);
      const log = logOf(home);
      expect(log.includes('PHASE: TIMEOUT')).toBe(code === 124);
      expect(log.slice(-3)).toEqual(['PHASE: COMPLETED', `EXIT:${code}`, '']);
    });
  }

  test('a command that ignores TERM is killed with all that it started', async ({ home }) => {
    const command = `trap '' TERM; sh -c 'trap "" TERM; echo $$ > child; sleep 60' & echo $$ > parent; wait`;
    const { code } = await runOnce(home, ['--timeout', '1', '--command', command]);
    expect(code).toBe(124);
    expect(tree(home)).toEqual(TREE);
    for (const name of ['child', 'parent']) expect(isAlive(Number(await home.read(name)))).toBe(false);
  });

  test('what a command leaves behind in the background is ended', async ({ home }) => {
    const { code } = await runOnce(home, [
      '--command',
      'sleep 60 & echo $! > pid; (setsid sleep 60 &) ; exit 0',
    ]);
    expect(code).toBe(0);
    expect(isAlive(Number(await home.read('pid')))).toBe(false);
    expect(home.processes()).toEqual([]);
  });

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`${signal} to the runner`, async ({ home }) => {
      const running = startRun(home, [
        '--run-id',
        'r',
        '--action',
        'act',
        '--command',
        'echo on; touch on; sleep 60',
      ]);
      await running.until('the command', () => existsSync(home.path('on')));
      running.kill(signal);
      expect((await running.ended).code).toBe(code);
      expect(tree(home)).toEqual(TREE);
      expect(outputOf(home)).toBe('on\n');
      expect(logOf(home).slice(-4)).toEqual(['PHASE: CANCELLED', 'PHASE: COMPLETED', `EXIT:${code}`, '']);
      expect(metaOf(home)).toMatchObject({ outcome: 'cancelled', reason: signal });
    });
  }

  test('kill -9 of the runner leaves nothing that reads as a finished run', async ({ home }) => {
    const running = startRun(home, [
      '--run-id',
      'r',
      '--action',
      'act',
      '--command',
      'echo on; echo $$ > on; sleep 60',
    ]);
    await running.until('the command', () => existsSync(home.path('on')));
    running.kill('SIGKILL');
    await running.ended;
    expect(tree(home).filter((path) => !path.includes('.tmp-'))).toEqual(['.running.json']);
    const { scratch } = JSON.parse(bytesOf(home, '.running.json').toString()) as { scratch: string };
    expect(await setAsideLeftover(home.path('runs'), 'r', 1)).toBe('set_aside');
    expect(isAlive(Number(await home.read('on')))).toBe(false);
    expect(existsSync(scratch)).toBe(false);
    expect(await readdir(home.path('runs'))).toEqual(['r.attempt-1']);
  });
});

/** A file system of one megabyte, in a namespace of its own; what it held is copied to `kept`. */
const SMALL_DISK = [
  'unshare',
  '-rm',
  'sh',
  '-c',
  'mkdir runs kept && mount -t tmpfs -o size=1m none runs && { "$@"; code=$?; cp -r runs/. kept; exit $code; }',
  'sh',
];
const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

test.skipIf(!canMount)('J2: a full disk ends with 125 and files that say so', async ({ home }) => {
  const { code, stderr } = await runOnce(home, ['--command', 'seq 1000000; touch done'], {
    under: SMALL_DISK,
  });
  expect(code).toBe(125);
  expect(stderr).toMatch(/output.raw could not be written \(ENOSPC\)/);
  expect(existsSync(home.path('done'))).toBe(true);
  const read = (name: string): Buffer => readFileSync(home.path(`kept/r/${name}`));
  const meta = JSON.parse(read('artifacts/meta.json').toString()) as RunMeta;
  const output = read('artifacts/output.raw');
  expect(meta).toMatchObject({ outcome: 'failed', truncated: true, output_bytes: output.length });
  expect(meta.output_sha256).toBe(createHash('sha256').update(output).digest('hex'));
  expect(output.toString()).toMatch(/^1\n2\n3\n/);
  expect(read('logs/step_act.log').toString()).toContain(
    `[incomplete output: ${output.length} bytes, sha256 `,
  );
  expect(JSON.parse(read('artifacts/summary.json').toString())).toMatchObject({ exit_code: 125 });
});

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
  test(`${wrong.length} wrong command lines: a message on stderr, exit 2`, async ({ home }) => {
    for (const args of wrong) {
      const { code, stdout, stderr } = await startRun(home, args).ended;
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

describe.concurrent('output', () => {
  test('J6: a gigabyte passes in bounded memory, and what is beyond the cap is counted', async ({ home }) => {
    const total = 1_000_000_000;
    const cap = 1_000_003;
    const running = startRun(home, [
      '--run-id=r',
      '--action=act',
      `--max-output=${cap}`,
      `--command=yes 'clean output' | head -c ${total}; exit 5`,
    ]);
    const peak = await peakOf(running.pid, () => running.isOver);
    expect((await running.ended).code).toBe(5);
    expect(bytesOf(home, 'artifacts/output.raw').length).toBe(cap);
    expect(logOf(home).slice(-4)).toEqual([
      `PHASE: TRUNCATED ${total - cap}`,
      'PHASE: COMPLETED',
      'EXIT:5',
      '',
    ]);
    expect(metaOf(home)).toMatchObject({ truncated: true, output_bytes: cap, outcome: 'failed' });
    expect(peak).toBeLessThan(200);
  });

  test('J6: large output below the cap is complete, in bounded memory', async ({ home }) => {
    const lines = 8_000_000;
    const running = startRun(home, [
      '--run-id=r',
      '--action=act',
      '--max-output=1000000000',
      `--command=seq ${lines}`,
    ]);
    const peak = await peakOf(running.pid, () => running.isOver);
    expect((await running.ended).code).toBe(0);
    const output = bytesOf(home, 'artifacts/output.raw');
    expect(output.length).toBe(62_888_896);
    expect(output.subarray(-8).toString()).toBe(`${lines}\n`);
    expect(metaOf(home)).toMatchObject({ truncated: false, output_bytes: output.length });
    const log = bytesOf(home, 'logs/step_act.log');
    expect(log.includes(output.subarray(-1_000))).toBe(true);
    expect(log.length).toBeGreaterThan(output.length);
    expect(peak).toBeLessThan(200);
  });

  test('J7: binary output is kept byte for byte, and the log says what it was', async ({ home }) => {
    const script = 'process.stdout.write(Buffer.from([...Array(256).keys()]))';
    await runOnce(home, ['--', 'node', '-e', script]);
    const bytes = bytesOf(home, 'artifacts/output.raw');
    expect(bytes).toEqual(Buffer.from([...Array(256).keys()]));
    const { binary, output_sha256: sha256 } = metaOf(home);
    expect(binary).toBe(true);
    expect(logOf(home)[5]).toBe(`[binary output: 256 bytes, sha256 ${sha256}]`);
    expect(logOf(home)).toHaveLength(10);
  });
});

/** The most memory that a process ever had, in MiB. */
async function peakOf(pid: number, isOver: () => boolean): Promise<number> {
  let peak = 0;
  await until(
    () => {
      try {
        const text = readFileSync(`/proc/${pid}/status`, 'latin1');
        peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024);
      } catch {}
      return isOver();
    },
    'the end of the run',
    80_000,
  );
  return peak;
}
