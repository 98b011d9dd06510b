/** One server for a test file, and a store of its own for each test. */
import { afterAll, beforeAll, describe } from 'vitest';
import {
  openPostgres,
  type OpenPostgresOptions,
  type PostgresStore,
} from '../../../src/store/postgres/open-postgres.ts';
import type { PostgresAddress } from '../../../src/store/store-address.ts';
import { PostgresServer, whyNoPostgres } from '../../support/postgres.ts';

const missing = await whyNoPostgres();
if (missing !== undefined) process.stderr.write(`SKIPPED: tests on PostgreSQL cannot run here: ${missing}\n`);

/** Tests that need a server; skipped, and said so, only where none can run at all. */
export function describePostgres(
  name: string,
  tests: (server: () => PostgresServer) => void,
  settings: Readonly<Record<string, string>> = {},
): void {
  // oxlint-disable-next-line vitest/valid-title -- each file gives its own
  describe.skipIf(missing !== undefined)(name, () => {
    let server: PostgresServer | undefined;
    beforeAll(async () => {
      server = await PostgresServer.start(settings);
    }, 120_000);
    afterAll(() => server?.close());
    tests(() => {
      if (server === undefined) throw new Error('the server is not up');
      return server;
    });
  });
}

export class PostgresRig {
  readonly address: PostgresAddress;
  readonly #opened: PostgresStore[] = [];

  constructor(address: PostgresAddress) {
    this.address = address;
  }

  async open(options: OpenPostgresOptions = {}): Promise<PostgresStore> {
    const store = await openPostgres(this.address, options);
    this.#opened.push(store);
    return store;
  }

  async close(): Promise<void> {
    for (const store of this.#opened) await store.close();
  }
}
