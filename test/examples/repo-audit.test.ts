// examples/repo-audit, for real: other repositories, a worker killed in the middle, and this repository.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cli, ROOT } from './cli.ts';

const EXAMPLE = join(ROOT, 'examples', 'repo-audit');
const SPEC = join(EXAMPLE, 'jobspec.yaml');
/** Put together here, so that no scanner finds them in this file. */
const AWS_KEY = ['AKIA', 'Q3EGRTZ7UV4WXYP2'].join('');
const PASSWORD = ['pw', '9f3kd02mzq'].join('-');

let cli: Cli;
beforeEach(() => {
  cli = new Cli();
});
afterEach(() => cli.close());

function repository(files: Readonly<Record<string, string>>): string {
  const repo = cli.path('repo');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(repo, path)), { recursive: true });
    writeFileSync(join(repo, path), text);
  }
  git(repo, 'init', '--quiet', '--initial-branch=main');
  git(repo, 'add', '--all');
  git(repo, 'commit', '--quiet', '--message', 'First | commit');
  return repo;
}

function git(repo: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', ['-C', repo, ...identity, ...args], { encoding: 'utf8' });
}

function readJson(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(...path), 'utf8'));
}

function filesBelow(dir: string): string[] {
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((path) => join(dir, path));
  return paths.filter((path) => statSync(path).isFile());
}

test('a repository without package.json is audited, its secrets are found and never repeated, and it stays clean', () => {
  const repo = repository({
    'go.mod':
      'module example.org/tool\n\ngo 1.24\n\nrequire (\n\tgolang.org/x/sys v0.30.0\n\tgolang.org/x/text v0.20.0 // indirect\n)\n',
    'main_test.go': 'package main\n',
    'requirements.txt': 'flask==3.1.0  # web\nrequests>=2\n-r other.txt\n',
    'pyproject.toml':
      '[project]\nname = "tool"\ndependencies = [\n  "click>=8", # cli\n  "rich[jupyter]==14.0.0",\n]\n\n[dependency-groups]\ntest = ["pytest"]\n',
    'deploy/config.ini': `# nothing here\nkey = ${AWS_KEY}\nurl = postgres://app:${PASSWORD}@db.internal/app\nurl = postgres://app:\${PASSWORD}@db.internal/app\n`,
    'odd | `name`.txt': 'x\n',
  });
  const env = { REPO_AUDIT: EXAMPLE, AUDIT_DELAY: '0' };

  expect(cli.json(repo, ['submit', SPEC, '--job-id', 'a'], env)).toMatchObject({
    status: 'blocked_decision',
  });
  const draft = readFileSync(join(repo, '.git/reeve-audit/draft.md'), 'utf8');
  cli.json(repo, ['approve', 'a', '--checkpoint', cli.decision(repo, 'a'), '--reason', 'read it']);
  expect(cli.json(repo, ['resume', 'a'], env)).toMatchObject({ status: 'completed' });

  expect(readJson(repo, '.git/reeve-audit/report.json')).toMatchObject({
    verdict: 'fail',
    inventory: {
      files: 6,
      uncommitted: 0,
      history: { commits: 1, branch: 'main', last: { subject: 'First | commit' } },
    },
    secrets: {
      findings: [
        { file: 'deploy/config.ini', line: 2, kind: 'aws-access-key' },
        { file: 'deploy/config.ini', line: 3, kind: 'password-in-url' },
      ],
    },
    dependencies: {
      manifests: [
        {
          file: 'go.mod',
          kind: 'go',
          name: 'example.org/tool',
          dependencies: [{ version: 'v0.30.0', group: 'direct' }, { group: 'indirect' }],
        },
        {
          kind: 'python',
          dependencies: [
            { name: 'click', version: '>=8' },
            { name: 'rich', version: '==14.0.0' },
            { name: 'pytest', group: 'test' },
          ],
        },
        {
          kind: 'requirements',
          dependencies: [
            { name: 'flask', version: '==3.1.0' },
            { name: 'requests', version: '>=2' },
          ],
        },
      ],
      problems: ['requirements.txt: 1 not pinned with =='],
    },
    tests: {
      commands: [{ command: 'go test ./...' }, { command: 'python -m pytest' }],
      files: [{ language: 'Go', files: 1 }],
    },
  });
  expect(readFileSync(join(repo, '.git/reeve-audit/report.md'), 'utf8')).toBe(draft);
  expect(git(repo, 'status', '--porcelain')).toBe('');
  const written = [...filesBelow(join(repo, '.git/reeve-audit')), ...filesBelow(cli.store)];
  const leaks = written.filter((file) =>
    [AWS_KEY, PASSWORD].some((secret) => readFileSync(file).includes(secret)),
  );
  expect(written.length).toBeGreaterThan(10);
  expect(leaks).toEqual([]);
});

test('killed in the middle and resumed, every step of the audit is done exactly once', async () => {
  const repo = repository({ 'README.md': '# Nothing but words\n' });
  const out = cli.path('out');
  mkdirSync(out);
  const env = { REPO_AUDIT: EXAMPLE, AUDIT_DELAY: '1', AUDIT_OUT: out };

  const isInTheMiddle = untilTrail(out, 'secrets started');
  const worker = cli.start(repo, ['submit', SPEC, '--job-id', 'k'], env);
  await isInTheMiddle;
  const exited = once(worker, 'exit');
  worker.kill('SIGKILL');
  await exited;

  // Its worker is known to be dead: nobody has to wait for its lease, or to insist.
  expect(cli.json(repo, ['resume', 'k'], env)).toMatchObject({ status: 'blocked_decision' });
  expect(cli.refusal(repo, ['resume', 'k'], env)).toMatchObject({
    code: 'E_CHECKPOINT_APPROVAL_REQUIRED',
    exit_code: 4,
  });
  cli.json(repo, ['approve', 'k', '--checkpoint', cli.decision(repo, 'k'), '--reason', 'read it']);
  expect(cli.json(repo, ['resume', 'k'], env)).toMatchObject({ status: 'completed' });

  const trail = readFileSync(join(out, 'trail.log'), 'utf8').trim().split('\n');
  const steps = trail.map((line) => line.replace(/^\S+ /, '')).toSorted();
  const names = ['dependencies', 'draft', 'inventory', 'report', 'secrets', 'tests'];
  expect(steps).toEqual(names.flatMap((name) => [`${name} done`, `${name} started`]));
});

test('a resume that forgets REPO_AUDIT is refused before any step runs', () => {
  const repo = repository({ a: '' });
  const env = { REPO_AUDIT: EXAMPLE, AUDIT_DELAY: '0' };
  cli.json(repo, ['submit', SPEC, '--job-id', 'f'], env);
  cli.json(repo, ['approve', 'f', '--checkpoint', cli.decision(repo, 'f'), '--reason', 'read it']);
  expect(cli.refusal(repo, ['resume', 'f'], { REPO_AUDIT: '' })).toMatchObject({
    code: 'E_ENV_FINGERPRINT_MISMATCH',
  });
  expect(existsSync(join(repo, '.git/reeve-audit/report.md'))).toBe(false);
});

test.skipIf(!existsSync(join(ROOT, '.git')))(
  'this repository holds no secrets, and its fixtures are no false alarm',
  () => {
    const env = { AUDIT_DELAY: '0', AUDIT_OUT: cli.path('out') };
    expect(
      cli.json(ROOT, ['submit', 'examples/repo-audit/jobspec.yaml', '--job-id', 'self'], env),
    ).toMatchObject({ status: 'blocked_decision' });
    const { secrets, tests } = readJson(cli.path('out', 'draft.json')) as {
      secrets: { findings: unknown[]; scanned: number };
      tests: { commands: unknown[] };
    };
    expect(secrets.findings).toEqual([]);
    expect(secrets.scanned).toBeGreaterThan(50);
    expect(tests.commands[0]).toMatchObject({ command: 'npm test' });
  },
);

/** Resolves once a step has written the line to trail.log; watching has begun when this returns. */
async function untilTrail(out: string, line: string): Promise<void> {
  const isThere = (): boolean =>
    existsSync(join(out, 'trail.log')) && readFileSync(join(out, 'trail.log'), 'utf8').includes(line);
  for await (const _ of watch(out, { signal: AbortSignal.timeout(20_000) })) if (isThere()) return;
}
