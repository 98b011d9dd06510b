// What all skills share: arguments, the report, limits. Shown on real skills, and on one as a package has it.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SKILLS, type Report } from './rig.ts';
import { isAlive } from '../support/waiting.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'reeve-skill-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const options = { cwd: dir, encoding: 'utf8', timeout: 25_000, env: { PATH: '', ...env } } as const;
  return spawnSync(process.execPath, [script, ...args], options);
}
const check = (skill: string): string => join(SKILLS, skill, 'check.mjs');

/** A skill in the layout of its package: everything in one folder. */
function packaged(name: string, code: string, manifest: object): string {
  const folder = join(dir, name);
  mkdirSync(folder);
  cpSync(join(SKILLS, 'lib'), join(folder, 'lib'), { recursive: true });
  cpSync(join(SKILLS, 'package.json'), join(folder, 'package.json'));
  writeFileSync(join(folder, 'check.mjs'), code);
  const whole = { name, version: '1.2.3', description: 'a test', args: [], timeout_s: 60, ...manifest };
  writeFileSync(join(folder, 'skill.json'), JSON.stringify(whole));
  return join(folder, 'check.mjs');
}

test('a package stands alone', () => {
  const code = readFileSync(check('io_wait_monitor'), 'utf8');
  const manifest = JSON.parse(readFileSync(join(SKILLS, 'io_wait_monitor/skill.json'), 'utf8')) as object;
  const { status, stdout } = run(packaged('alone', code, manifest), ['--root', join(dir, 'none'), '--json']);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ skill: 'io_wait_monitor', outcome: 'skipped' });
});

test('a check that does not end is ended, with the tools that it runs', async () => {
  const code = `import { skill } from '#skill';
    await skill({ url: import.meta.url, help: {}, async check(ctx) {
      await ctx.run(['/bin/sh', '-c', 'echo $$ > pid; exec 3<&0; while :; do /bin/sleep 1; done']);
    } });`;
  const { status, stderr } = run(packaged('endless', code, { timeout_s: 1 }), []);
  expect(status).toBe(4);
  expect(stderr).toMatch(/^ERROR: not done within 1 s$/m);
  const pid = Number(readFileSync(join(dir, 'pid'), 'utf8'));
  await expect.poll(() => isAlive(pid)).toBe(false);
});

test('a mistake of a check is an error without a stack, and no pass', () => {
  const code = `import { skill } from '#skill';
    await skill({ url: import.meta.url, help: {}, check() { undefined.x; } });`;
  const { status, stderr, stdout } = run(packaged('broken', code, {}), []);
  expect([status, stdout]).toEqual([4, '']);
  expect(stderr).toMatch(/^ERROR: TypeError: [^\n]*\n$/);
});

test('a report that cannot be written is no pass', () => {
  writeFileSync(join(dir, 'a.txt'), 'nothing\n');
  const { status, stderr } = run(check('pii_audit'), ['a.txt'], { JARVAS_ARTIFACTS_DIR: join(dir, 'none') });
  expect(status).toBe(4);
  expect(stderr).toContain('ERROR: report.json: cannot be written: ENOENT');
  expect(existsSync(join(dir, 'none'))).toBe(false);
});

test('what a file is called cannot draw on the terminal or forge a line', () => {
  const folder = join(dir, 'names');
  mkdirSync(folder);
  writeFileSync(join(folder, 'a\nOK: forged\u001b[2J'), ['219-09', '-9999\n'].join(''));
  const { status, stderr } = run(check('pii_audit'), ['names']);
  expect(status).toBe(1);
  expect(stderr).toBe('FAIL: a\\u{a}OK: forged\\u{1b}[2J:1: social security number\n');
  const { stdout } = run(check('pii_audit'), ['names', '--json']);
  expect((JSON.parse(stdout) as Report).findings[0]?.where).toBe('a\\u{a}OK: forged\\u{1b}[2J:1');
});

test.each([
  ['an unknown option', ['--paths', '.'], '--paths is not an option'],
  ['a short option', ['-x'], '-x is not an option'],
  ['an option without its value', ['--allow'], '--allow needs a value'],
  ['an option twice', ['--path=a', '--path', 'b'], 'path is given twice'],
  ['by place and by name', ['a', '--path', 'b'], 'path is given twice'],
  ['a value that is none of those that may be', ['--emails', 'yes'], 'emails is "yes", which is not one of'],
  ['a number that is none', ['--max-bytes', '1e3'], 'max-bytes is "1e3", which is not of type int'],
  ['a number out of range', ['--max-bytes=0'], 'max-bytes is "0", which is not of the form'],
  ['a switch with a value that is none', ['--json=1'], 'json is "1", which is not of type bool'],
  ['too many', ['a', 'b'], '"b" is one argument too many'],
])('%s is a usage error', (_, args, message) => {
  const { status, stdout, stderr } = run(check('pii_audit'), args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`pii_audit: ${message}`);
});

test('behind -- all are places; a secret in a usage error is masked', () => {
  const { status, stderr } = run(check('pii_audit'), ['--', '--none']);
  expect([status, stderr]).toEqual([4, 'ERROR: --none: does not exist\n']);
  const secret = ['AK', 'IAQWERTYUIOPASDFGH'].join('');
  expect(run(check('pii_audit'), ['a', secret]).stderr).not.toContain('QWERTY');
});
