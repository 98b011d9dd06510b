/** A process that has locked a run and does nothing. */
import { writeSync } from 'node:fs';
import { Connections } from '../../../src/store/postgres/connections.ts';
import { parseStoreUrl } from '../../../src/store/store-address.ts';

const [url = '', runId = '', idleInTransactionMs = ''] = process.argv.slice(2);
const connections = new Connections(parseStoreUrl(url), { idleInTransactionMs: Number(idleInTransactionMs) });
await connections.use((session) =>
  session.transaction(async () => {
    await session.query('select 1 from runs where id = :id for update', { id: runId });
    writeSync(1, 'holding\n');
    await new Promise(() => setInterval(() => {}, 1000));
  }),
);
