import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { ReeveError } from '../../model/errors.ts';
import { LATEST, LATEST_BREAKING, MIGRATIONS } from '../sql/migrations.ts';
import { statement, TEXTS, type Statement, type StatementName } from '../sql/statements.ts';
import { storeError } from './sqlite-errors.ts';

export type Values = Readonly<Record<string, string | number | null>>;

/** How long opening waits for a process that is just recovering, migrating or closing the file, milliseconds. */
const OPEN_BUSY_MS = 10_000;

export interface SqliteDatabaseOptions {
  /** How long SQLite itself waits for another writer, milliseconds; it blocks the event loop meanwhile. */
  readonly busyMs: number;
  /** `read` never writes, not even what SQLite needs to share the file; for folders that cannot be written. */
  readonly access?: 'write' | 'read';
}

interface Prepared {
  readonly statement: Database.Statement;
  readonly order: readonly string[];
}

/** An open SQLite file: prepared statements by name, migrations applied, errors translated. */
export class SqliteDatabase {
  readonly file: string;
  readonly raw: Database.Database;
  readonly #prepared = new Map<string, Prepared>();
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;

  /** @throws ReeveError E_STORE_UNAVAILABLE, E_STORE_BUSY, E_STORE_CORRUPT, E_STORE_NEWER (the file is then unchanged). */
  constructor(file: string, { busyMs, access = 'write' }: SqliteDatabaseOptions) {
    this.file = file;
    try {
      if (access === 'write' && !existsSync(file)) createDatabase(file);
      this.raw = openRaw(file, access);
    } catch (error) {
      throw storeError(error, file);
    }
    try {
      this.#refuseNewer();
      if (access === 'write') {
        this.raw.pragma('synchronous = FULL'); // I1: a commit is acknowledged after its sync
        prepareSchema(this.raw);
      }
      this.raw.pragma(`busy_timeout = ${Math.max(0, Math.floor(busyMs))}`);
      // Prepared: better-sqlite3's own transaction wrapper costs 3 µs more for each transaction.
      this.#begin = this.raw.prepare('begin immediate');
      this.#commit = this.raw.prepare('commit');
      this.#rollback = this.raw.prepare('rollback');
    } catch (error) {
      this.raw.close();
      throw storeError(error, file);
    }
  }

  run(name: StatementName, values: Values): Database.RunResult {
    const { statement: prepared, order } = this.#prepare(TEXTS[name]);
    return prepared.run(...order.map((key) => values[key] ?? null));
  }
  get(name: StatementName, values: Values): unknown {
    const { statement: prepared, order } = this.#prepare(TEXTS[name]);
    return prepared.get(...order.map((key) => values[key] ?? null));
  }
  all(name: StatementName, values: Values): unknown[] {
    const { statement: prepared, order } = this.#prepare(TEXTS[name]);
    return prepared.all(...order.map((key) => values[key] ?? null));
  }
  /** For a statement that is not worth keeping. */
  query(text: string, values: Values): unknown[] {
    const { sql, order } = statement(text);
    return this.raw.prepare(sql).all(...order.map((key) => values[key] ?? null));
  }

  /** One transaction that takes the write lock at once; all or nothing. */
  transaction<T>(work: () => T): T {
    this.#begin.run();
    try {
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      if (this.raw.inTransaction) this.#rollback.run();
      throw error;
    }
  }

  close(): void {
    this.raw.close();
  }

  #prepare(text: string): Prepared {
    let prepared = this.#prepared.get(text);
    if (prepared === undefined) {
      const { sql, order }: Statement = statement(text);
      prepared = { statement: this.raw.prepare(sql), order };
      this.#prepared.set(text, prepared);
    }
    return prepared;
  }

  #refuseNewer(): void {
    const { needs } = versionsOf(this.raw);
    if (needs <= LATEST) return;
    // The last one to close a file also tidies it up. A reader cannot: while it is open, we are not the last.
    const reader = new Database(this.file, { readonly: true });
    reader.pragma('user_version');
    this.raw.close();
    reader.close();
    throw new ReeveError(
      'E_STORE_NEWER',
      `the store needs a reeve that knows schema ${needs}; this one knows ${LATEST}`,
      { file: this.file, needs, knows: LATEST },
    );
  }
}

function openRaw(file: string, access: 'write' | 'read'): Database.Database {
  if (access === 'write') return new Database(file, { timeout: OPEN_BUSY_MS });
  const raw = new Database(file, { timeout: OPEN_BUSY_MS, readonly: true });
  try {
    raw.pragma('user_version');
    return raw;
  } catch (error) {
    raw.close();
    if (!/^SQLITE_(CANTOPEN|READONLY)/.test(String((error as { code?: unknown }).code))) throw error;
    return copyInMemory(file) ?? raise(error);
  }
}

/**
 * Even to read a file in WAL mode SQLite writes beside it, unless someone has it open already. Where it may not, and
 * nobody has, the file is whole by itself and is read from memory. (A URI with `immutable` would not need to; this
 * build of SQLite takes none.)
 */
function copyInMemory(file: string): Database.Database | undefined {
  const wal = `${file}-wal`;
  if (existsSync(wal)) return undefined;
  const bytes = readFileSync(file);
  if (existsSync(wal)) return undefined;
  bytes.fill(1, 18, 20); // the header's two marks of WAL mode
  return new Database(bytes, { readonly: true });
}

function raise(error: unknown): never {
  throw error;
}

/** `user_version` = least version a program must know × 1000 + the last migration applied. */
function versionsOf(raw: Database.Database): { needs: number; applied: number } {
  const stored = raw.pragma('user_version', { simple: true }) as number;
  return { needs: Math.floor(stored / 1000), applied: stored % 1000 };
}

/** Made aside and linked to its name whole: whoever finds the file finds the tables in it. */
function createDatabase(file: string): void {
  const aside = `${file}.new-${randomUUID()}`;
  try {
    closeSync(openSync(aside, 'wx', 0o600)); // what SQLite adds later has the same mode
    const raw = new Database(aside);
    try {
      prepareSchema(raw);
    } finally {
      raw.close();
    }
    try {
      linkSync(aside, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another process was first
    }
  } finally {
    for (const end of ['', '-wal', '-shm']) rmSync(aside + end, { force: true });
  }
  const folder = openSync(dirname(file), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function prepareSchema(raw: Database.Database): void {
  if (raw.pragma('journal_mode', { simple: true }) !== 'wal') raw.pragma('journal_mode = WAL');
  if (versionsOf(raw).applied >= LATEST) return;
  raw
    .transaction(() => {
      const { applied, needs } = versionsOf(raw); // read again under the lock: another process may have migrated
      for (const migration of MIGRATIONS.filter(({ number }) => number > applied)) {
        for (const text of migration.statements('sqlite')) raw.exec(text);
      }
      if (applied < LATEST) raw.pragma(`user_version = ${Math.max(needs, LATEST_BREAKING) * 1000 + LATEST}`);
    })
    .immediate();
}
