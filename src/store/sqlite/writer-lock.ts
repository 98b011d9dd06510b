import { closeSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';

/**
 * Who holds it is the writer. It is the exclusive lock on a SQLite file of its own: the kernel frees it when its
 * process dies, however it dies, and SQLite also keeps two holders in one process apart, which a plain lock file does
 * not. (Never open that file by other means in this process: closing it would drop the lock.)
 */
export class WriterLock {
  readonly #raw: Database.Database;

  /** @throws SqliteError or a system error where the file cannot be made. */
  constructor(file: string) {
    try {
      closeSync(openSync(file, 'wx', 0o600));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    this.#raw = new Database(file, { timeout: 0 });
  }

  tryAcquire(): boolean {
    try {
      // Nothing is ever written: no journal either.
      this.#raw.exec('pragma journal_mode = memory; begin exclusive');
      return true;
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (typeof code !== 'string' || !code.startsWith('SQLITE_BUSY')) throw error;
    }
    return false;
  }

  release(): void {
    this.#raw.close();
  }
}
