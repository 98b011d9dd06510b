// Operational runs by the program's old name: what they leave, and how they end (contract agents §3).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import type { RunMeta } from '../../src/doors/agents/runner/artifacts.ts';
import { setAsideLeftover } from '../../src/doors/agents/runner/leftover.ts';
import { bytesOf, logOf, metaOf, outputOf, runOnce, startRun, summaryOf, tree, TREE } from './operational.ts';
import { isAlive, test } from './rig.ts';

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
    const running = startRun(home, ['--run-id=r', '--action=act', `--command=${command}`]);
    await running.until('both', () => existsSync(home.path('child')) && existsSync(home.path('parent')));
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(143);
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
