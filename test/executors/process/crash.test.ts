/** The engine or the supervisor dies: nothing runs twice, nothing is lost, nothing is left behind (I5, W12). */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NodeWork } from '../../../src/engine/executor.ts';
import type { FromSupervisor } from '../../../src/executors/process/protocol.ts';
import { Supervisor } from '../../../src/executors/process/supervisor-pool.ts';
import { expectFinished, lastStatus, refTo } from '../../contracts/executor.ts';
import { alive, Rig, pidIn, until } from './rig.ts';

const ENGINE = fileURLToPath(new URL('../../fixtures/process-engine.ts', import.meta.url));

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.open();
});
afterEach(() => rig.close());

/** A process that submits the work and dies by kill -9 once the command runs. */
async function submitAndDie(work: NodeWork): Promise<void> {
  const engine = spawn(process.execPath, [ENGINE, JSON.stringify({ recordsDir: rig.recordsDir, work })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(engine.stdout, 'data');
  await rig.started(work.effectKey);
  await killed(engine);
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Counts its starts, then waits for the file `go`. */
const WAITS = 'echo started >> starts; while [ ! -e go ]; do sleep 0.02; done; echo done; exit 7';
const starts = (): number => readFileSync(rig.path('starts'), 'utf8').split('started').length - 1;

test('I5 W12: engine killed while the command runs: the next finds it running, starts nothing, sees its exit code', async () => {
  const work = rig.shell('k1', WAITS);
  await submitAndDie(work);
  const next = rig.executor();
  expect(await next.status(refTo(next, 'k1'))).toMatchObject({ phase: 'running', usage: {} });
  await next.submit(work);
  const end = lastStatus(next, 'k1');
  writeFileSync(rig.path('go'), '');
  expect(expectFinished(await end)).toMatchObject({
    outcome: 'failed',
    exitCode: 7,
    outputs: { stdout_tail: 'done\n' },
  });
  expect(starts()).toBe(1);
  await until(() => !alive(rig.claim('k1').supervisor.pid), 'the supervisor to leave');
});

test('I5: the command ended while no engine was there: its exit code is found', async () => {
  await submitAndDie(rig.shell('k1', WAITS));
  writeFileSync(rig.path('go'), '');
  await until(() => !alive(rig.claim('k1').supervisor.pid), 'the supervisor to finish and leave');
  const next = rig.executor();
  expect(await next.status(refTo(next, 'k1'))).toMatchObject({ phase: 'finished', exitCode: 7 });
  expect(starts()).toBe(1);
});

test('W18: a command whose engine died is canceled by the next', async () => {
  await submitAndDie(rig.shell('k1', 'echo $$ > pid; sleep 1000'));
  const next = rig.executor();
  await next.cancel(refTo(next, 'k1'), 'canceled');
  expect(expectFinished(await lastStatus(next, 'k1')).outcome).toBe('canceled');
  expect(alive(pidIn(rig.path('pid')))).toBe(false);
});

test('I5 W12: supervisor killed: the outcome is unknown and nothing of the command survives', async () => {
  const executor = rig.executor();
  const ref = await executor.submit(
    rig.shell('k1', 'setsid sh -c "echo \\$\\$ > escaped; sleep 1000" & echo $$ > pid; sleep 1000'),
  );
  await until(() => existsSync(rig.path('escaped')) && existsSync(rig.path('pid')), 'the command');
  const end = lastStatus(executor, 'k1');
  process.kill(rig.claim('k1').supervisor.pid, 'SIGKILL');
  expect(await end).toMatchObject({ phase: 'unknown', reason: expect.stringContaining('supervisor') });
  expect([alive(pidIn(rig.path('pid'))), alive(pidIn(rig.path('escaped')))]).toEqual([false, false]);
  expect(await rig.executor().status(ref)).toMatchObject({ phase: 'unknown' });
});

test('I5: supervisor killed before it noted the command: its processes are found by their marker', async () => {
  const executor = rig.executor();
  await executor.submit(rig.shell('k1', 'echo $$ > pid; sleep 1000'));
  await until(() => existsSync(rig.path('pid')), 'the command');
  const { supervisor } = rig.claim('k1');
  await rig.started('k1');
  process.kill(supervisor.pid, 'SIGSTOP');
  rmSync(rig.record('k1', 'started.json'));
  const end = lastStatus(executor, 'k1');
  process.kill(supervisor.pid, 'SIGKILL');
  expect(await end).toMatchObject({ phase: 'unknown' });
  expect(alive(pidIn(rig.path('pid')))).toBe(false);
});

test('I5: an assignment that arrives after recovery took the claim never runs', async () => {
  const next = rig.executor();
  mkdirSync(rig.recordsDir);
  mkdirSync(rig.record('k1', ''));
  expect(await next.status(refTo(next, 'k1'))).toEqual({ phase: 'not_started' });
  expect(await assigned('k1')).toEqual([{ type: 'refused' }]);
  expect(existsSync(rig.path('ran'))).toBe(false);
  expect(await next.status(refTo(next, 'k1'))).toEqual({ phase: 'not_started' });
});

test('I5: an assignment whose record was forgotten meanwhile never runs', async () => {
  mkdirSync(rig.recordsDir);
  expect(await assigned('k1')).toMatchObject([
    { type: 'refused', message: expect.stringContaining('ENOENT') },
  ]);
  expect(existsSync(rig.path('ran'))).toBe(false);
});

/** Gives a supervisor work, as a slow engine would, and returns all it says. */
async function assigned(effectKey: string): Promise<FromSupervisor[]> {
  const messages: FromSupervisor[] = [];
  const gone = Promise.withResolvers<void>();
  const supervisor = new Supervisor(gone.resolve);
  const input = { argv: ['/bin/sh', '-c', 'echo ran > ran'], cwd: rig.dir };
  const assignment = { effectKey, record: rig.record(effectKey, ''), input, environment: {} };
  await new Promise<void>((answered) => {
    supervisor.assign(assignment, {
      onMessage: (message) => {
        messages.push(message);
        answered();
      },
      onGone: answered,
    });
  });
  supervisor.end();
  await gone.promise;
  return messages;
}

test('I5: a supervisor told to end stops its command, records it and leaves', async () => {
  const executor = rig.executor();
  await executor.submit(rig.shell('k1', 'sleep 1000'));
  await rig.started('k1');
  process.kill(rig.claim('k1').supervisor.pid, 'SIGTERM');
  expect(await lastStatus(executor, 'k1')).toMatchObject({
    outcome: 'failed',
    error: { code: 'E_ADAPTER_FAIL' },
  });
});

test('a damaged record is unknown, not a crash', async () => {
  const executor = rig.executor();
  await rig.run(executor, rig.shell('k1', 'true'));
  writeFileSync(rig.record('k1', 'exit.json'), '{"outcome":');
  expect(await executor.status(refTo(executor, 'k1'))).toMatchObject({ phase: 'unknown' });
});

test('a record from before a restart of the machine is unknown, and its process ids mean nothing', async () => {
  const executor = rig.executor();
  await executor.submit(rig.shell('k1', 'sleep 1000'));
  const { supervisor } = rig.claim('k1');
  const started = await rig.started('k1');
  const before = (identity: object): object => ({ ...identity, bootId: 'the boot before' });
  mkdirSync(rig.record('k2', ''));
  writeFileSync(
    rig.record('k2', 'claim'),
    JSON.stringify({ by: 'supervisor', atMs: 1, supervisor: before(supervisor) }),
  );
  writeFileSync(
    rig.record('k2', 'started.json'),
    JSON.stringify({ startedAtMs: 1, leader: before(started.leader) }),
  );
  expect(await executor.status(refTo(executor, 'k2'))).toMatchObject({ phase: 'unknown' });
  expect(alive(started.leader.pid)).toBe(true);
});

test('records leave no drafts behind', async () => {
  await rig.run(rig.executor(), rig.shell('k1', 'echo out; echo err >&2'));
  const files = readdirSync(rig.record('k1', '')).toSorted();
  expect(files).toEqual(['claim', 'exit.json', 'started.json', 'stderr.tail', 'stdout.tail']);
});
