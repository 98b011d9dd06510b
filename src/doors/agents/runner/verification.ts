/**
 * What this machine's own configuration lets run (contract agents §5): the allow-list as it lies there, the keys that are
 * trusted, and the highest serial ever accepted, which is on disk before a list is used.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { writeTextAtomically } from '../../../evidence/output-file.ts';
import { isErrno } from '../../../executors/process/record.ts';
import { ReeveError } from '../../../model/errors.ts';
import type { AllowList } from '../../../policy/allow-list/allow-list.ts';
import { openAllowList } from '../../../policy/allow-list/open.ts';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import { isPublicKeyText, publicKeyFrom } from '../../../policy/keys.ts';
import { type TrustedKey, trustFrom } from '../../../policy/trust.ts';

export interface LocalRules {
  /** `allowlist.json`; undefined: there is none. */
  readonly allowListPath: string | undefined;
  /** Trust files (`reeve.trust`) and public keys in PEM. */
  readonly trustPaths: readonly string[];
  /** How many of the keys must have signed. */
  readonly threshold: number;
  readonly tenant: string;
  /** Where the highest serial is kept. */
  readonly serialPath: string;
}

/**
 * @throws Refusal not_listed (there is no list), bad_signature, expired, rollback. ReeveError E_INVALID_INPUT_SCHEMA: a
 * key or the kept serial cannot be read.
 */
export async function loadAllowList(rules: LocalRules, nowMs: number): Promise<AllowList> {
  const { allowListPath, serialPath, tenant, threshold } = rules;
  const bytes = allowListPath === undefined ? undefined : await readIfThere(allowListPath);
  if (bytes === undefined) throw new Refusal('not_listed', 'there is no allow-list');
  const trusted = await loadTrust(rules.trustPaths);
  const serials = await readSerials(serialPath);
  const lastSerial = serials.get(tenant) ?? 0;
  const keys = trusted.map(({ publicKey }) => publicKey);
  const list = openAllowList(bytes, { keys, threshold, tenant, nowMs, lastSerial });
  if (list.serial > lastSerial) {
    const newer = Object.fromEntries(serials.set(tenant, list.serial));
    await writeTextAtomically(serialPath, `${JSON.stringify(newer)}\n`);
  }
  return list;
}

/** Keys with the names of their people; of a plain key its file's name. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function loadTrust(paths: readonly string[]): Promise<readonly TrustedKey[]> {
  const lists = await Promise.all(
    paths.map(async (path): Promise<readonly TrustedKey[]> => {
      const text = (await readIfThere(path))?.toString();
      if (text === undefined)
        throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the trusted key ${path} is not there`, { path });
      if (!isPublicKeyText(text) || text.trimStart().startsWith('{')) return trustFrom(text, path);
      return [
        { name: basename(path).replace(/\.(?:pub|pem|pem\.pub)$/, ''), publicKey: publicKeyFrom(text, path) },
      ];
    }),
  );
  return lists.flat();
}

/** The highest serial of each tenant. */
async function readSerials(path: string): Promise<Map<string, number>> {
  const text = (await readIfThere(path))?.toString();
  if (text === undefined) return new Map();
  try {
    const entries = Object.entries(JSON.parse(text) as Readonly<Record<string, number>>);
    if (entries.every(([, serial]) => Number.isSafeInteger(serial) && serial > 0)) return new Map(entries);
  } catch {}
  // To begin again at 0 would let an old list pass.
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} does not hold the last serials: it is damaged`, {
    path,
  });
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      { path },
      { cause: error },
    );
  }
}
