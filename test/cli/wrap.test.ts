// `wrap` (contract wrkr §e): one command as a job.
import { existsSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { test } from './rig.ts';

describe.concurrent('wrap', () => {
  test('W42 success: result, checkpoints, arguments as they are, no shell', async ({ home }) => {
    const argv = ['printf', '%s|', 'a b', '', '$HOME', '*', ';', 'ä'];
    const result = await home.json([
      'wrap',
      '--job-id',
      'w',
      '--artifact',
      'b',
      '--artifact',
      'a',
      '--',
      ...argv,
    ]);
    expect(result.job_id).toBe('w');
    expect(result.adapter_result).toEqual({
      job_id: 'w',
      status: 'completed',
      exit_code: 0,
      stdout: 'a b||$HOME|*|;|ä|',
    });
    const checkpoints = await home.checkpoints('w');
    expect(checkpoints.map(({ type }) => type)).toEqual(['plan', 'progress', 'completed']);
    expect(checkpoints[0].summary).toContain('printf');
    expect(checkpoints[1].artifacts_delta).toEqual({ added: ['a', 'b'], changed: [], removed: [] });
    expect(await home.status('w')).toMatchObject({ status: 'completed' });
  });

  test('W42 failure: the result on stdout, the envelope on stderr, blocked_error, exit 1', async ({
    home,
  }) => {
    const result = await home.run([
      'wrap',
      '--job-id',
      'w',
      '--json',
      '--',
      'sh',
      '-c',
      'echo out; echo err >&2; exit 3',
    ]);
    expect(result.code).toBe(1);
    expect(result.json?.adapter_result).toEqual({
      job_id: 'w',
      status: 'blocked_error',
      exit_code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(result.error).toMatchObject({
      code: 'E_ADAPTER_FAIL',
      exit_code: 1,
      details: { job_id: 'w', exit_code: 3, command: expect.stringContaining('exit 3') },
    });
    expect((await home.checkpoints('w')).at(-1)).toMatchObject({
      type: 'blocked',
      reason_codes: ['E_ADAPTER_FAIL'],
    });
    expect(await home.status('w')).toMatchObject({ status: 'blocked_error' });
  });

  test('W42 a program that is not there: exit_code 1, E_ADAPTER_FAIL', async ({ home }) => {
    const result = await home.run(['wrap', '--job-id', 'w', '--json', '--', './no-such-program']);
    expect(result).toMatchObject({ code: 1, error: { code: 'E_ADAPTER_FAIL', details: { exit_code: 1 } } });
    expect(result.json?.adapter_result).toMatchObject({ status: 'blocked_error', exit_code: 1 });
  });

  test("W43 --explain after -- is the child's, --json after it is ours unless it stood before too", async ({
    home,
  }) => {
    const echo = ['--', 'printf', '%s,'];
    const last = await home.run(['wrap', '--job-id', 'a', ...echo, '--explain', 'x', '--json']);
    expect(last.json?.adapter_result).toMatchObject({ stdout: '--explain,x,' });
    const both = await home.run(['--json', 'wrap', '--job-id', 'b', ...echo, '--json', 'x', '--json']);
    expect(both.json?.adapter_result).toMatchObject({ stdout: '--json,x,--json,' });
    const text = await home.run([
      'wrap',
      '--job-id',
      'c',
      ...echo,
      '--help',
      '--store',
      'x',
      '--job-id',
      'y',
      '--',
      '-h',
    ]);
    expect(text.code, text.stderr).toBe(0);
    expect(text.json).toBeUndefined();
    expect((await home.json(['checkpoint', 'list', 'c']))[0].summary).toContain('--job-id y -- -h');
    const explained = await home.run(['wrap', '--explain', '--', 'touch', 'ran']);
    expect(explained).toMatchObject({ code: 0, stdout: expect.stringMatching(/^wrkr wrap: /) });
    expect(existsSync(home.path('ran'))).toBe(false);
  });

  test('W43 wrap without a command, without --, or with a flag it does not know is refused', async ({
    home,
  }) => {
    for (const words of [
      ['wrap'],
      ['wrap', '--'],
      ['wrap', 'ls'],
      ['wrap', 'ls', '--', 'ls'],
      ['wrap', '--colour', 'red', '--', 'ls'],
      ['wrap', '--', ''],
      ['wrap', '--job-id', '--', 'ls'],
    ]) {
      const error = await home.fails(words);
      expect(error, words.join(' ')).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    }
    expect(await home.json(['list'])).toEqual({ jobs: [] });
  });

  test('without --job-id every wrap is a job of its own, also several in one second', async ({ home }) => {
    const ids = await Promise.all(
      Array.from({ length: 4 }, async () => (await home.run(['wrap', '--json', '--', 'true'])).json?.job_id),
    );
    for (const id of ids) expect(id).toMatch(/^job_wrap_\d{10}(_\d+)?$/);
    expect(new Set(ids).size).toBe(4);
  });

  test('output is bounded, and binary output does no harm', async ({ home }) => {
    const result = await home.json([
      'wrap',
      '--job-id',
      'w',
      '--',
      'sh',
      '-c',
      'head -c 3000000 /dev/zero | tr "\\0" x; printf "\\377\\000END"',
    ]);
    const { stdout } = result.adapter_result;
    expect(stdout.length).toBeLessThanOrEqual(65_536);
    expect(stdout.endsWith('END')).toBe(true);
    expect((await home.bytes('w').catch(() => '')).length).toBeLessThan(200_000);
  });

  test('--redact: what matches is neither kept nor shown, and the command still gets it (I9)', async ({
    home,
  }) => {
    const result = await home.run([
      'wrap',
      '--job-id',
      'w',
      '--redact',
      'tok_[a-z]+',
      '--json',
      '--',
      'sh',
      '-c',
      'test "$1" = tok_secret && echo got $1 > got; echo $1; exit 4',
      'x',
      'tok_secret',
    ]);
    expect(await home.read('got')).toBe('got tok_secret\n');
    expect(result.stdout + result.stderr).not.toContain('tok_secret');
    const kept = await home.json(['checkpoint', 'list', 'w']);
    expect(JSON.stringify(kept)).not.toContain('tok_secret');
    const { execFileSync } = await import('node:child_process');
    const found = execFileSync('sh', ['-c', 'grep -rl tok_secret "$1" || true', 'x', home.store], {
      encoding: 'utf8',
    });
    expect(found).toBe('');
    expect(await home.fails(['wrap', '--redact', '(', '--', 'true'])).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
    });
  });

  test('--max-wall-time-seconds stops the command', async ({ home }) => {
    const result = await home.run([
      'wrap',
      '--job-id',
      'w',
      '--max-wall-time-seconds',
      '1',
      '--json',
      '--',
      'sleep',
      '60',
    ]);
    expect(result).toMatchObject({ code: 1, error: { code: 'E_BUDGET_EXCEEDED' } });
    expect(await home.status('w')).toMatchObject({ status: 'blocked_budget' });
    expect(home.processes()).toEqual([]);
  });
});
