// Workflows for repositories of skills: no expression reaches a script, nothing proposed sees a secret, and the scripts
// call commands that there are. The script that judges a pull request is run as a runner does.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { parse } from 'yaml';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { BIN, test } from '../cli/rig.ts';

const FOLDER = fileURLToPath(new URL('../../deploy/github-workflows/', import.meta.url));
const OF_RUNNER = [
  'GITHUB_OUTPUT',
  'GITHUB_PATH',
  'GITHUB_RUN_ID',
  'GITHUB_STEP_SUMMARY',
  'PWD',
  'RUNNER_TEMP',
];

type Variables = Readonly<Record<string, string>>;
interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly env?: Variables;
  readonly run?: string;
}
interface Job {
  readonly env?: Variables;
  readonly steps: readonly Step[];
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: Readonly<Record<string, string>>;
  readonly env?: Variables;
  readonly defaults: { readonly run: { readonly shell: string } };
  readonly jobs: Readonly<Record<string, Job>>;
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yml'));
const textOf = (file: string): string => readFileSync(join(FOLDER, file), 'utf8');
const read = (file: string): Workflow => parse(textOf(file)) as Workflow;
const stepsOf = ({ jobs }: Workflow): readonly (Step & { readonly job: Job })[] =>
  Object.values(jobs).flatMap((job) => job.steps.map((step) => ({ ...step, job })));

test('there are three', () => {
  expect(files).toEqual(['skill-canary.yml', 'skill-pull-request.yml', 'skill-release.yml']);
});

describe.each(files)('%s', (file) => {
  const workflow = read(file);
  const scripts = stepsOf(workflow).filter(({ run }) => run !== undefined);

  test('no expression stands in a script, which reads only what it was given', () => {
    expect(workflow.defaults.run.shell).toBe('bash'); // with -e and pipefail
    expect(scripts.length).toBeGreaterThan(2);
    for (const { run = '', env = {}, job, id } of scripts) {
      expect(run, id).not.toContain('${{');
      const given = new Set([...Object.keys({ ...workflow.env, ...job.env, ...env }), ...OF_RUNNER]);
      const names = [...run.matchAll(/\$\{?([A-Z][A-Z_]*)/g)].map(([, name = '']) => name);
      expect(
        names.filter((name) => !given.has(name)),
        id,
      ).toEqual([]);
      // Unquoted, a variable is split into words, and a word may be a flag.
      const plain = run.replaceAll(/"(?:[^"\\]|\\.)*"|'[^']*'/g, '').replaceAll(/<<< \S+|\w+=\$\S*/g, '');
      expect(plain, id).not.toMatch(/\$\{?[A-Za-z_]/);
    }
  });

  test('a secret is given to the steps that need it, and to no job or workflow', () => {
    for (const holder of [workflow, ...Object.values(workflow.jobs)])
      expect(JSON.stringify(holder.env ?? {})).not.toContain('secrets.');
    const seeing = scripts.filter(({ env }) => JSON.stringify(env ?? {}).includes('REEVE_SIGNING_KEY'));
    expect(seeing.map(({ id }) => id)).toEqual(file === 'skill-release.yml' ? ['sign'] : []);
  });

  test('its commands are commands of reeve, with their flags', () => {
    const calls = scripts.flatMap(({ run = '' }) => [
      ...run.matchAll(/\breeve ((?:[a-z]+ )?[a-z]+)\b(?= )([^|\n]*)/g),
    ]);
    expect(calls.length).toBeGreaterThan(0);
    for (const [, words = '', rest = ''] of calls) {
      const command = COMMANDS.find(({ path }) => path.join(' ') === words);
      expect(command, words).toBeDefined();
      for (const [, flag = ''] of rest.matchAll(/ --([a-z-]+)/g))
        expect(['json', ...Object.keys(command?.flags ?? {})], words).toContain(flag);
    }
  });
});

test('what a pull request proposes is executed without secrets, and with a token that only reads', () => {
  const workflow = read('skill-pull-request.yml');
  expect(Object.keys(workflow.on)).toEqual(['pull_request', 'push']);
  expect(workflow.permissions).toEqual({ contents: 'read' });
  expect(textOf('skill-pull-request.yml')).not.toContain('secrets.');
});

describe('the script that judges a pull request', () => {
  const { run = '' } = stepsOf(read('skill-pull-request.yml')).find(({ id }) => id === 'validate') ?? {};
  const judge = async (home: { path(name: string): string; env(): NodeJS.ProcessEnv }, skills: string) => {
    const program = home.path('reeve');
    await writeFile(program, `#!/bin/sh\nexec "${process.execPath}" "${join(BIN, 'reeve.js')}" "$@"\n`);
    await chmod(program, 0o755);
    const summary = home.path('summary.md');
    const env: NodeJS.ProcessEnv = { ...home.env(), SKILLS: skills, GITHUB_STEP_SUMMARY: summary };
    const options = {
      cwd: home.path(''),
      env: { ...env, PATH: `${home.path('')}${delimiter}${env['PATH']}` },
    };
    const bash = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', run];
    const code = await promisify(execFile)('bash', bash, options).then(
      () => 0,
      (error: { readonly code: number }) => error.code,
    );
    return { code, summary: await readFile(summary, 'utf8') };
  };

  test('J22 a bad skill fails it, with the reason on the page of the check', async ({ home }) => {
    await home.write('skills/probe/skill.json', '{}');
    const { code, summary } = await judge(home, 'skills');
    expect(code).toBe(1);
    expect(summary).toMatch(/^bad \S*probe: bad_manifest: /m);
  });

  test('J22 a good one passes, with its digest there; a folder named like shell is a folder', async ({
    home,
  }) => {
    expect(await judge(home, 'drp_audit')).toMatchObject({ code: 0 });
    const { summary } = await judge(home, 'drp_audit');
    expect(summary).toMatch(/^ok drp_audit@1\.0\.0 sha256:[0-9a-f]{64} \(11 cases\)$/m);
    expect((await judge(home, '$(touch x); touch y')).code).not.toBe(0);
    await expect(home.read('x')).rejects.toThrow('ENOENT');
    await expect(home.read('y')).rejects.toThrow('ENOENT');
  });
});

test('the script that starts a canary says why it did not go well, and leaves its id to be aborted', async ({
  home,
}) => {
  const { run = '' } = stepsOf(read('skill-canary.yml')).find(({ id }) => id === 'start') ?? {};
  const shown = JSON.stringify({ rollout_id: '59dc6b2b', reason: 'no agent fits' }, undefined, 2);
  await home.write('reeve', `#!/bin/sh\ncat <<'END'\n${shown}\nEND\nexit 1\n`);
  await chmod(home.path('reeve'), 0o755);
  const path = `${home.path('')}${delimiter}${home.env()['PATH']}`;
  const env = { ...home.env(), PATH: path, GITHUB_OUTPUT: home.path('output') };
  const failed = await promisify(execFile)('bash', ['-eo', 'pipefail', '-c', run], { env }).catch(
    (error: unknown) => error,
  );
  expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining('no agent fits') });
  expect(await home.lines('output')).toEqual(['rollout=59dc6b2b']);
});
