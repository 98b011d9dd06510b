import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  captureFingerprint,
  fingerprintOf,
  normaliseRules,
  thisProcess,
  type Surroundings,
} from '../../../src/doors/jobs/fingerprint.ts';
import { expectCode } from './support.ts';

const FROM: Surroundings = {
  cwd: '/here',
  env: { FOO: 'bar', EMPTY: '' },
  hostname: 'box',
  platform: 'linux',
  arch: 'x64',
  littleEndian: true,
  nodeVersion: '24.1.0',
};

describe('W23: hash vectors', () => {
  test('one rule', () => {
    expect(captureFingerprint(['os'], FROM).hash).toBe(
      '6607c4f0e8bdc480711beb880b4fb15b64c8982db00ac24aef835311b54bc998',
    );
  });

  test('two rules, in any order and as often as one likes', () => {
    for (const rules of [
      ['arch', 'os'],
      ['os', 'arch'],
      [' os ', 'arch', 'os', ' '],
    ]) {
      const { rules: normalised, hash } = captureFingerprint(rules, FROM);
      expect(normalised).toEqual(['arch', 'os']);
      expect(hash).toBe('65d92663b6648f3ac4ad9131b8c552699ef3696519faae2d6b6ddcc0bef77094');
    }
  });

  test('order and duplicates never matter', () => {
    const rules = fc.array(
      fc.constantFrom('os', 'arch', 'cwd', 'hostname', 'env:FOO', 'env:Ä', 'env_sha256:FOO', ' '),
    );
    fc.assert(
      fc.property(rules, fc.integer(), (list, turn) => {
        const at = list.length === 0 ? 0 : Math.abs(turn) % list.length;
        const other = [...list.slice(at), ...list.slice(0, at), ...list];
        expect(captureFingerprint(other, FROM)).toEqual(captureFingerprint(list, FROM));
      }),
    );
  });
});

test('W36: no rules are the default rules', () => {
  for (const rules of [undefined, [], [' ']]) {
    expect(captureFingerprint(rules, FROM)).toMatchObject({
      rules: ['arch', 'go_version', 'os'],
      values: { arch: 'amd64', go_version: 'node24.1.0', os: 'linux' },
    });
  }
});

test('values are those of contract §c', () => {
  const { values } = captureFingerprint(
    ['cwd', 'hostname', 'env:FOO', 'env:NONE', 'env_sha256:FOO', 'env:__proto__'],
    FROM,
  );
  expect(values).toEqual({
    cwd: '/here',
    hostname: 'box',
    'env:FOO': 'bar',
    'env:NONE': '',
    'env:__proto__': '',
    'env_sha256:FOO': createHash('sha256').update('bar').digest('hex'),
  });
});

test.each([
  ['win32', 'ia32', 'windows', '386'],
  ['darwin', 'arm64', 'darwin', 'arm64'],
  ['linux', 'ppc64', 'linux', 'ppc64le'],
  ['linux', 's390x', 'linux', 's390x'],
  ['linux', 'riscv64', 'linux', 'riscv64'],
])('Node %s/%s is Go %s/%s', (platform, arch, goos, goarch) => {
  expect(captureFingerprint(['os', 'arch'], { ...FROM, platform, arch }).values).toEqual({
    os: goos,
    arch: goarch,
  });
});

test.each(['kernel', 'env:', 'env', 'OS', 'env_sha256:'])(
  'W35: unknown rule %j is refused before a job exists',
  async (rule) => {
    const error = await expectCode('E_INVALID_INPUT_SCHEMA', () => normaliseRules(['os', rule]));
    expect(error.details).toMatchObject({ value: rule });
  },
);

test('W22: a changed variable changes the hash', () => {
  const before = captureFingerprint(['env:FOO'], FROM);
  expect(captureFingerprint(before.rules, { ...FROM, env: { FOO: 'baz' } }).hash).not.toBe(before.hash);
  expect(fingerprintOf(before.rules, before.values)).toEqual(before);
});

test('this process has all values', () => {
  const { values } = captureFingerprint(['os', 'arch', 'go_version', 'cwd', 'hostname'], thisProcess());
  expect(Object.values(values).every((value) => value !== '')).toBe(true);
});
