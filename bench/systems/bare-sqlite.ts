// The lower bound of an embedded database: one row of 300 bytes in a transaction with its sync.
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sequences, type Place, type System } from './system.ts';

const TEXT = 'x'.repeat(280);

export function open({ dir }: Place): Promise<System> {
  const db = new Database(join(dir, 'bare.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('create table rows (id integer primary key, a integer, b integer, c text, d text) strict');
  const insert = db.prepare('insert into rows (a, b, c, d) values (?, ?, ?, ?)');
  return Promise.resolve({
    steps: (clients: number, each: number) =>
      sequences(clients, each, (client, n) => Promise.resolve(insert.run(client, n, 'row', TEXT))),
    close: () => Promise.resolve(void db.close()),
  });
}
