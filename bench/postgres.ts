// Durable steps on PostgreSQL, in process, beside bare inserts on the same server in the same run. The server is the one
// of the tests (or of REEVE_TEST_POSTGRES), with its files in the folder for temporary ones. Sync is on.
import { parseArgs } from 'node:util';
import type { Client } from 'pg';
import { openPostgres } from '../src/store/postgres/open-postgres.ts';
import { PostgresServer } from '../test/support/postgres.ts';
import { durableSteps, Table, type Result } from './durable-steps.ts';
import { machine } from './measure.ts';
import { publish } from './page.ts';

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    steps: { type: 'string', default: '2000' },
    write: { type: 'boolean', default: false },
  },
});
const STEPS = Number(flags.steps);

/** One row in one transaction, from so many connections. */
async function bareInserts(connections: readonly Client[]): Promise<Result> {
  const latencies: number[] = [];
  const text = 'x'.repeat(280);
  const each = Math.ceil((STEPS * Math.min(connections.length, 8)) / connections.length);
  const begun = performance.now();
  await Promise.all(
    connections.map(async (connection) => {
      for (let n = 0; n < each; n += 1) {
        const before = performance.now();
        await connection.query({
          name: 'insert',
          text: 'insert into bare (a, b, c, d) values ($1, $2, $3, $4)',
          values: [n, n, 'row', text],
        });
        latencies.push(performance.now() - before);
      }
    }),
  );
  const perSecond = latencies.length / ((performance.now() - begun) / 1000);
  return { latencies: latencies.toSorted((a, b) => a - b), perSecond };
}

const clientsText = (count: number): string => `${count} client${count === 1 ? '' : 's'}`;
const table = new Table();
const server = await PostgresServer.start();
try {
  await server.query(
    'create table bare (id bigint generated always as identity, a int, b int, c text, d text)',
  );
  for (let n = 0; n < Number(flags.repetitions); n += 1) {
    for (const clients of [1, 8, 32]) {
      const connections = await Promise.all(Array.from({ length: clients }, () => server.client()));
      table.note(`bare insert, ${clientsText(clients)}, as many connections`, await bareInserts(connections));
      await Promise.all(connections.map((connection) => connection.end()));
    }
    for (const clients of [1, 8, 32]) {
      const store = await openPostgres(server.address());
      table.note(`durable step, ${clientsText(clients)}`, await durableSteps(store, clients, STEPS));
      await store.close();
    }
    process.stderr.write(`repetition ${n + 1} of ${flags.repetitions}\n`);
  }
  const [version] = await server.query<{ server_version: string }>('show server_version');
  publish(
    'postgres',
    `${machine()}; PostgreSQL ${version?.server_version} on the same machine; ${flags.repetitions} repetitions, interleaved; median (least–most).\n\n${table.text()}\n`,
    flags.write,
  );
} finally {
  await server.close();
}
