import { ReeveError, type ErrorCode } from '../../model/errors.ts';

/**
 * What a failure of PostgreSQL calls for.
 *
 * - `gone`: the connection is lost. Whether the last statement took effect is not known.
 * - `undone`: the transaction was rolled back and may be tried again: a deadlock, a lock that others held too long.
 * - `final`: trying again gives the same.
 */
export interface Failure {
  readonly kind: 'gone' | 'undone' | 'final';
  readonly error: unknown;
}

/** By SQLSTATE or error number of the system; longer prefixes first. */
const MEANINGS: readonly (readonly [prefix: string, Failure['kind'], ErrorCode, string])[] = [
  ['40', 'undone', 'E_STORE_BUSY', 'the store is busy'],
  ['55P03', 'undone', 'E_STORE_BUSY', 'the store is busy'],
  ['57014', 'undone', 'E_STORE_BUSY', 'the store took too long'],
  ['53300', 'gone', 'E_STORE_BUSY', 'the database server takes no more connections'],
  ['53100', 'final', 'E_STORE_FULL', 'the disk of the database server is full'],
  ['53', 'undone', 'E_STORE_UNAVAILABLE', 'the database server is out of resources'],
  ['57', 'gone', 'E_STORE_UNAVAILABLE', 'the database server is shutting down or starting'],
  ['25P03', 'gone', 'E_STORE_BUSY', 'the store took too long'],
  ['25006', 'final', 'E_STORE_UNAVAILABLE', 'the store can be read but not written'],
  ['08', 'gone', 'E_STORE_UNAVAILABLE', 'the database server cannot be reached'],
  // A prepared statement that does not fit tables changed meanwhile: a fresh connection prepares it anew.
  ['0A000', 'gone', 'E_STORE_UNAVAILABLE', 'the store cannot be used'],
  ['26000', 'gone', 'E_STORE_UNAVAILABLE', 'the store cannot be used'],
  ['28', 'final', 'E_STORE_UNAVAILABLE', 'the database server refuses this user'],
  ['3D000', 'final', 'E_STORE_UNAVAILABLE', 'there is no such database'],
  ['3F000', 'final', 'E_STORE_UNAVAILABLE', 'the tables of the store are not there'],
  ['42501', 'final', 'E_STORE_UNAVAILABLE', 'this user may not do that in the database'],
  ['42P01', 'final', 'E_STORE_UNAVAILABLE', 'the tables of the store are not there'],
  ['42P07', 'final', 'E_STORE_UNAVAILABLE', 'the schema holds tables of something else'],
  ['42883', 'final', 'E_STORE_UNAVAILABLE', 'the functions of the store are not there'],
  ['22021', 'final', 'E_INVALID_INPUT_SCHEMA', 'a text contains a NUL character'],
  ['54000', 'final', 'E_INVALID_INPUT_SCHEMA', 'a text is too long to be looked up'],
  ['58', 'undone', 'E_STORE_UNAVAILABLE', 'the database server has trouble with its disk'],
  ['XX', 'final', 'E_STORE_CORRUPT', 'the store is damaged'],
  ['ENOTFOUND', 'final', 'E_STORE_UNAVAILABLE', 'the host of the database is not known'],
  ['ENOENT', 'gone', 'E_STORE_UNAVAILABLE', 'the database server cannot be reached'],
  ['EACCES', 'final', 'E_STORE_UNAVAILABLE', 'the database server cannot be reached'],
  ['E', 'gone', 'E_STORE_UNAVAILABLE', 'the database server cannot be reached'],
];

/** The driver's words where it gives no code: the connection went away, or none came in time. */
const LOST = /connection|timeout|timed out|not queryable|SSL/i;

/** What a failure means to the user of a store. Anything unexpected stays what it is: a defect. */
export function failureOf(cause: unknown, shown: string): Failure {
  if (cause instanceof ReeveError) return { kind: 'final', error: cause };
  const told = firstOf(cause);
  if (!(told instanceof Error)) return { kind: 'final', error: cause };
  const code = codeOf(told);
  const say = (name: ErrorCode, what: string): ReeveError =>
    new ReeveError(
      name,
      `${what}: ${told.message}`,
      { store: shown, ...(code === undefined ? {} : { cause: code }) },
      { cause: told },
    );
  const [, kind, name, what] = MEANINGS.find(([prefix]) => code?.startsWith(prefix) === true) ?? [];
  if (kind !== undefined) return { kind, error: say(name ?? 'E_STORE_UNAVAILABLE', what ?? '') };
  if (code === undefined && LOST.test(told.message))
    return { kind: 'gone', error: say('E_STORE_UNAVAILABLE', 'the database server cannot be reached') };
  return { kind: 'final', error: told };
}

/** A host with several addresses fails with one error for each. */
function firstOf(cause: unknown): unknown {
  return cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause;
}

function codeOf(error: Error): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}
