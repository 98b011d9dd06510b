/**
 * Where the key that signs comes from: a file that is named, or variables, with the prefix `REEVE_` or `WRKR_` (the first
 * wins). `SIGNING_KEY` holds a key, `SIGNING_KEY_PATH` names its file, `SIGNING_KEY_SOURCE` says which of the two
 * (`env`, `file`), `SIGNING_KEY_PASSPHRASE` opens an encrypted one, and `SIGNING_MODE=ed25519` makes packs be signed
 * without being asked to (contract wrkr §j).
 */
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import { privateKeyFrom, type SigningKey } from './keys.ts';

export type Variables = Readonly<Record<string, string | undefined>>;

/** Keys and trust files are small; what is not is something else. */
const FILE_BYTES_MAX = 1_048_576;

/** Variables that hold secrets. Commands that are run do not get them: an agent must not be able to sign its own evidence. */
export const SIGNING_SECRETS: ReadonlySet<string> = new Set(
  ['SIGNING_KEY', 'SIGNING_KEY_PASSPHRASE'].flatMap((name) => [`REEVE_${name}`, `WRKR_${name}`]),
);

export interface LoadedKey {
  readonly key: SigningKey;
  /** Such as `--key ci.pem` or `REEVE_SIGNING_KEY`. */
  readonly from: string;
  /** Something that a person should know, such as a file that others can read. */
  readonly warning?: string;
}

/** Whether packs are signed without being asked to. @throws ReeveError E_INVALID_INPUT_SCHEMA for an unknown mode. */
export function signsByItself(env: Variables): boolean {
  const { name, value } = variable(env, 'SIGNING_MODE');
  if (value === undefined) return false;
  if (value === 'ed25519') return true;
  throw refusal(`${name} is ${JSON.stringify(value)}; the only mode is ed25519`, { variable: name, value });
}

/**
 * @param keyFile what `--key` names; variables decide without it.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: there is no key, or it cannot be used.
 */
export async function loadSigningKey(env: Variables, cwd: string, keyFile?: string): Promise<LoadedKey> {
  const passphrase = variable(env, 'SIGNING_KEY_PASSPHRASE').value;
  if (keyFile !== undefined) return fromFile(keyFile, cwd, '--key', passphrase);
  const key = variable(env, 'SIGNING_KEY');
  const path = variable(env, 'SIGNING_KEY_PATH');
  const source = variable(env, 'SIGNING_KEY_SOURCE');
  const missing = (name: string): ReeveError =>
    refusal(`${source.name} is ${source.value}, but ${name} is not set`, { variable: name });
  switch (source.value) {
    case 'env':
      if (key.value === undefined) throw missing(key.name);
      return fromVariable(key.value, key.name, passphrase);
    case 'file':
      if (path.value === undefined) throw missing(path.name);
      return fromFile(path.value, cwd, path.name, passphrase);
    case 'kms':
      throw refusal(`${source.name} is kms: this version reaches no key service; use env or file`, {
        variable: source.name,
        value: 'kms',
      });
    case undefined:
      if (key.value !== undefined) return fromVariable(key.value, key.name, passphrase);
      if (path.value !== undefined) return fromFile(path.value, cwd, path.name, passphrase);
      throw refusal(
        'there is no key to sign with: give --key, or set REEVE_SIGNING_KEY or REEVE_SIGNING_KEY_PATH',
        {
          flag: '--key',
        },
      );
    default:
      throw refusal(`${source.name} is ${JSON.stringify(source.value)}, not env or file`, {
        variable: source.name,
        value: source.value,
      });
  }
}

/**
 * A small file as text. @param what it is to be, for errors.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA {path}
 */
export async function readSmallFile(
  path: string,
  what: string,
): Promise<{ readonly text: string; readonly mode: number; readonly isRegular: boolean }> {
  try {
    const file = await open(path, 'r');
    try {
      const stat = await file.stat();
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of file.createReadStream({ autoClose: false })) {
        chunks.push(chunk as Buffer);
        size += (chunk as Buffer).length;
        if (size > FILE_BYTES_MAX)
          throw refusal(`${what} ${path} is too big for one`, { path, size_max: FILE_BYTES_MAX });
      }
      return { text: Buffer.concat(chunks).toString('utf8'), mode: stat.mode, isRegular: stat.isFile() };
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof ReeveError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const problem = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${what} ${path} ${problem}`,
      { path, cause: code },
      { cause },
    );
  }
}

/** A variable under its two prefixes; an empty one counts as not set. */
export function variable(env: Variables, name: string): { readonly name: string; readonly value?: string } {
  for (const prefix of ['REEVE_', 'WRKR_']) {
    const value = env[prefix + name];
    if (value !== undefined && value !== '') return { name: prefix + name, value };
  }
  return { name: `REEVE_${name}` };
}

function fromVariable(text: string, name: string, passphrase: string | undefined): LoadedKey {
  return { key: privateKeyFrom(text, name, passphrase), from: name };
}

async function fromFile(
  path: string,
  cwd: string,
  name: string,
  passphrase: string | undefined,
): Promise<LoadedKey> {
  const from = `${name} ${path}`;
  const { text, mode, isRegular } = await readSmallFile(resolve(cwd, path), name);
  const key = privateKeyFrom(text, from, passphrase);
  // Process substitution and the like have modes that mean nothing.
  if (!isRegular || (mode & 0o077) === 0) return { key, from };
  return { key, from, warning: `${path} holds a private key and can be read by others: chmod 600 it` };
}

function refusal(message: string, details: Readonly<Record<string, unknown>>): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', message, details);
}
