// The lower bound of what Reeve stores: the rows of a step in the tables of its store, in the transactions that group commit
// makes of so many clients, and no engine. A step is two transactions: one adds it with its intent, one ends it.
import { join } from 'node:path';
import { LEASED } from '../../src/store/sql/schema.ts';
import { SqliteDatabase } from '../../src/store/sqlite/sqlite-database.ts';
import type { Place, System } from './system.ts';

const BODY = 'x'.repeat(260);
const COMMON = { tenant: 'bench', name: 'bench', queue: 'own', phase: 'running', hold: null } as const;

export function open({ dir }: Place): Promise<System> {
  const db = new SqliteDatabase(join(dir, 'bare.sqlite'), { busyMs: 0 });
  /** Of each run, by its number from 1: its last event. */
  let versions: number[] = [];
  let round = 0;
  const hashOf = (run: number, version: number): string => `${run}.${version}`.padStart(64, '0');

  const createRuns = (clients: number): number[] =>
    Array.from({ length: clients }, (_, client) => {
      const of = { version: 0, hash: hashOf(0, 0), nodes: 0, nodes_settled: 0, created_ms: 1, updated_ms: 1 };
      const id = `run-${round}-${client}`;
      return Number(db.run('createRun', { id, ...COMMON, ...of }).lastInsertRowid);
    });

  /** What a commit of so many events changes beside work rows. */
  const append = (run: number, events: number): void => {
    const expected = versions[run] ?? 0;
    const version = expected + events;
    db.run('moveRun', {
      no: run,
      hold: null,
      version,
      hash: hashOf(run, version),
      updated_ms: version,
      nodes: version,
      nodes_settled: version,
      expected,
      expected_hash: expected === 0 ? hashOf(0, 0) : hashOf(run, expected),
    });
    for (let seq = expected + 1; seq <= version; seq += 1)
      db.run('addEvent', {
        run_no: run,
        seq,
        at_ms: 1_800_000_000_000 + seq,
        type: 'attempt_started',
        body: BODY,
        hash: hashOf(run, seq),
      });
    versions[run] = version;
  };

  return Promise.resolve({
    steps(clients: number, each: number) {
      versions = [];
      round += 1;
      const runs = db.transaction(() => createRuns(clients));
      const times: number[] = [];
      for (let step = 0; step < each; step += 1) {
        const atMs = performance.now();
        const work = { queue: 'own', node: `${step}`, until: 1_800_000_600_000, epoch: 1, state: LEASED };
        db.transaction(() => {
          for (const run of runs) {
            append(run, 2);
            db.run('leaseWork', { ...work, run_no: run, worker: 'bench', lease_id: 'bench' });
          }
        });
        db.transaction(() => {
          for (const run of runs) {
            append(run, 1);
            db.run('dropWork', { run_no: run, node: `${step}` });
          }
        });
        for (const _ of runs) times.push(performance.now() - atMs);
      }
      return Promise.resolve(times);
    },
    close: () => Promise.resolve(db.close()),
  });
}
