/** Commands: how they start, are limited, stopped and cleared away, and what is kept of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RuntimeStatus } from '../../../src/engine/executor.ts';
import { expectFinished, lastStatus, refTo } from '../../contracts/executor.ts';
import { alive, Rig, pidIn, until } from './rig.ts';

const ENGINE = fileURLToPath(new URL('../../fixtures/process-engine.ts', import.meta.url));

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.open();
});
afterEach(() => rig.close());

test('arguments arrive as they are, input is closed, and the outputs tell both streams', async () => {
  const script = 'cat; printf "%s|" "$@"; echo oops >&2';
  const status = await rig.run(
    rig.executor(),
    rig.work('k1', ['/bin/sh', '-c', script, 'sh', 'a b', '', '$x', 'ü']),
  );
  expect(status).toMatchObject({ outcome: 'succeeded', exitCode: 0, usage: {} });
  expect(status.outputs).toEqual({
    exit_code: 0,
    stdout_tail: 'a b||$x|ü|',
    stderr_tail: 'oops\n',
    stdout_bytes: Buffer.byteLength('a b||$x|ü|'),
    stderr_bytes: 5,
    truncated: false,
  });
});

test('a script may open /dev/stdout and /dev/stderr by name', async () => {
  const status = await rig.run(
    rig.executor(),
    rig.shell('k1', 'echo out > /dev/stdout; echo err > /dev/stderr'),
  );
  expect(status.outputs).toMatchObject({ stdout_tail: 'out\n', stderr_tail: 'err\n' });
});

test('the program is looked up in the PATH of the command, not of the engine', async () => {
  mkdirSync(rig.path('bin'));
  writeFileSync(rig.path('bin/only-here'), '#!/bin/sh\necho found\n', { mode: 0o755 });
  const executor = rig.executor({ environment: () => ({ PATH: `${rig.path('bin')}:/usr/bin:/bin` }) });
  expect((await rig.run(executor, rig.work('k1', ['only-here']))).outputs).toMatchObject({
    stdout_tail: 'found\n',
  });
});

test('what cannot be started fails with a clear message and the exit code of a shell', async () => {
  const executor = rig.executor();
  writeFileSync(rig.path('plain'), 'no program');
  const cases = [
    [rig.work('k1', ['no-such-program-here']), 127, /no-such-program-here was not found/],
    [rig.work('k2', ['true'], { cwd: rig.path('gone') }), 127, /working directory .*gone does not exist/],
    [rig.work('k3', [rig.path('plain')]), 126, /EACCES/],
  ] as const;
  for (const [work, exitCode, message] of cases) {
    const status = await rig.run(executor, work);
    expect(status).toMatchObject({ outcome: 'failed', exitCode, error: { code: 'E_ADAPTER_FAIL' } });
    expect(status.error?.message).toMatch(message);
  }
});

test('an input that is none is refused before anything is recorded', async () => {
  const executor = rig.executor();
  await expect(executor.submit(rig.work('k1', []))).rejects.toThrow(TypeError);
  await expect(executor.submit(rig.work('..', ['true']))).rejects.toThrow(TypeError);
  expect(existsSync(rig.recordsDir)).toBe(false);
});

test('I9: values of the environment are on no disk, and records are private', async () => {
  const secret = 'sk-very-secret-value-4711';
  const executor = rig.executor({ environment: () => ({ PATH: '/usr/bin:/bin', TOKEN: secret }) });
  const status = await rig.run(
    executor,
    rig.shell('k1', 'test "$TOKEN" = sk-very-secret-value-4711 && env | wc -l'),
  );
  // PATH, TOKEN, the effect key, the marker, and PWD, which the shell adds.
  expect(status.outputs).toMatchObject({ exit_code: 0, stdout_tail: '5\n' });
  expect(statSync(rig.record('k1', '')).mode & 0o777).toBe(0o700);
  for (const file of readdirSync(rig.record('k1', ''))) {
    expect(readFileSync(rig.record('k1', file), 'utf8')).not.toContain(secret);
    expect(statSync(rig.record('k1', file)).mode & 0o777).toBe(0o600);
  }
});

test('W18: a command that ignores TERM is killed after 5 s, and all of it is gone within 6', async () => {
  const executor = rig.executor();
  const script =
    'trap "" TERM; (trap "" TERM; sleep 1000) & echo $! > child; echo $$ > pid; while :; do sleep 1; done';
  const ref = await executor.submit(rig.shell('k1', script));
  await until(() => existsSync(rig.path('pid')), 'the command');
  const from = performance.now();
  await executor.cancel(ref, 'canceled');
  const pids = [pidIn(rig.path('pid')), pidIn(rig.path('child'))];
  await until(() => !pids.some(alive), 'the end of both');
  const tookMs = performance.now() - from;
  expect(tookMs).toBeGreaterThan(4_900);
  expect(tookMs).toBeLessThan(6_000);
  expect(await lastStatus(executor, 'k1')).toMatchObject({ outcome: 'canceled', signal: 'SIGKILL' });
});

test('W18: a grandchild that left by setsid is gone after cancel', async () => {
  const executor = rig.executor();
  const script = 'setsid sh -c "echo \\$\\$ > escaped; exec sleep 1000" > /dev/null 2>&1 & sleep 1000';
  const ref = await executor.submit(rig.shell('k1', script));
  await until(() => existsSync(rig.path('escaped')), 'the grandchild');
  const from = performance.now();
  await executor.cancel(ref, 'canceled');
  expect(expectFinished(await lastStatus(executor, 'k1')).outcome).toBe('canceled');
  expect(alive(pidIn(rig.path('escaped')))).toBe(false);
  expect(performance.now() - from).toBeLessThan(6_000);
});

test('a command that cleans up on TERM has the time for it', async () => {
  const executor = rig.executor();
  const script =
    'trap "sleep 0.3; echo cleaned > cleaned; exit 0" TERM; echo ready > ready; while :; do sleep 0.02; done';
  const ref = await executor.submit(rig.shell('k1', script));
  await until(() => existsSync(rig.path('ready')), 'the command');
  await executor.cancel(ref, 'over_budget');
  expect(await lastStatus(executor, 'k1')).toMatchObject({ outcome: 'over_budget', exitCode: 0 });
  expect(existsSync(rig.path('cleaned'))).toBe(true);
});

test('background processes neither hold up the end nor survive it, with or without the pipes', async () => {
  const executor = rig.executor();
  const script = 'sleep 1000 & echo $! > a; sleep 1000 > /dev/null 2>&1 & echo $! > b; echo done';
  const status = await rig.run(executor, rig.shell('k1', script));
  expect(status).toMatchObject({ outcome: 'succeeded', outputs: { stdout_tail: 'done\n' } });
  expect(status.finishedAtMs - status.startedAtMs).toBeLessThan(5_000);
  expect([alive(pidIn(rig.path('a'))), alive(pidIn(rig.path('b')))]).toEqual([false, false]);
});

test('a command that outlasts its limit is stopped with all its processes', async () => {
  const executor = rig.executor();
  await executor.submit({ ...rig.shell('k1', 'sleep 1000 & echo $! > child; sleep 1000'), timeoutMs: 300 });
  const status = expectFinished(await lastStatus(executor, 'k1'));
  expect(status.outcome).toBe('timed_out');
  expect(status.finishedAtMs - status.startedAtMs).toBeGreaterThanOrEqual(300);
  expect(alive(pidIn(rig.path('child')))).toBe(false);
});

test('a limit of months is no limit of zero', async () => {
  const executor = rig.executor();
  const work = { ...rig.shell('k1', 'sleep 0.1'), timeoutMs: 90 * 86_400_000 };
  expect((await rig.run(executor, work)).outcome).toBe('succeeded');
});

test('what runs cannot be forgotten; what ended leaves nothing', async () => {
  const executor = rig.executor();
  const ref = await executor.submit(rig.shell('k1', 'sleep 1000'));
  await expect(executor.forget(ref)).rejects.toThrow('still runs');
  await expect(rig.executor().forget(ref)).rejects.toThrow('still runs');
  await executor.cancel(ref, 'canceled');
  await lastStatus(executor, 'k1');
  await executor.forget(ref);
  expect(readdirSync(rig.recordsDir)).toEqual([]);
});

test('a watcher without a pipe sees output while the command runs', async () => {
  await rig.executor().submit(rig.shell('k1', 'echo early; sleep 1000'));
  await until(() => existsSync(rig.record('k1', 'stdout.tail')), 'the tail');
  expect(readFileSync(rig.record('k1', 'stdout.tail'), 'utf8')).toBe('early\n');
});

test('attempts run side by side', async () => {
  const executor = rig.executor();
  const keys = Array.from({ length: 6 }, (_, index) => `k${index}`);
  // Each waits for all: one after the other they would wait for ever.
  const script =
    'echo > "$REEVE_EFFECT_KEY.here"; while [ "$(ls *.here | wc -l)" -lt 6 ]; do sleep 0.02; done';
  const all = await Promise.all(keys.map((key) => rig.run(executor, rig.shell(key, script))));
  expect(all.map((status) => status.outcome)).toEqual(keys.map(() => 'succeeded'));
});

test('works when the working directory of the engine has vanished', async () => {
  const executor = rig.executor();
  const gone = rig.path('gone');
  mkdirSync(gone);
  const work = JSON.stringify({ recordsDir: rig.recordsDir, work: rig.shell('k1', 'echo here') });
  const script = 'rmdir "$PWD"; exec "$0" "$1" "$2"';
  const child = spawn('/bin/sh', ['-c', script, process.execPath, ENGINE, work], {
    cwd: gone,
    stdio: 'ignore',
  });
  await once(child, 'exit');
  expect(existsSync(gone)).toBe(false);
  expect(await executor.status(refTo(executor, 'k1'))).toMatchObject({
    outcome: 'succeeded',
    outputs: { stdout_tail: 'here\n' },
  });
});

test('an engine with nothing to do may end although its supervisors are warm', async () => {
  const work = JSON.stringify({ recordsDir: rig.recordsDir, work: rig.shell('k1', 'true') });
  const child = spawn(process.execPath, [ENGINE, work], { stdio: 'ignore' });
  rig.executor();
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('200 commands one after the other', async () => {
  const executor = rig.executor();
  await rig.run(executor, rig.work('warm', ['true']));
  const from = performance.now();
  const supervisors = new Set<number>();
  for (let index = 0; index < 200; index += 1) {
    const status: RuntimeStatus = await rig.run(executor, rig.work(`k${index}`, ['true']));
    expect(status.outcome).toBe('succeeded');
    supervisors.add(rig.claim(`k${index}`).supervisor.pid);
    await executor.forget(refTo(executor, `k${index}`));
  }
  process.stdout.write(`200 × true: ${((performance.now() - from) / 200).toFixed(1)} ms each\n`);
  expect(supervisors.size).toBe(1);
});
