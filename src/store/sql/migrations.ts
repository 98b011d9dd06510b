/**
 * Numbered, forward only. A migration is never edited after a release: add the next one. `breaking` says that older
 * programs must not touch the store afterwards; the store then carries this number as its least reader.
 */
import { LEASED, PARKED } from './schema.ts';

type Dialect = 'sqlite' | 'postgres';

export interface Migration {
  readonly number: number;
  readonly breaking: boolean;
  statements(dialect: Dialect): readonly string[];
}

export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    breaking: true,
    statements(dialect) {
      // No foreign keys: checking them cost 6 µs a commit, and only one statement (removeRun) could break them.
      const isSqlite = dialect === 'sqlite';
      const big = isSqlite ? 'integer' : 'bigint';
      // Compared byte by byte, as SQLite does: what is sorted here does not depend on the database's locale.
      const text = isSqlite ? 'text' : 'text collate "C"';
      const identity = isSqlite ? 'integer primary key' : 'bigint generated always as identity primary key';
      // PostgreSQL writes a row anew for each update: with room in its page no index has to be touched.
      const updatedOften = isSqlite ? '' : ' with (fillfactor = 50)';
      return [
        `create table runs (
          no ${identity},
          id ${text} not null unique,
          tenant ${text} not null,
          name ${text} not null,
          queue ${text} not null,
          phase ${text} not null,
          hold ${text},
          version ${big} not null,
          hash text not null,
          created_ms ${big} not null,
          updated_ms ${big} not null,
          nodes integer not null,
          nodes_settled integer not null
        )${updatedOften}`,
        'create index runs_newest on runs (created_ms, no)',
        'create index runs_by_phase on runs (phase, created_ms, no)',
        // In order of arrival with an index beside it. Clustered by run and place (`without rowid`) every commit splits
        // pages between those of other runs: 3 times the bytes and a third more time for a batch of 32 runs.
        `create table events (
          run_no ${big} not null,
          seq ${big} not null,
          at_ms ${big} not null,
          type ${text} not null,
          body text not null,
          hash text not null,
          primary key (run_no, seq)
        )`,
        `create table snapshots (
          run_no ${big} primary key,
          version ${big} not null,
          body text not null
        )`,
        `create table work (
          run_no ${big} not null,
          node ${text} not null,
          queue ${text} not null,
          due_ms ${big} not null,
          state integer not null,
          epoch ${big} not null,
          worker ${text},
          lease_id ${text},
          primary key (run_no, node)
        )${isSqlite ? ' without rowid' : updatedOften}`,
        // For offered rows `due_ms` is when they may be claimed, for leased ones when the lease runs out.
        `create index work_due on work (queue, due_ms) where state <> ${PARKED}`,
        ...(isSqlite
          ? []
          : [
              // Beside SQLite blobs are files; here every process that shares the store must find them.
              `create table blobs (
                sha256 text collate "C" not null,
                part integer not null,
                bytes bytea not null,
                primary key (sha256, part)
              )`,
              // Which machine's records know how an effect stands.
              'create table places (effect_key text collate "C" primary key, place text not null)',
            ]),
      ];
    },
  },
  {
    number: 2,
    // Older programs read and write everything else, and the database itself forgets the aliases of a run they remove.
    breaking: false,
    statements(dialect) {
      const isSqlite = dialect === 'sqlite';
      const big = isSqlite ? 'integer' : 'bigint';
      // Compared byte by byte, as SQLite does, whatever the database's locale.
      const text = isSqlite ? 'text' : 'text collate "C"';
      return [
        `create table aliases (
          alias ${text} primary key,
          run_no ${big} not null references runs (no) on delete cascade
        )${isSqlite ? ' without rowid' : ''}`,
        'create index aliases_of_run on aliases (run_no)',
      ];
    },
  },
  {
    number: 3,
    breaking: false,
    statements() {
      // Who holds leases: few rows, however many runs wait.
      return [`create index work_held on work (queue, worker) where state = ${LEASED}`];
    },
  },
];

export const LATEST = MIGRATIONS.at(-1)?.number ?? 0;
/** The newest breaking migration: a store at least this far is unreadable to programs that do not know it. */
export const LATEST_BREAKING = MIGRATIONS.findLast((migration) => migration.breaking)?.number ?? 0;
