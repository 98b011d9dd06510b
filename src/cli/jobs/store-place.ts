/** Which store a command is about. */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import { isStoreUrl, parseStoreUrl, type PostgresAddress } from '../../store/store-address.ts';
import type { CliContext, Program } from '../command.ts';

export interface StorePlace {
  /** Its directory; of a store in PostgreSQL what belongs to this machine. */
  readonly storeRoot: string;
  readonly postgres?: PostgresAddress;
}

/**
 * `--store`, then REEVE_STORE_URL, then REEVE_HOME, then the program's own place in the home directory. A store in
 * PostgreSQL has its files of this machine below the latter two, apart from those of every other store.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export function storePlaceOf(
  program: Program,
  store: string | undefined,
  env: CliContext['env'],
  cwd: string,
): StorePlace {
  const isUrl = store !== undefined && isStoreUrl(store);
  const url = isUrl ? store : store === undefined ? env['REEVE_STORE_URL'] || undefined : undefined;
  const given = (isUrl ? undefined : store) ?? (env['REEVE_HOME'] || undefined);
  const home = given === undefined ? ownHome(program, env) : directoryOf(given, cwd);
  if (url === undefined) return { storeRoot: home };
  const postgres = parseStoreUrl(url, isUrl ? 'store' : 'REEVE_STORE_URL');
  return { storeRoot: join(home, 'postgres', postgres.key), postgres };
}

function directoryOf(given: string, cwd: string): string {
  const refuse = (message: string, value: string): never => {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', message, { field: 'store', value });
  };
  if (given.trim() === '' || given.includes('\0')) return refuse('the store needs a path', given);
  // Its text may hold a password.
  if (isStoreUrl(given))
    return refuse('REEVE_HOME names a directory; a URL goes into REEVE_STORE_URL', 'a URL');
  return isAbsolute(given) ? given : resolve(cwd, given);
}

function ownHome(program: Program, env: CliContext['env']): string {
  return join(env['HOME'] || homedir(), program === 'reeve' ? '.reeve' : '.wrkr');
}
