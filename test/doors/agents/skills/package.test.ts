// J22: packages are the same bytes everywhere, and each bad one is rejected with a reason of its own.
import { execFileSync } from 'node:child_process';
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test as base } from 'vitest';
import { readManifest } from '../../../../src/doors/agents/skills/manifest.ts';
import { buildPackage } from '../../../../src/doors/agents/skills/package.ts';
import type { ProblemReason } from '../../../../src/doors/agents/skills/problem.ts';
import { PACKAGE_BYTES_MAX, readPackage } from '../../../../src/doors/agents/skills/read-package.ts';
import { validateSkill } from '../../../../src/doors/agents/skills/validate.ts';
import { SKILLS } from '../../../skills/rig.ts';
import { tarOf } from '../tar.ts';

const MANIFEST = {
  name: 'probe',
  version: '1.2.3',
  pillar: 'devsecops',
  description: 'looks at one file',
  entry: 'check.mjs',
  interpreter: 'node',
  args: [{ name: 'file', type: 'path', required: true }],
};
/** Small, and does what a skill has to. */
const PROGRAM = `import { readFileSync, writeFileSync } from 'node:fs';
const file = process.argv.find((word) => word.startsWith('--file='))?.slice(7) ?? 'none';
let text;
try { text = readFileSync(file, 'utf8'); } catch {}
const outcome = text === undefined ? 'error' : text.startsWith('bad') ? 'violation' : 'pass';
const said = { pass: 'OK: fine', violation: 'FAIL: it is bad', error: 'ERROR: cannot be read' }[outcome];
(outcome === 'pass' ? process.stdout : process.stderr).write(said + '\\n');
const findings = outcome === 'pass' ? [] : [{ id: 'file', severity: 'high', where: file, message: said }];
const report = { skill: 'probe', version: '1.2.3', outcome, findings, metrics: {} };
writeFileSync(process.env.JARVAS_ARTIFACTS_DIR + '/report.json', JSON.stringify(report));
process.exitCode = { pass: 0, violation: 1, error: 4 }[outcome];
`;
const CASES = [
  {
    name: 'a good file',
    kind: 'pass',
    args: ['--file=x'],
    files: { x: 'good' },
    expect: { exit: 0, lines: ['OK: '] },
  },
  {
    name: 'a bad file',
    kind: 'violation',
    args: ['--file=x'],
    files: { x: 'bad' },
    expect: { exit: 1, findings: [{ id: 'file' }] },
  },
  { name: 'no file', kind: 'error', args: ['--file=x'], expect: { exit: 4 } },
];

interface Skill {
  readonly dir: string;
  write(path: string, content: string | Uint8Array): Promise<void>;
}

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('skill', async ({}, { onCleanup }): Promise<Skill> => {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'reeve-skill-test-')));
  onCleanup(() => rm(home, { recursive: true, force: true }));
  const dir = join(home, 'probe');
  const write = async (path: string, content: string | Uint8Array): Promise<void> => {
    await mkdir(join(dir, path, '..'), { recursive: true });
    await writeFile(join(dir, path), content);
  };
  await write('skill.json', JSON.stringify(MANIFEST));
  await write('check.mjs', PROGRAM);
  await write('README.md', '# probe\n');
  await write('tests/cases.json', JSON.stringify(CASES));
  return { dir, write };
});

describe('a package', () => {
  test('J22 is the same bytes whatever the order, the times, the modes and the place of its files', async ({
    skill,
  }) => {
    const first = await buildPackage(skill.dir);
    const other = join(skill.dir, '..', 'elsewhere', 'probe');
    await mkdir(join(other, 'tests'), { recursive: true });
    for (const path of ['tests/cases.json', 'skill.json', 'README.md', 'check.mjs']) {
      await cp(join(skill.dir, path), join(other, path));
      await chmod(join(other, path), 0o600);
      await utimes(join(other, path), 1, 1);
    }
    await chmod(join(other, 'check.mjs'), 0o777);
    const second = await buildPackage(other);
    expect(second.bytes.equals(first.bytes)).toBe(true);
    expect(second.digest).toBe(first.digest);
    // And it is these bytes on any machine, with any version of anything.
    expect(first.digest).toBe('sha256:41f1b83d1bd4480db88585d961a31de2896ace4466b3efbde7ddef5f1442d82b');
  });

  test('J22 holds what it has to, is read by tar, and its checksums by sha256sum', async ({ skill }) => {
    const { bytes, fileName } = await buildPackage(skill.dir);
    expect(fileName).toBe('probe-1.2.3.tar.gz');
    expect(readPackage(bytes).map(({ path, isExecutable }) => [path, isExecutable])).toEqual([
      ['README.md', false],
      ['check.mjs', true],
      ['checksums.txt', false],
      ['skill.json', false],
      ['tests/cases.json', false],
    ]);
    const out = join(skill.dir, '..', 'out');
    await mkdir(out);
    execFileSync('tar', ['-xzf', '-', '-C', out], { input: bytes });
    expect(await readFile(join(out, 'check.mjs'), 'utf8')).toBe(PROGRAM);
    execFileSync('sha256sum', ['--strict', '--check', 'checksums.txt'], { cwd: out });
  });

  test('J22 of a tree of skills has what they share, verbatim', async () => {
    const { files } = await buildPackage(join(SKILLS, 'zombie_cleanup'));
    const shared = (await readdir(join(SKILLS, 'lib'))).map((name) => `lib/${name}`);
    expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(['package.json', ...shared]));
    for (const path of ['package.json', 'lib/skill.mjs'])
      expect(files.find((file) => file.path === path)?.bytes).toEqual(await readFile(join(SKILLS, path)));
  });

  test('J22 does not take along a project that happens to be above it', async ({ skill }) => {
    await skill.write(
      '../package.json',
      JSON.stringify({ name: 'a-project', imports: { '#a': './src/a.js' } }),
    );
    await skill.write('../lib/huge.mjs', 'x');
    const { files } = await buildPackage(skill.dir);
    expect(files.map(({ path }) => path).filter((path) => /package|lib/.test(path))).toEqual([]);
  });

  test('J22 a good one is good, as a folder and as a file', async ({ skill }) => {
    const ofFolder = await validateSkill(skill.dir);
    expect(ofFolder.problems.map(String)).toEqual([]);
    expect(ofFolder.cases).toBe(3);
    const file = join(skill.dir, '..', 'probe.tar.gz');
    await writeFile(file, ofFolder.built!.bytes);
    const ofFile = await validateSkill(file);
    expect(ofFile.problems.map(String)).toEqual([]);
    expect(ofFile.built?.digest).toBe(ofFolder.built?.digest);
  });
});

type Damage = readonly [string, ProblemReason, (skill: Skill) => Promise<unknown>, RegExp?];
const manifest = (more: object) => (skill: Skill) =>
  skill.write('skill.json', JSON.stringify({ ...MANIFEST, ...more }));
const cases = (value: unknown) => (skill: Skill) => skill.write('tests/cases.json', JSON.stringify(value));
const TOKEN = ['ghp', 'a'.repeat(36)].join('_');

const FOLDERS: readonly Damage[] = [
  ['no manifest', 'bad_manifest', ({ dir }) => rm(join(dir, 'skill.json'))],
  ['a manifest that is no JSON', 'bad_manifest', (skill) => skill.write('skill.json', '{')],
  ['an unknown field', 'bad_manifest', manifest({ intepreter: 'node' }), /intepreter is no known field/],
  ['an unknown pillar', 'bad_manifest', manifest({ pillar: 'misc' }), /pillar/],
  ['a version that is none', 'bad_manifest', manifest({ version: '1.2' }), /version/],
  ['an entry outside', 'bad_manifest', manifest({ entry: '../check.mjs' }), /entry holds a segment of dots/],
  ['an absolute entry', 'bad_manifest', manifest({ entry: '/bin/sh' }), /entry is absolute/],
  [
    'a pattern that is not linear',
    'bad_manifest',
    manifest({ args: [{ name: 'a', type: 'string', pattern: '(?=a)' }] }),
  ],
  [
    'a secret that is positional',
    'bad_manifest',
    manifest({ args: [{ name: 'a', type: 'string', secret: true, positional: true }] }),
  ],
  ['no entry', 'missing_file', ({ dir }) => rm(join(dir, 'check.mjs')), /check\.mjs is missing/],
  ['no README', 'missing_file', ({ dir }) => rm(join(dir, 'README.md'))],
  ['no cases', 'missing_file', ({ dir }) => rm(join(dir, 'tests'), { recursive: true })],
  ['a symbolic link', 'symlink', ({ dir }) => symlink('/etc/passwd', join(dir, 'tests/passwd'))],
  ['a link to a folder', 'symlink', ({ dir }) => symlink('/etc', join(dir, 'tests/etc'))],
  ['a FIFO', 'special_file', async ({ dir }) => execFileSync('mkfifo', [join(dir, 'tests/pipe')])],
  ['a path with a line end', 'unsafe_path', (skill) => skill.write('tests/a\nb', '')],
  ['a path that is too long', 'unsafe_path', (skill) => skill.write(`tests/${'a'.repeat(101)}`, '')],
  ['a hidden file', 'hidden_file', (skill) => skill.write('tests/.env', 'A=1')],
  ['more than 5 MiB', 'too_large', (skill) => skill.write('tests/big', Buffer.alloc(PACKAGE_BYTES_MAX + 1))],
  [
    'a secret',
    'secret_found',
    (skill) => skill.write('tests/token.txt', `x ${TOKEN}`),
    /^tests\/token\.txt holds what looks like a secret \(GITHUB_TOKEN\)$/,
  ],
  ['a secret as a name', 'secret_found', (skill) => skill.write(`tests/${TOKEN}`, '')],
  [
    'an entry that Node does not take',
    'lint_failed',
    (skill) => skill.write('check.mjs', 'const = 1;'),
    /node does not take check\.mjs: SyntaxError/,
  ],
  ['an entry to be executed that is none', 'lint_failed', manifest({ interpreter: 'exec' })],
  [
    'an entry that sh does not take',
    'lint_failed',
    async (skill) => {
      await manifest({ interpreter: 'sh', entry: 'check.sh' })(skill);
      await skill.write('check.sh', 'if true; then');
    },
  ],
  ['cases that are no JSON', 'bad_cases', (skill) => skill.write('tests/cases.json', '[')],
  ['a case with a misspelt field', 'bad_cases', cases([{ ...CASES[0], arg: [] }, ...CASES]), /arg/],
  [
    'an unknown placeholder',
    'bad_cases',
    cases([{ ...CASES[0], args: ['--file={{nothing}}'] }, ...CASES.slice(1)]),
  ],
  ['no case of an error', 'missing_case', cases(CASES.slice(0, 2)), /no case of kind error/],
  [
    'a case of another code than declared',
    'wrong_exit_code',
    cases([...CASES, { ...CASES[2], expect: { exit: 5 } }]),
  ],
  [
    'a skill that exits otherwise',
    'wrong_exit_code',
    (skill) => skill.write('check.mjs', `${PROGRAM}process.exitCode ||= 9;`),
    /ended with 9, not 0/,
  ],
  [
    'a skill that says otherwise',
    'case_failed',
    cases([{ ...CASES[0], expect: { exit: 0, lines: ['OK: splendid'] } }, ...CASES.slice(1)]),
  ],
  [
    'a skill without a report',
    'case_failed',
    (skill) => skill.write('check.mjs', PROGRAM.replace(/^writeFileSync.*$/m, '')),
    /wrote no report/,
  ],
  [
    'a skill that leaves nothing to the runner',
    'bad_artifacts',
    (skill) =>
      skill.write('check.mjs', `${PROGRAM}if (process.env.JARVAS_RUN_ID === 'smoke') process.exitCode = 7;`),
    /ended with 7/,
  ],
];

describe('J22 a bad skill is rejected', () => {
  test.concurrent.for(FOLDERS)(
    '%s: %s',
    async ([, reason, damage, message = /./], { skill, expect: check }) => {
      await damage(skill);
      const { problems } = await validateSkill(skill.dir);
      check(problems.map((problem) => problem.reason)).toContain(reason);
      const found = problems.find((problem) => problem.reason === reason);
      check(found?.message).toMatch(message);
      check(JSON.stringify(problems.map(String))).not.toContain(TOKEN);
    },
  );

  const files = [
    { name: 'skill.json', content: JSON.stringify(MANIFEST) },
    { name: 'check.mjs', content: PROGRAM },
  ];
  const ARCHIVES: readonly (readonly [string, ProblemReason, Uint8Array | ((good: Buffer) => Uint8Array)])[] =
    [
      ['no archive', 'bad_archive', Buffer.from('nothing')],
      ['a damaged one', 'bad_archive', (good) => good.subarray(0, 2000)],
      [
        'a symbolic link',
        'symlink',
        gzipSync(tarOf([...files, { name: 'a', type: '2', link: '/etc/passwd' }])),
      ],
      ['a path that leaves it', 'unsafe_path', gzipSync(tarOf([...files, { name: '../a' }]))],
      ['an absolute path', 'unsafe_path', gzipSync(tarOf([...files, { name: '/a' }]))],
      ['a device', 'special_file', gzipSync(tarOf([...files, { name: 'a', type: '3' }]))],
      ['a hidden file', 'hidden_file', gzipSync(tarOf([...files, { name: '.a' }]))],
      ['no checksums', 'bad_archive', gzipSync(tarOf(files))],
      ['a bomb', 'too_large', gzipSync(Buffer.alloc(64 * 1024 * 1024))],
      ['other bytes of the same files', 'not_deterministic', (good) => gzipSync(readTar(good))],
    ];
  test.for(ARCHIVES)('as a file, %s: %s', async ([, reason, made], { skill }) => {
    const file = join(skill.dir, '..', 'probe.tar.gz');
    await writeFile(file, typeof made === 'function' ? made((await buildPackage(skill.dir)).bytes) : made);
    const { problems } = await validateSkill(file);
    expect(problems.map((problem) => problem.reason)).toEqual([reason]);
  });
});

function readTar(bytes: Buffer): Buffer {
  return execFileSync('gzip', ['-dc'], { input: bytes });
}

test('a manifest without its optional fields has their defaults', () => {
  const { interpreter: _, args: __, ...least } = MANIFEST;
  expect(readManifest(Buffer.from(JSON.stringify(least)))).toEqual({
    ...least,
    interpreter: 'exec',
    args: [],
    exitCodes: { pass: 0, violation: 1, usage: 2, skipped: 0, error: 4 },
    requires: [],
    platforms: [],
    destructive: false,
    timeoutS: 300,
    network: false,
    secrets: [],
  });
});
