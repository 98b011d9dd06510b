// The GitHub Action: its file is consistent, no expression reaches a script, and its scripts do what they say when bash
// runs them as a runner does. Only the runner itself and the upload are missing here.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { describe, expect } from 'vitest';
import { parse } from 'yaml';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { BIN, DECISION, specOf, test, type Home } from '../cli/rig.ts';

const FOLDER = fileURLToPath(new URL('../../deploy/github-action/', import.meta.url));
const TEXT = readFileSync(join(FOLDER, 'action.yml'), 'utf8');

interface Step {
  readonly id?: string;
  readonly if?: string;
  readonly shell?: string;
  readonly uses?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly with?: Readonly<Record<string, string>>;
  readonly run?: string;
}
interface Action {
  readonly inputs: Readonly<Record<string, { description: string; default: string }>>;
  readonly outputs: Readonly<Record<string, { description: string; value: string }>>;
  readonly runs: { readonly using: string; readonly steps: readonly Step[] };
}
const action = parse(TEXT) as Action;
const { steps } = action.runs;
const scripts = steps.filter((step) => step.run !== undefined);

describe('the file', () => {
  test('is a composite action whose scripts are run by bash', () => {
    expect(action.runs.using).toBe('composite');
    for (const step of scripts) expect(step.shell, step.id).toBe('bash');
    for (const { description } of [...Object.values(action.inputs), ...Object.values(action.outputs)])
      expect(description).toMatch(/^\S.*\.$/);
  });

  test('no expression stands in a script, where what it gives would be shell', () => {
    for (const { run = '', id } of scripts) expect(run, id).not.toContain('${{');
    // Nor does a script read what it was not given.
    for (const { run = '', env = {}, id } of scripts) {
      const read = new Set([...run.matchAll(/\$\{?([A-Z][A-Z_]*)/g)].map(([, name = '']) => name));
      const given = new Set([...Object.keys(env), 'GITHUB_OUTPUT', 'GITHUB_RUN_ID', 'GITHUB_RUN_ATTEMPT']);
      expect(
        [...read].filter((name) => !given.has(name)),
        id,
      ).toEqual([]);
      const unread = Object.keys(env).filter((name) => !name.startsWith('REEVE_') && !read.has(name));
      expect(unread, id).toEqual([]);
    }
  });

  test('every input is used, and every one used is there; every output is written by its step', () => {
    const used = new Set([...TEXT.matchAll(/\binputs\.([a-z-]+)/g)].map(([, name]) => name));
    expect(used).toEqual(new Set(Object.keys(action.inputs)));
    const read = [...TEXT.matchAll(/\bsteps\.([a-z]+)\.outputs\.([a-z_]+)/g)];
    expect(read.length).toBeGreaterThan(5);
    for (const [, id, output] of read) {
      const step = steps.find((each) => each.id === id);
      expect(step?.run, `${id}.${output}`).toMatch(new RegExp(String.raw`\b${output}=`));
    }
    expect(Object.keys(action.outputs)).toEqual(['job_id', 'status', 'accepted', 'jobpack', 'manifest']);
  });

  test('only the signing step sees the key', () => {
    const seeing = steps.filter((step) => JSON.stringify(step.env ?? {}).includes('signing-key'));
    expect(seeing.map(({ id }) => id)).toEqual(['sign']);
  });
});

interface Ran {
  /** Of the first step that failed; 0 when none did. */
  readonly code: number;
  readonly failedAt: string | undefined;
  readonly outputs: Readonly<Record<string, string>>;
  readonly log: string;
  readonly summary: string;
}

/** Runs the steps as a runner does: expressions into variables, outputs through a file, a failed step ends it. */
async function runAction(home: Home, given: Readonly<Record<string, string>>, env = {}): Promise<Ran> {
  const defaults = Object.entries(action.inputs).map(([name, input]) => [name, input.default]);
  const inputs = { ...Object.fromEntries(defaults), reeve: join(BIN, 'reeve.js'), ...given };
  const temp = join(home.dir, 'runner');
  await home.write('../runner/step.md', '');
  const outputs: Record<string, Record<string, string>> = {};
  const evaluate = (text: string): string =>
    text.replaceAll(/\$\{\{(.*?)\}\}/g, (_, each: string) => value(each));
  const value = (expression: string): string => {
    const names = /\b(?:inputs|steps|github|runner)\b(?:\.[\w-]+)+/g;
    const script = expression.replaceAll(names, (path) => JSON.stringify(look(path)));
    const result: unknown = runInContext(
      script,
      createContext({
        cancelled: () => false,
        format: (form: string, ...parts: string[]) =>
          form.replaceAll(/\{(\d)\}/g, (__, n: string) => parts[Number(n)] ?? ''),
      }),
    );
    return String(result);
  };
  const look = (path: string): string => {
    if (path === 'github.action_path') return FOLDER;
    if (path === 'runner.temp') return temp;
    const [kind, name = '', , output = ''] = path.split('.');
    return (kind === 'inputs' ? inputs[name] : outputs[name]?.[output]) ?? '';
  };
  let log = '';
  const finish = async (code: number, failedAt?: string): Promise<Ran> => ({
    code,
    failedAt,
    log,
    outputs: Object.fromEntries(
      Object.entries(action.outputs).map(([name, output]) => [name, evaluate(output.value)]),
    ),
    summary: await readFile(join(temp, 'step.md'), 'utf8'),
  });
  for (const [at, step] of steps.entries()) {
    if (step.run === undefined || evaluate(step.if ?? 'true') === 'false') continue;
    const script = await home.write(`../runner/${at}.sh`, step.run);
    const file = await home.write(`../runner/${at}.out`, '');
    const variables = Object.entries(step.env ?? {}).map(([name, text]) => [name, evaluate(text)]);
    const { code, text } = await bash(home, script, {
      GITHUB_OUTPUT: file,
      GITHUB_STEP_SUMMARY: join(temp, 'step.md'),
      GITHUB_RUN_ID: '7',
      GITHUB_RUN_ATTEMPT: '1',
      ...env,
      ...Object.fromEntries(variables),
    });
    log += text;
    const written = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
    outputs[step.id ?? ''] = Object.fromEntries(
      written.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    if (code !== 0) return finish(code, step.id);
  }
  return finish(0);
}

function bash(
  home: Home,
  script: string,
  env: Record<string, string>,
): Promise<{ code: number; text: string }> {
  return new Promise((resolve) => {
    execFile(
      'bash',
      ['--noprofile', '--norc', '-eo', 'pipefail', script],
      { cwd: home.cwd, env: home.env(env) },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr }),
    );
  });
}

async function spec(home: Home, steps_: readonly object[], name = 'job.json'): Promise<string> {
  await home.write(name, JSON.stringify(specOf(steps_)));
  return name;
}

const MAKE = { id: 'make', command: 'echo made > a.txt', artifacts: ['a.txt'] };
const GOOD = 'required_artifacts: [a.txt]\ntest_command: grep made a.txt\nlint_command: "true"\n';

describe.concurrent('the scripts', () => {
  test('submit, accept, verify: outputs, files, the summary of the run', async ({ home }) => {
    await home.write('accept.yaml', GOOD);
    const ran = await runAction(home, { spec: await spec(home, [MAKE]) });
    expect(ran, ran.log).toMatchObject({
      code: 0,
      outputs: {
        job_id: 'run_7_1',
        status: 'completed',
        accepted: 'true',
        jobpack: 'reeve-out/jobpacks/jobpack_run_7_1.zip',
        manifest: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    });
    expect(ran.summary).toMatch(/^# Wrkr GitHub Summary\n[^]*`passed` \(5\/5 checks\)/);
    const { manifest_sha256: manifest } = await home.json(['verify', ran.outputs['jobpack'] ?? '']);
    expect(ran.outputs['manifest']).toBe(manifest);
    expect(existsSync(home.path('reeve-out/reports/accept_run_7_1.junit.xml'))).toBe(true);
  });

  test('a job that is not accepted fails the last step, unless fail-on says otherwise; evidence is there', async ({
    home,
  }) => {
    await home.write('ci/accept.yaml', GOOD.replace('made', 'other'));
    const given = { spec: await spec(home, [MAKE]), 'accept-config': 'ci/accept.yaml', 'out-dir': 'o' };
    const ran = await runAction(home, { ...given, 'job-id': 'one' });
    expect(ran, ran.log).toMatchObject({ code: 1, failedAt: 'verdict', outputs: { accepted: 'false' } });
    expect(ran.log).toContain('::error title=Reeve::the job was not accepted (exit code 5)');
    expect(ran.summary).toContain('`failed` (4/5 checks)');
    expect(existsSync(home.path('o/jobpacks/jobpack_one.zip'))).toBe(true);
    const lenient = await runAction(home, { ...given, 'job-id': 'two', 'fail-on': 'job,\nverification' });
    expect(lenient, lenient.log).toMatchObject({ code: 0, outputs: { accepted: 'false' } });
    expect(lenient.log).toContain('::warning title=Reeve::the job was not accepted');
  });

  test('a job that failed, one that waits, one that is there already', async ({ home }) => {
    await home.write('accept.yaml', GOOD.replace('[a.txt]', '[]').replace('grep made a.txt', '"true"'));
    const failed = await runAction(home, {
      spec: await spec(home, [{ id: 'bad', command: 'false' }]),
      'job-id': 'bad',
    });
    expect(failed, failed.log).toMatchObject({
      code: 1,
      failedAt: 'verdict',
      outputs: {
        status: 'blocked_error',
        accepted: 'true',
        manifest: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    });
    const waiting = { spec: await spec(home, [DECISION, MAKE]), 'job-id': 'waits', store: home.store };
    const first = await runAction(home, waiting);
    expect(first, first.log).toMatchObject({ code: 0, outputs: { status: 'blocked_decision' } });
    const again = { 'job-id': 'waits', store: home.store, 'fail-on': 'decision' };
    expect(await runAction(home, again)).toMatchObject({ code: 1, failedAt: 'verdict' });
    const [checkpoint] = (await home.checkpoints('waits')).slice(-1);
    await home.json(['approve', 'waits', '--checkpoint', checkpoint.checkpoint_id, '--reason', 'ok']);
    await home.json(['resume', 'waits']);
    expect(await runAction(home, again)).toMatchObject({ code: 0, outputs: { status: 'completed' } });
  });

  test('when acceptance cannot run there is evidence all the same; a bad spec ends it at once', async ({
    home,
  }) => {
    await home.write('accept.yaml', 'unknown: 1');
    const ran = await runAction(home, { spec: await spec(home, [MAKE]) });
    expect(ran, ran.log).toMatchObject({ code: 1, failedAt: 'verdict', outputs: { accepted: 'false' } });
    expect(ran.log).toContain('not accepted (exit code 6)');
    expect(ran.summary).toContain('(0/0 checks)');
    expect(existsSync(home.path(ran.outputs['jobpack'] ?? ''))).toBe(true);
    await home.write('bad.json', '{}');
    expect(await runAction(home, { spec: 'bad.json', 'job-id': 'none' })).toMatchObject({ failedAt: 'job' });
    expect(await runAction(home, {})).toMatchObject({ code: 1, failedAt: 'job' });
  });

  test('inputs are data: nothing in them is carried out', async ({ home }) => {
    const evil = '$(touch pwned)`touch pwned`"; touch pwned; "';
    await home.write('accept.yaml', GOOD);
    for (const given of [
      { spec: 'job.json', 'job-id': evil },
      { spec: 'job.json', 'job-id': '../x' },
      { spec: 'job.json', 'job-id': 'a\nstatus=completed' },
      { spec: 'job.json', 'out-dir': 'a\nb=c' },
      { spec: 'job.json', 'fail-on': evil },
      { spec: 'job.json', 'fail-on': '*' },
      { spec: evil },
    ]) {
      await spec(home, [MAKE]);
      expect(await runAction(home, given), JSON.stringify(given)).toMatchObject({ failedAt: 'job' });
    }
    await spec(home, [MAKE], `${evil}.json`);
    await home.write(`${evil}.yaml`, GOOD);
    const ran = await runAction(home, {
      spec: `${evil}.json`,
      'accept-config': `${evil}.yaml`,
      'out-dir': `o ${evil}`,
      store: join(home.dir, evil),
    });
    expect(ran, ran.log).toMatchObject({ code: 0, outputs: { accepted: 'true' } });
    expect(existsSync(home.path('pwned'))).toBe(false);
  });

  test('without a program of its own the action installs the one it comes with', async ({ home }) => {
    await home.write('../tools/npm', `#!/bin/sh\necho "$PWD $*" > "$HOME/npm-was-called"\n`);
    await chmod(join(home.dir, 'tools/npm'), 0o755);
    await home.write('accept.yaml', GOOD);
    const path = `${join(home.dir, 'tools')}:${home.env()['PATH']}`;
    const ran = await runAction(home, { spec: await spec(home, [MAKE]), reeve: '' }, { PATH: path });
    expect(ran, ran.log).toMatchObject({ code: 0, outputs: { status: 'completed' } });
    const root = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
    expect(await home.read('../npm-was-called')).toBe(`${root} ci --no-audit --no-fund\n`);
  });

  test.skipIf(!COMMANDS.some(({ path }) => path[0] === 'sign'))(
    'with a key the jobpack is signed, and checked against the public key',
    async ({ home }) => {
      await home.write('accept.yaml', GOOD);
      await home.json(['keys', 'generate', '--out', 'ci.pem']);
      await home.json(['keys', 'generate', '--out', 'other.pem']);
      const given = { spec: await spec(home, [MAKE]), 'signing-key': await home.read('ci.pem') };
      const ran = await runAction(home, { ...given, 'job-id': 'a', 'public-key': 'ci.pem.pub' });
      expect(ran, ran.log).toMatchObject({ code: 0, outputs: { accepted: 'true' } });
      const wrong = await runAction(home, { ...given, 'job-id': 'b', 'public-key': 'other.pem.pub' });
      expect(wrong, wrong.log).toMatchObject({ code: 1, failedAt: 'verdict', outputs: { manifest: '' } });
    },
  );
});
