// The lower bound of the database server: one row of 300 bytes in a transaction with its sync, from a connection for each client.
import pg from 'pg';
import { sequences, type Place, type System } from './system.ts';

const TEXT = 'x'.repeat(280);

export async function open({ postgres, clientsMax }: Place): Promise<System> {
  const connections = await Promise.all(
    Array.from({ length: clientsMax }, async () => {
      const client = new pg.Client({ connectionString: postgres });
      await client.connect();
      return client;
    }),
  );
  await connections[0]?.query(
    'create table bare (id bigint generated always as identity, a int, b int, c text, d text)',
  );
  return {
    steps: (clients: number, each: number) =>
      sequences(clients, each, async (client, n) =>
        connections[client]?.query({
          name: 'insert',
          text: 'insert into bare (a, b, c, d) values ($1, $2, $3, $4)',
          values: [client, n, 'row', TEXT],
        }),
      ),
    close: async () => {
      await Promise.all(connections.map((connection) => connection.end()));
    },
  };
}
