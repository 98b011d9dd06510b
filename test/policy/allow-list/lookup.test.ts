/** What an accepted list allows, and with which arguments (contract agents §5, J16, J18). */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { requireWithin } from '../../../src/policy/allow-list/allow-list.ts';
import { argvOf, requireArgumentList } from '../../../src/policy/allow-list/arguments.ts';
import { openAllowList } from '../../../src/policy/allow-list/open.ts';
import type { AllowListEntry, ArgumentSpec } from '../../../src/policy/allow-list/schema.ts';
import { digestOfBytes, digestOfCommand } from '../../../src/policy/allow-list/sign.ts';
import { refusalOf } from '../support.ts';
import { ADA, bytesOf, documentOf, NOW, PACKAGE, reasonOf, SKILL, TRUST } from './rig.ts';

const REFERENCE = { name: 'backup_integrity', version: '1.2.0', digest: PACKAGE };
const RAW = { allowRaw: true };

function listOf(...entries: readonly AllowListEntry[]) {
  return openAllowList(bytesOf(documentOf(entries), ADA), TRUST);
}

describe('a skill (J16)', () => {
  const list = listOf(SKILL, { ...SKILL, version: '1.3.0', expires_at: '2026-05-31T23:59:59Z' });

  test('runs as the very package that was signed', () => {
    expect(list.skill(REFERENCE, {}, NOW)).toEqual(SKILL);
  });

  test.each([
    ['not_listed', { ...REFERENCE, name: 'other' }],
    ['not_listed', { ...REFERENCE, version: '1.2.1' }],
    ['not_listed', { ...REFERENCE, name: '__proto__' }],
    ['digest_mismatch', { ...REFERENCE, digest: `sha256:${'2'.repeat(64)}` }],
    ['expired', { ...REFERENCE, version: '1.3.0' }],
  ] as const)('%s: %j', (reason, reference) => {
    expect(reasonOf(() => list.skill(reference, {}, NOW))).toBe(reason);
  });

  test('a list that ends while the agent runs allows nothing any more', () => {
    const later = Date.parse('2027-01-01T00:00:00Z');
    expect(reasonOf(() => list.skill(REFERENCE, {}, later))).toBe('expired');
    expect(reasonOf(() => list.command('true', RAW, later))).toBe('expired');
  });

  test('gets no secret and no capability that its entry does not grant', () => {
    requireWithin(SKILL, { envRefs: ['BACKUP_TOKEN'], capabilities: ['network'] });
    expect(reasonOf(() => requireWithin(SKILL, { envRefs: ['OTHER_TOKEN'] }))).toBe('privileged');
    expect(reasonOf(() => requireWithin(SKILL, { capabilities: ['root'] }))).toBe('privileged');
  });

  test('with arguments that fit the JSON Schema of its entry', () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['dir'],
      properties: { dir: { type: 'string', pattern: '^/(a+)+$' }, n: { type: 'integer', maximum: 9 } },
    };
    const checked = listOf({ ...SKILL, args_schema: schema });
    const given = { dir: '/aa', n: '3' };
    checked.skill(REFERENCE, given, NOW);
    expect(given).toEqual({ dir: '/aa', n: '3' });
    for (const args of [{}, { dir: '/b' }, { dir: '/a', n: 10 }, { dir: '/a', more: 1 }])
      expect(reasonOf(() => checked.skill(REFERENCE, args, NOW))).toBe('args_invalid');
  });
});

describe('a command (J16)', () => {
  const list = listOf(
    { kind: 'command', digest: digestOfCommand('df -h | tail -1') },
    { kind: 'command', digest: digestOfCommand(['df', '$(reboot)']) },
    { kind: 'command', digest: digestOfCommand('uptime'), expires_at: '2026-05-01T00:00:00Z' },
  );

  test('runs as the exact text, or the exact argv', () => {
    expect(list.command('df -h | tail -1', RAW, NOW).kind).toBe('command');
    expect(list.command(['df', '$(reboot)'], RAW, NOW).kind).toBe('command');
  });

  test('digests are what anybody can calculate', () => {
    const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
    expect(digestOfBytes(Buffer.from('a package'))).toBe(sha256('a package'));
    expect(digestOfCommand('echo ü')).toBe(sha256('echo ü'));
    expect(digestOfCommand(['echo', 'ü', '"'])).toBe(sha256(String.raw`["echo","ü","\""]`));
  });

  test.each([
    ['not_listed', 'df -h | tail -1 '],
    ['not_listed', ['df', '-h']],
    ['not_listed', ''],
    ['not_listed', []],
    ['not_listed', 'df\0'],
    ['not_listed', '\uD800'],
    ['expired', 'uptime'],
  ] as const)('%s: %j', (reason, command) => {
    expect(reasonOf(() => list.command(command, RAW, NOW))).toBe(reason);
  });

  test('an argv that was signed does not allow the text that looks like it, which a shell would run', () => {
    expect(reasonOf(() => list.command('["df","$(reboot)"]', RAW, NOW))).toBe('not_listed');
    expect(refusalOf(() => digestOfCommand('["df","$(reboot)"]')).code).toBe('E_INVALID_INPUT_SCHEMA');
  });

  test('does not run where the agent allows skills only', () => {
    for (const command of ['df -h | tail -1', ['df', '$(reboot)']])
      expect(reasonOf(() => list.command(command, { allowRaw: false }, NOW))).toBe('raw_disabled');
  });
});

describe('arguments', () => {
  const LIST: readonly ArgumentSpec[] = [
    { name: 'dir', type: 'path', positional: true, default: '/var/backups' },
    { name: 'glob', type: 'string', positional: true },
    { name: 'max-age-days', type: 'int', default: 30 },
    { name: 'strict', type: 'bool' },
    { name: 'color', type: 'bool', default: true },
    { name: 'mode', type: 'enum', enum: ['fast', 'full'] },
    { name: 'label', type: 'string', pattern: '(a|a)*b' },
    { name: 'token', type: 'string', secret: true },
  ];

  test('become an argv, each where it belongs', () => {
    expect(argvOf(LIST, {})).toEqual({ argv: ['/var/backups', '--max-age-days=30', '--color'], secrets: {} });
    const args = {
      glob: '*.gz',
      dir: '/b',
      strict: true,
      color: false,
      mode: 'full',
      'max-age-days': '7',
      token: 'hunter22',
    };
    expect(argvOf(LIST, args)).toEqual({
      argv: ['/b', '*.gz', '--max-age-days=7', '--strict', '--color=false', '--mode=full'],
      secrets: { token: 'hunter22' },
    });
    expect(argvOf(LIST, { strict: 'false' }).argv).not.toContain('--strict');
  });

  test('arrive literally, whatever a shell would make of them (J18)', () => {
    for (const text of ['; rm -rf /', '$(id)', '`id`', "'", '"', '\n', '*', 'a b', '\\', '&&', '>x', '#'])
      expect(argvOf(LIST, { dir: text, glob: text }).argv.slice(0, 2)).toEqual([text, text]);
  });

  test.each([
    ['is unknown', { other: 1 }],
    ['is inherited', JSON.parse('{"__proto__":1}') as object],
    ['would be a flag', { dir: '--apply' }],
    ['is no text', { dir: ['/x'] }],
    ['is no text but an object', { dir: {} }],
    ['is nested without end', { dir: JSON.parse(`${'['.repeat(99_999)}${']'.repeat(99_999)}`) as unknown }],
    ['is a number for a path', { dir: 1 }],
    ['holds a NUL', { dir: '/x\0' }],
    ['is empty', { dir: '' }],
    ['is far too long', { dir: 'x'.repeat(5000) }],
    ['is no int', { 'max-age-days': '3.5' }],
    ['is no int in that form', { 'max-age-days': 1e21 }],
    ['is no bool', { strict: 'yes' }],
    ['is none of its values', { mode: 'slow' }],
    ['does not match as a whole', { label: 'xb' }],
  ])('args_invalid: %s', (_, args) => {
    expect(reasonOf(() => argvOf(LIST, args as Record<string, unknown>))).toBe('args_invalid');
  });

  test('a refusal does not tell the value, which may be a secret', () => {
    const list: readonly ArgumentSpec[] = [
      { name: 'token', type: 'string', pattern: '[a-z]+', secret: true },
    ];
    const error = refusalOf(() => argvOf(list, { token: 'hunter22' }));
    expect(JSON.stringify([error.message, error.details])).not.toContain('hunter');
    expect(error.details).toMatchObject({ reason: 'args_invalid', argument: 'token' });
  });

  test('a missing one is named, also where one behind it is given', () => {
    const list: readonly ArgumentSpec[] = [
      { name: 'a', type: 'string', positional: true },
      { name: 'b', type: 'string', positional: true },
      { name: 'c', type: 'string', required: true },
    ];
    expect(refusalOf(() => argvOf(list, { a: 'x' })).details).toMatchObject({ argument: 'c' });
    expect(refusalOf(() => argvOf(list, { b: 'x', c: 'y' })).details).toMatchObject({ argument: 'a' });
  });

  test.each([
    ['url', ['http://a/', 'https://[::1]:8/x?y#z'], ['/a', 'http://', 'x', 'http:// /']],
    [
      'host',
      ['a', 'a.example.', '10.0.0.1', '::1', '[::1]:443', 'h:65535'],
      ['', 'a b', '-x', 'h:0', 'h:65536', '[x]:1', 'a/b', '999:1:1'],
    ],
    ['int', ['0', '-5', 12], ['', '1e3', '0x1', ' 1']],
  ] as const)('%s', (type, good, bad) => {
    const list: readonly ArgumentSpec[] = [{ name: 'x', type, positional: true }];
    for (const x of good) expect(argvOf(list, { x }).argv).toEqual([String(x)]);
    for (const x of bad) expect(reasonOf(() => argvOf(list, { x }))).toBe('args_invalid');
  });

  test('a hostile pattern takes linear time', () => {
    const list: readonly ArgumentSpec[] = [{ name: 'x', type: 'string', pattern: '(a*)*(a|a)*c' }];
    const from = process.cpuUsage();
    expect(reasonOf(() => argvOf(list, { x: 'a'.repeat(4000) }))).toBe('args_invalid');
    // Backtracking would not end.
    expect(process.cpuUsage(from).user / 1e6).toBeLessThan(10);
  });

  test.each([
    ['/0/enum', { name: 'x', type: 'enum' }],
    ['/0/default', { name: 'x', type: 'int', default: 'many' }],
    ['/0/default', { name: 'x', type: 'string', secret: true, default: 'hunter22' }],
    ['/0/positional', { name: 'x', type: 'string', secret: true, positional: true }],
    ['/0/pattern', { name: 'x', type: 'string', pattern: '(?<!a)b' }],
    ['/0/pattern', { name: 'x', type: 'string', pattern: 'x'.repeat(501) }],
  ] as const)('a list that makes no sense is refused at %s: %j', (field, spec) => {
    expect(refusalOf(() => requireArgumentList([spec], '')).details).toMatchObject({ field });
  });
});
