/** Where a store is: a directory of this machine, or a PostgreSQL database. Loads no driver. */
import { ReeveError } from '../model/errors.ts';

export interface PostgresAddress {
  /** As it was given, for a process of ours. It may hold a password: never print or store it. */
  readonly url: string;
  /** What the driver understands of it. The same holds. */
  readonly connectionString: string;
  /** Holds the tables; made on first use. */
  readonly schema: string;
  /** Most connections of one process. */
  readonly pool: number;
  /** For people and messages: without the password. */
  readonly shown: string;
  /** A name for files of this machine that belong to this store: host, port, database and schema. */
  readonly key: string;
}

const SCHEMA_DEFAULT = 'reeve';
const POOL_DEFAULT = 8;
/** What a URL may say beside our own `schema` and `pool`; the driver would quietly ignore a misspelt one. */
const DRIVER_PARAMETERS: readonly string[] = ['host', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'];
/** An encrypted connection that does not know whom it talks to protects little: only `no-verify` asks for that. */
const SSL_MODES: Readonly<Record<string, string>> = {
  disable: 'disable',
  require: 'verify-full',
  'verify-ca': 'verify-full',
  'verify-full': 'verify-full',
  'no-verify': 'no-verify',
};

/** Whether a text names a database. Everything with a scheme does: a URL is never the name of a directory. */
export function isStoreUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

/**
 * Reads `postgres://[user[:password]@][host][:port]/database[?schema=…&pool=…&sslmode=…]`.
 * @param field what named the URL, for messages.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA; its message never holds the URL, which may hold a password.
 */
export function parseStoreUrl(text: string, field = 'store'): PostgresAddress {
  const refuse = (problem: string, details: Record<string, unknown> = {}): never => {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the URL of the store ${problem}`, { field, ...details });
  };
  if (text.includes('\0')) return refuse('holds a NUL character');
  const scheme = text.slice(0, text.indexOf(':')).toLowerCase();
  if (scheme !== 'postgres' && scheme !== 'postgresql')
    return refuse(`has the scheme '${scheme}', not postgres`, { scheme });
  if (!URL.canParse(text)) return refuse('cannot be read; special characters in a password need %-escapes');
  const url = new URL(text);
  const { searchParams } = url;
  for (const name of searchParams.keys()) {
    if (name !== 'schema' && name !== 'pool' && !DRIVER_PARAMETERS.includes(name))
      return refuse(`has a parameter '${name}' that is not known`, { parameter: name });
  }
  const schema = searchParams.get('schema') ?? SCHEMA_DEFAULT;
  // Plain names need no quoting anywhere, and leave room for what is derived from them.
  if (!/^[a-z_][a-z0-9_]{0,47}$/.test(schema) || schema.startsWith('pg_'))
    return refuse('names a schema that is not 1 to 48 of a-z 0-9 _, without pg_ before it', { schema });
  const pool = Number(searchParams.get('pool') ?? POOL_DEFAULT);
  if (!Number.isInteger(pool) || pool < 2 || pool > 100)
    return refuse('has a pool that is not a number from 2 to 100', { pool: searchParams.get('pool') });
  const sslmode = searchParams.get('sslmode');
  if (sslmode !== null && SSL_MODES[sslmode] === undefined)
    return refuse(`has an sslmode that is not one of ${Object.keys(SSL_MODES).join(', ')}`, { sslmode });
  const database = url.pathname.replace(/^\//, '');
  if (database === '' || database.includes('/')) return refuse('names no database');
  if (sslmode !== null) searchParams.set('sslmode', SSL_MODES[sslmode] ?? sslmode);
  searchParams.delete('schema');
  searchParams.delete('pool');
  const host = searchParams.get('host') ?? (url.hostname || 'localhost');
  const port = url.port || '5432';
  const user = url.username === '' ? '' : `${url.username}@`;
  return {
    url: text,
    connectionString: url.href,
    schema,
    pool,
    shown: `postgres://${user}${host}:${port}/${database}?schema=${schema}`,
    key: `${host}-${port}-${database}-${schema}`.replaceAll(/[^A-Za-z0-9._-]+/g, '_').replace(/^\.+/, '_'),
  };
}
