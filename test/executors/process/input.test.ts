import { expect, test } from 'vitest';
import { environmentFor, parseProcessInput } from '../../../src/executors/process/input.ts';

const CALLER = {
  PATH: '/bin',
  HOME: '/home/me',
  LANG: 'C.UTF-8',
  TERM: 'xterm',
  AWS_SECRET: 's3',
  NPM_TOKEN: 't',
  GONE: undefined,
};

test('without a rule a command has the whole environment of the caller', () => {
  expect(environmentFor(undefined, CALLER)).toEqual({
    PATH: '/bin',
    HOME: '/home/me',
    LANG: 'C.UTF-8',
    TERM: 'xterm',
    AWS_SECRET: 's3',
    NPM_TOKEN: 't',
  });
});

test('I9 the key that signs evidence reaches only a command that names it', () => {
  const secrets = {
    REEVE_SIGNING_KEY: 'k',
    WRKR_SIGNING_KEY: 'k',
    REEVE_SIGNING_KEY_PASSPHRASE: 'p',
    WRKR_SIGNING_KEY_PASSPHRASE: 'p',
  };
  const caller = { PATH: '/bin', ...secrets };
  expect(environmentFor(undefined, caller)).toEqual({ PATH: '/bin' });
  expect(environmentFor({ allow: ['REEVE_SIGNING_KEY'] }, caller)).toEqual({
    PATH: '/bin',
    REEVE_SIGNING_KEY: 'k',
  });
});

test('with a rule it has what is allowed, what programs need, and what is set', () => {
  const base = { PATH: '/bin', HOME: '/home/me', LANG: 'C.UTF-8' };
  expect(environmentFor({}, CALLER)).toEqual(base);
  expect(environmentFor({ allow: ['NPM_TOKEN', 'ABSENT', 'GONE'] }, CALLER)).toEqual({
    ...base,
    NPM_TOKEN: 't',
  });
  expect(environmentFor({ set: { HOME: '/tmp', X: '1' } }, CALLER)).toEqual({
    ...base,
    HOME: '/tmp',
    X: '1',
  });
  expect(environmentFor({ allow: ['toString', '__proto__'] }, CALLER)).toEqual(base);
});

test('an input is taken as it is, without what it does not know', () => {
  const input = {
    argv: ['a', ''],
    cwd: '/w',
    env: { allow: ['A'], set: { B: 'c' } },
    capture: 'full',
    captureDir: '/c',
    usageFile: 'u.json',
    usageSource: {
      name: 'codex',
      model: 'm',
      prices: { '*': { input: 1, output: 2, cacheWrite: 0, cacheRead: 0 } },
    },
    redact: ['x'],
  };
  expect(parseProcessInput({ ...input, other: 1 })).toEqual(input);
  expect(parseProcessInput({ argv: ['a'], cwd: '/w' })).toEqual({ argv: ['a'], cwd: '/w' });
});

test.each([
  [null, 'input'],
  [{ argv: [], cwd: '/w' }, 'argv'],
  [{ argv: [''], cwd: '/w' }, 'argv'],
  [{ argv: ['a\0b'], cwd: '/w' }, 'argv[0]'],
  [{ argv: ['a'], cwd: 'w' }, 'cwd'],
  [{ argv: ['a'], cwd: '/w', env: { allow: 'A' } }, 'env.allow'],
  [{ argv: ['a'], cwd: '/w', env: { set: { A: 1 } } }, 'env.set.A'],
  [{ argv: ['a'], cwd: '/w', capture: 'all' }, 'capture'],
  [{ argv: ['a'], cwd: '/w', capture: 'full' }, 'captureDir'],
  [{ argv: ['a'], cwd: '/w', usageSource: { name: 'other' } }, 'usageSource.name'],
  [
    { argv: ['a'], cwd: '/w', usageSource: { name: 'codex', prices: { m: { input: 1 } } } },
    'usageSource.prices.m',
  ],
  [{ argv: ['a'], cwd: '/w', redact: ['('] }, 'redact'],
])('%j is refused, naming %s', (input, field) => {
  expect(() => parseProcessInput(input)).toThrow(new RegExp(`^${field.replaceAll(/[[\].]/g, '\\$&')}`));
});
