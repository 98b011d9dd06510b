// The runner as the agent uses it: in this process, with a directory of its own and a control plane that may cancel.
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  ACTION_PATTERN,
  actionProblem,
  ID_PATTERN,
  idProblem,
  newRunId,
} from '../../../../src/doors/agents/ids.ts';
import { setAsideLeftover } from '../../../../src/doors/agents/runner/leftover.ts';
import { requireUnprivileged } from '../../../../src/doors/agents/runner/privilege.ts';
import { type OperationalRun, refuse, runOperational } from '../../../../src/doors/agents/runner/run.ts';
import { identify } from '../../../../src/executors/process/processes.ts';
import { until } from '../../../cli/rig.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'reeve-runner-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function asked(argv: OperationalRun['argv'], more: Partial<OperationalRun> = {}): OperationalRun {
  return {
    runId: 'r',
    action: 'act',
    argv,
    maxOutputBytes: 1_000_000,
    env: process.env,
    envRefs: {},
    runsDir: join(dir, 'runs'),
    signal: new AbortController().signal,
    ...more,
  };
}

function read(name: string): string {
  return readFileSync(join(dir, 'runs/r', name), 'utf8');
}

test('an agent gets the outcome, the phases, and a working directory that goes away', async () => {
  const phases: string[] = [];
  const outcome = await runOperational(
    asked('pwd; echo x > made', {
      attempt: 2,
      agentId: 'a1',
      skill: { name: 's', version: '1.0.0', digest: 'sha256:0' },
    }),
    (line) => phases.push(line),
  );
  expect(outcome).toMatchObject({ exitCode: 0, outcome: 'succeeded', directory: join(dir, 'runs/r') });
  expect(outcome.meta).toMatchObject({ attempt: 2, agent_id: 'a1', command_digest: 'sha256:0' });
  expect(JSON.parse(read('artifacts/meta.json'))).toEqual(outcome.meta);
  expect(JSON.parse(read('artifacts/summary.json'))).toEqual(outcome.summary);
  expect(existsSync(read('artifacts/output.raw').trim())).toBe(false);
  expect(phases.map((line) => line.split(':')[0])).toEqual([
    'PHASE',
    'Run ID',
    'Action',
    'Timestamp',
    'PHASE',
  ]);
});

test('a cancel stops the command and is no failure of its own', async () => {
  const cancel = new AbortController();
  const running = runOperational(asked('touch on; sleep 60', { cwd: dir, signal: cancel.signal }));
  await until(() => existsSync(join(dir, 'on')), 'the command');
  cancel.abort(new Error('asked for'));
  expect(await running).toMatchObject({ exitCode: 143, outcome: 'cancelled', reason: 'SIGTERM' });
  expect(read('logs/step_act.log')).toContain('\nPHASE: CANCELLED\nPHASE: COMPLETED\nEXIT:143\n');
});

test('what was cancelled before it began is not begun', async () => {
  const outcome = await runOperational(asked('touch on', { cwd: dir, signal: AbortSignal.abort('SIGINT') }));
  expect(outcome).toMatchObject({ exitCode: 130, outcome: 'cancelled' });
  expect(existsSync(join(dir, 'on'))).toBe(false);
});

test('a program that cannot be made is a failure of the runner', async () => {
  const fail = (): Promise<never> => Promise.reject(new Error('no room; password=hunter2hunter2'));
  const skill = { name: 's', version: '1.0.0', digest: 'sha256:0' };
  const outcome = await runOperational(asked(fail, { skill }));
  expect(outcome).toMatchObject({
    exitCode: 125,
    outcome: 'failed',
    reason: 'no room; password=[REDACTED:PASSWORD]',
  });
  expect(read('logs/step_act.log')).toContain('EXIT:125');
});

test('a refusal executes nothing and says why', async () => {
  const outcome = await refuse(asked('touch on', { cwd: dir }), 'expired');
  expect(outcome).toMatchObject({ exitCode: 126, outcome: 'refused', reason: 'expired' });
  expect(existsSync(join(dir, 'on'))).toBe(false);
});

test('J19: secrets in collected files, their names and the arguments shown are masked', async () => {
  const token = `ghp_${'a1B2'.repeat(9)}`;
  const script = `cd "$JARVAS_ARTIFACTS_DIR"; echo '{"password": "hunter2hunter2"}' > report.json; echo x > ${token}.txt`;
  const { meta } = await runOperational(asked(script));
  expect(read('artifacts/report.json')).toBe('{"password": "[REDACTED:PASSWORD]"}\n');
  expect(read('artifacts/[REDACTED:GITHUB_TOKEN].txt')).toBe('x\n');
  expect(JSON.stringify(meta)).not.toMatch(/hunter2|ghp_/);
  expect(meta.redactions).toMatchObject({ PASSWORD: 2, GITHUB_TOKEN: 2 });
});

test('J19: values of secrets are masked in every form, also cut in two, in binary output and in reasons', async () => {
  const secret = 'opensesame/öl"1';
  const node = `const s = process.env.MINE; process.stdout.write('a ' + s.slice(0, 4));
    setTimeout(() => process.stdout.write(s.slice(4) + ' ' + Buffer.from(s).toString('base64') + ' ' +
      encodeURIComponent(s) + ' ' + JSON.stringify(s) + String.fromCharCode(0)), 50);
    require('fs').writeFileSync(process.env.JARVAS_ARTIFACTS_DIR + '/report.json', JSON.stringify({ where: s }));`;
  const run = asked(['node', '-e', node], { envRefs: { MINE: secret } });
  const { meta } = await runOperational(run);
  const mark = '[REDACTED:ENV_SECRET]';
  expect(read('artifacts/output.raw')).toBe(`a ${mark} ${mark}== ${mark} "${mark}"\0`);
  expect(read('artifacts/report.json')).toBe(`{"where":"${mark}"}`);
  expect(meta).toMatchObject({ binary: true, redactions: { ENV_SECRET: 5 } });
  const lost = asked(['/agent-token-1/none'], { runId: 'lost', secrets: ['agent-token-1'] });
  const outcome = await runOperational(lost);
  expect([outcome.reason, outcome.meta.argv]).toEqual([
    `the program /${mark}/none was not found`,
    [`/${mark}/none`],
  ]);
  expect(readFileSync(join(dir, 'runs/lost/artifacts/meta.json'), 'utf8')).not.toContain('agent-token');
});

test('a leftover is set aside when nobody is at work, and what is finished stays', async () => {
  const runs = join(dir, 'runs');
  expect(await setAsideLeftover(runs, 'r', 1)).toBe('none');
  await runOperational(asked('true'));
  expect(await setAsideLeftover(runs, 'r', 1)).toBe('finished');
  const mine = { runner: identify(process.pid), scratch: join(dir, 'none'), artifacts: join(dir, 'none') };
  for (const [id, mark] of [
    ['busy', mine],
    ['dead', { ...mine, runner: { ...mine.runner, startTime: '1' } }],
  ] as const) {
    await mkdir(join(runs, id));
    await writeFile(join(runs, id, '.running.json'), JSON.stringify(mark));
  }
  expect(await setAsideLeftover(runs, 'busy', 1)).toBe('running');
  expect(await setAsideLeftover(runs, 'dead', 1)).toBe('set_aside');
  expect(existsSync(join(runs, 'dead.attempt-1'))).toBe(true);
});

test('J30: an agent does not run as root unless it is told that it may', () => {
  expect(() => requireUnprivileged({}, 0)).toThrow(/root/);
  expect(() => requireUnprivileged({ JARVAS_ALLOW_ROOT: 'yes' }, 0)).toThrow(/root/);
  for (const [env, uid] of [
    [{ JARVAS_ALLOW_ROOT: '1' }, 0],
    [{}, 1000],
  ] as const)
    expect(() => requireUnprivileged(env, uid)).not.toThrow();
});

test('J4: ids and actions are safe as a part of a path', () => {
  for (const id of ['a', 'run-1', 'A.b_c-1', 'x'.repeat(128), newRunId(0)])
    expect(idProblem(id)).toBeUndefined();
  for (const id of ['', '.', '..', 'a..b', '-a', 'a/b', 'a\n', 'x'.repeat(129)])
    expect(idProblem(id)).toBeDefined();
  for (const action of ['a', '0-a_b.c']) expect(actionProblem(action)).toBeUndefined();
  for (const action of ['', 'A', '_a', 'a..b', 'a b']) expect(actionProblem(action)).toBeDefined();
  expect(newRunId(Date.parse('2026-01-31T12:00:00.999Z'))).toMatch(/^run-20260131T120000Z-[0-9a-f]{6}$/);
  expect(
    [ID_PATTERN, ACTION_PATTERN].every((pattern) => pattern.startsWith('^') && pattern.endsWith('$')),
  ).toBe(true);
});
