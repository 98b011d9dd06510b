/**
 * The SQLite file of a service that keeps its own documents, apart from the store of runs: WAL, `synchronous=FULL` (I1),
 * tables made on first use, errors in our words. Statements are prepared once by the caller.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { ReeveError } from '../../model/errors.ts';
import { storeError } from './sqlite-errors.ts';

export interface ServiceDatabaseOptions {
  /** Stands in the file: a file of another service, or of a newer program, is refused. */
  readonly format: { readonly application: number; readonly version: number };
  /** Makes the tables of an empty file. */
  readonly schema: string;
  /** `exclusive`: no other process may use the file meanwhile. */
  readonly sharing: 'shared' | 'exclusive';
  /** `lax`: the last commits may be lost with the power, and a commit waits for no disk. Default `strict` (I1). */
  readonly durability?: 'strict' | 'lax';
}

/** How long to wait for another process, milliseconds; whoever has a file alone keeps it. */
const BUSY_MS = { shared: 5000, exclusive: 1000 } as const;
const MEMORY = ':memory:';

export class ServiceDatabase {
  readonly file: string;
  readonly #raw: Database.Database;

  /**
   * @param file path, or `:memory:`; folders above it are made.
   * @throws ReeveError E_STORE_UNAVAILABLE, E_STORE_BUSY, E_STORE_CORRUPT, E_STORE_NEWER
   */
  constructor(file: string, { format, schema, sharing, durability = 'strict' }: ServiceDatabaseOptions) {
    this.file = file;
    try {
      if (file !== MEMORY) {
        mkdirSync(dirname(file), { recursive: true, mode: 0o750 });
        closeSync(openSync(file, 'a', 0o600)); // what SQLite adds later has the same mode
      }
      this.#raw = new Database(file, { timeout: BUSY_MS[sharing] });
    } catch (error) {
      throw storeError(error, file);
    }
    try {
      if (sharing === 'exclusive') this.#raw.pragma('locking_mode = EXCLUSIVE');
      this.#raw.pragma('journal_mode = WAL');
      this.#raw.pragma(`synchronous = ${durability === 'strict' ? 'FULL' : 'NORMAL'}`);
      this.#prepareTables(format, schema);
    } catch (error) {
      this.#raw.close();
      throw storeError(error, file);
    }
  }

  prepare<Values extends object | unknown[], Row = unknown>(
    text: string,
  ): Database.Statement<Values extends unknown[] ? Values : [Values], Row> {
    return this.#raw.prepare(text);
  }

  /** One transaction that takes the write lock at once; all or nothing. @throws ReeveError E_STORE_* */
  transaction<T>(work: () => T): T {
    try {
      return this.#raw.transaction(work).immediate();
    } catch (error) {
      throw storeError(error, this.file);
    }
  }

  /** Bytes that the database takes, also where they are not in the main file yet. */
  sizeBytes(): number {
    const pages = this.#raw.pragma('page_count', { simple: true }) as number;
    return pages * (this.#raw.pragma('page_size', { simple: true }) as number);
  }

  /** @throws whatever SQLite says when the file cannot be read. */
  probe(): void {
    this.#raw.prepare('select 1 from sqlite_schema').get();
  }

  close(): void {
    this.#raw.close();
  }

  #prepareTables({ application, version }: ServiceDatabaseOptions['format'], schema: string): void {
    this.#raw
      .transaction(() => {
        const found = this.#raw.pragma('user_version', { simple: true }) as number;
        const owner = this.#raw.pragma('application_id', { simple: true }) as number;
        if (found === 0 && owner === 0 && this.#isEmpty()) {
          this.#raw.exec(schema);
          this.#raw.pragma(`application_id = ${application}`);
          this.#raw.pragma(`user_version = ${version}`);
          return;
        }
        if (owner !== application)
          throw new ReeveError('E_STORE_UNAVAILABLE', `${this.file} is a database of something else`, {
            file: this.file,
          });
        if (found > version)
          throw new ReeveError('E_STORE_NEWER', `${this.file} was written by a newer reeve`, {
            file: this.file,
            needs: found,
            knows: version,
          });
      })
      .immediate();
  }

  #isEmpty(): boolean {
    return this.#raw.prepare('select 1 from sqlite_schema limit 1').get() === undefined;
  }
}

/**
 * The file that a database URL names: `sqlite:///./relative.sqlite`, `sqlite:////absolute.sqlite`, and `sqlite://` or
 * `sqlite:///:memory:` for none.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export function sqliteFileOf(url: string, cwd: string, variable: string): string {
  const parts = /^sqlite:\/\/(?:\/([^?#\0]*))?$/.exec(url.trim());
  if (parts === null) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${variable} must be a URL such as sqlite:///./runs/store.sqlite`, // its value may hold a password (I9)
      { variable },
    );
  }
  const [, path = ''] = parts;
  return path === '' || path === MEMORY ? MEMORY : resolve(cwd, path);
}
