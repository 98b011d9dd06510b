// Which key signs, of all the places where one may be named.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test as base } from 'vitest';
import { ReeveError } from '../../src/model/errors.ts';
import { loadSigningKey, signsByItself, type Variables } from '../../src/policy/key-source.ts';
import { generatePrivateKey, privateKeyFrom } from '../../src/policy/keys.ts';

const pems = {
  a: generatePrivateKey(),
  b: generatePrivateKey(),
  c: generatePrivateKey(),
  d: generatePrivateKey(),
};
const idOf = (pem: string): string => privateKeyFrom(pem, 'x').publicKey.keyId;

/** A directory with these keys as `a.pem` … and more. */
// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('dir', async ({}, { onCleanup }) => {
  const dir = await mkdtemp(join(tmpdir(), 'reeve-keys-'));
  onCleanup(() => rm(dir, { recursive: true, force: true }));
  for (const [name, pem] of Object.entries(pems))
    await writeFile(join(dir, `${name}.pem`), pem, { mode: 0o600 });
  return dir;
});

async function refusal(loading: Promise<unknown>): Promise<string> {
  const error = await loading.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(ReeveError);
  expect((error as ReeveError).exitCode).toBe(6);
  return (error as ReeveError).message;
}

test('the flag comes first, then the key in a variable, then the file in a variable; REEVE_ before WRKR_', async ({
  dir,
}) => {
  const env: Record<string, string> = {
    REEVE_SIGNING_KEY: pems.b,
    WRKR_SIGNING_KEY: pems.c,
    REEVE_SIGNING_KEY_PATH: 'd.pem',
    WRKR_SIGNING_KEY_PATH: 'a.pem',
  };
  const id = async (flag?: string): Promise<string> =>
    (await loadSigningKey(env, dir, flag)).key.publicKey.keyId;
  expect(await id('a.pem')).toBe(idOf(pems.a));
  expect(await id(join(dir, 'a.pem'))).toBe(idOf(pems.a));
  expect(await id()).toBe(idOf(pems.b));
  delete env['REEVE_SIGNING_KEY'];
  expect(await id()).toBe(idOf(pems.c));
  env['WRKR_SIGNING_KEY'] = ''; // an empty variable is as good as none
  expect(await id()).toBe(idOf(pems.d));
  delete env['REEVE_SIGNING_KEY_PATH'];
  expect(await id()).toBe(idOf(pems.a));
  delete env['WRKR_SIGNING_KEY_PATH'];
  expect(await refusal(id())).toContain('give --key');
});

test('the source says which variable counts, and kms is refused', async ({ dir }) => {
  const all = { WRKR_SIGNING_KEY: pems.b, WRKR_SIGNING_KEY_PATH: 'a.pem' };
  const load = (source: string, env: Variables = all) =>
    loadSigningKey({ ...env, WRKR_SIGNING_KEY_SOURCE: source }, dir);
  expect((await load('env')).key.publicKey.keyId).toBe(idOf(pems.b));
  expect((await load('file')).key.publicKey.keyId).toBe(idOf(pems.a));
  expect(await refusal(load('kms'))).toContain('kms');
  expect(await refusal(load('vault'))).toContain('"vault", not env or file');
  expect(await refusal(load('env', {}))).toBe(
    'WRKR_SIGNING_KEY_SOURCE is env, but REEVE_SIGNING_KEY is not set',
  );
  expect(await refusal(load('file', {}))).toContain('REEVE_SIGNING_KEY_PATH is not set');
});

test('the mode signs by itself, and only ed25519 is one', () => {
  expect(signsByItself({})).toBe(false);
  expect(signsByItself({ WRKR_SIGNING_MODE: '' })).toBe(false);
  expect(signsByItself({ WRKR_SIGNING_MODE: 'ed25519' })).toBe(true);
  expect(signsByItself({ REEVE_SIGNING_MODE: 'ed25519', WRKR_SIGNING_MODE: 'rsa' })).toBe(true);
  expect(() => signsByItself({ WRKR_SIGNING_MODE: 'rsa' })).toThrow('WRKR_SIGNING_MODE is "rsa"');
});

test('the passphrase comes from its variable', async ({ dir }) => {
  await writeFile(join(dir, 'e.pem'), generatePrivateKey('horse'));
  const load = (env: Variables) => loadSigningKey(env, dir, 'e.pem');
  await load({ REEVE_SIGNING_KEY_PASSPHRASE: 'horse' });
  await load({ WRKR_SIGNING_KEY_PASSPHRASE: 'horse' });
  expect(await refusal(load({ REEVE_SIGNING_KEY_PASSPHRASE: 'cow' }))).toContain('passphrase is wrong');
  expect(await refusal(load({}))).toContain('is encrypted');
});

test('a file that others can read is warned of; one that is none is refused', async ({ dir }) => {
  expect((await loadSigningKey({}, dir, 'a.pem')).warning).toBeUndefined();
  await chmod(join(dir, 'a.pem'), 0o640);
  expect((await loadSigningKey({}, dir, 'a.pem')).warning).toContain('a.pem holds a private key');
  expect(await refusal(loadSigningKey({}, dir, 'none.pem'))).toContain('does not exist');
  expect(await refusal(loadSigningKey({}, dir, '.'))).toContain('EISDIR');
  expect(await refusal(loadSigningKey({}, dir, '/dev/null'))).toContain('holds no key');
  expect(await refusal(loadSigningKey({}, dir, '/dev/zero'))).toContain('too big');
});
