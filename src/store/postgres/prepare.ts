/** Makes a database ready: checks what I1 and the texts rely on, applies migrations, and refuses what is too new. */
import { ReeveError } from '../../model/errors.ts';
import { LATEST, LATEST_BREAKING, MIGRATIONS } from '../sql/migrations.ts';
import { COMMIT_FUNCTION, CREATE_COMMIT_FUNCTION } from './commit-function.ts';
import type { Connections, Patience, Session } from './connections.ts';

/** How long opening is tried again while the server starts or others migrate, milliseconds. */
const OPEN_MS = 5000;
const OLDEST_SERVER = 140_000;

interface Server {
  readonly version: number;
  readonly encoding: string;
  readonly fsync: string;
  readonly commits: string;
  readonly is_read_only: boolean;
  readonly has_schema: boolean;
  readonly has_store: boolean;
  readonly has_function: boolean;
}

/**
 * Any number of processes may do this at once: one makes what is missing, under a lock, and the others find it.
 * @param patience by default 5 s, without a word.
 * @param create makes the schema and its tables when there are none; otherwise that is E_STORE_UNAVAILABLE.
 * @throws ReeveError E_STORE_UNAVAILABLE, E_STORE_BUSY, E_STORE_NEWER (nothing was changed then).
 */
export async function prepareDatabase(
  connections: Connections,
  create: boolean,
  patience: Patience = {},
): Promise<void> {
  await connections.use(
    async (session) => {
      const server = await look(session, connections);
      check(server, connections);
      const applied = server.has_store ? await appliedOf(session, connections) : 0;
      const isReady = applied >= LATEST && server.has_function;
      if (isReady || (server.is_read_only && applied > 0)) return;
      const { shown, schema } = connections.address;
      if (applied === 0 && !create)
        throw new ReeveError('E_STORE_UNAVAILABLE', `there is no store at ${shown}`, { store: shown });
      await session.transaction(() => migrate(session, connections, schema));
    },
    { busyMs: OPEN_MS, ...patience },
  );
}

/** Reads the catalogue itself: `to_regclass` and the like answer from a cache that a wait for a lock does not renew. */
async function look(session: Session, { address: { schema } }: Connections): Promise<Server> {
  const [server] = await session.query<Server>(
    `select current_setting('server_version_num')::int as version,
      current_setting('server_encoding') as encoding,
      current_setting('fsync') as fsync,
      current_setting('synchronous_commit') as commits,
      pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as is_read_only,
      exists (select from pg_namespace where nspname = :schema) as has_schema,
      exists (select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = :schema and relname = 'store') as has_store,
      exists (select from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
        where nspname = :schema and proname = :function) as has_function`,
    { schema, function: COMMIT_FUNCTION },
  );
  if (server === undefined) throw new TypeError('the server answered without a row');
  return server;
}

function check({ version, encoding, fsync, commits }: Server, { address: { shown } }: Connections): void {
  const refuse = (what: string, details: Record<string, unknown>): never => {
    throw new ReeveError('E_STORE_UNAVAILABLE', what, { store: shown, ...details });
  };
  if (version < OLDEST_SERVER)
    refuse(`PostgreSQL 14 or newer is needed, not ${Math.floor(version / 10_000)}`, { version });
  if (encoding !== 'UTF8') refuse(`the database is encoded in ${encoding}, not UTF8`, { encoding });
  // I1: with these a commit that was acknowledged can be lost with the power.
  if (fsync !== 'on') refuse('the server runs with fsync off: what it acknowledges could be lost', { fsync });
  if (commits === 'off')
    refuse('synchronous_commit is off for this user or database: what it acknowledges could be lost', {
      synchronous_commit: commits,
    });
}

async function appliedOf(session: Session, { address: { shown } }: Connections): Promise<number> {
  const [row] = await session.query<{ needs: number; applied: number }>('select needs, applied from store');
  const { needs = 0, applied = 0 } = row ?? {};
  if (needs <= LATEST) return applied;
  throw new ReeveError(
    'E_STORE_NEWER',
    `the store needs a reeve that knows schema ${needs}; this one knows ${LATEST}`,
    { store: shown, needs, knows: LATEST },
  );
}

/** Looks again under the lock: another process may have been faster. */
async function migrate(session: Session, connections: Connections, schema: string): Promise<void> {
  await session.query('select pg_advisory_xact_lock(hashtextextended(:name, 0))', {
    name: `reeve.store.${schema}`,
  });
  const { has_schema, has_store } = await look(session, connections);
  // Not `if not exists`: that asks for the right to make schemas also where there is one.
  if (!has_schema) await session.query(`create schema "${schema}"`);
  if (!has_store) {
    await session.query(
      'create table store (is_one boolean primary key default true check (is_one), needs int not null, applied int not null)',
    );
    await session.query('insert into store (needs, applied) values (0, 0)');
  }
  const applied = await appliedOf(session, connections);
  for (const migration of MIGRATIONS.filter(({ number }) => number > applied)) {
    for (const text of migration.statements('postgres')) await session.query(text);
  }
  if (applied < LATEST) {
    await session.query('update store set needs = greatest(needs, :needs::int), applied = :applied::int', {
      needs: LATEST_BREAKING,
      applied: LATEST,
    });
  }
  await session.query(CREATE_COMMIT_FUNCTION);
}
