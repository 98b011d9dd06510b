// A worker of the queue that is stopped past its lease, overtaken and woken up again, on both stores (I4, W15).
import { describe, expect } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { parseStoreUrl } from '../../src/store/store-address.ts';
import { ledger, test, type Home } from '../cli/rig.ts';
import { verifyChain } from '../engine/lab.ts';
import { PostgresServer, whyNoPostgres } from '../support/postgres.ts';

const UNTIL_GO = 'until [ -e go ]; do sleep 0.05; done';

/** @param url of a store in PostgreSQL */
async function overtake(home: Home, url?: string): Promise<void> {
  const env: Record<string, string> = url === undefined ? {} : { REEVE_STORE_URL: url };
  const status = (job: string) => home.json(['status', job], { env });
  const queue = async (job: string, steps: readonly object[]): Promise<void> => {
    const file = await home.spec(steps, { file: job });
    await home.json(['submit', file, '--job-id', job, '--queue'], { env });
  };
  await queue('j', [ledger('one'), ledger('two', `${UNTIL_GO}; echo end >> ledger`), ledger('three')]);
  const first = home.start(['work'], { env: { ...env, REEVE_LEASE_TTL_MS: '8000' } });
  await first.until('the second step', async () => (await home.lines('ledger')).includes('two'));
  first.kill('SIGSTOP');
  // Its lease is of ordinary length: a short one may run out on a busy machine, and be taken back.
  const second = home.start(['work'], { env });
  const isSeconds = async (): Promise<boolean> =>
    String((await status('j')).lease?.worker_id).startsWith(`work-${second.pid}`);
  await second.until('the takeover', isSeconds);
  first.kill('SIGCONT');
  // The second one has room for no other job, so this one shows that the first is awake, and past its lost lease.
  await queue('k', [ledger('other')]);
  await first.until('another job', async () => (await status('k')).status === 'completed');
  expect(await isSeconds()).toBe(true);
  await home.write('go', '');
  await second.until('the end', async () => (await status('j')).status === 'completed');
  expect((await home.lines('ledger')).toSorted()).toEqual(['end', 'one', 'other', 'three', 'two']);

  for (const worker of [first, second]) worker.kill('SIGTERM');
  await Promise.all([first.ended, second.ended]);
  const postgres = url === undefined ? undefined : parseStoreUrl(url);
  const store = await openStore(home.store, { create: false, postgres });
  try {
    await verifyChain(store.runs, 'j');
    const bodies = (await store.runs.events('j', 0, 1000)).map(({ body }) => body);
    const taken = bodies.findIndex(
      (body) => body.includes(`work-${second.pid}`) && body.includes('node_assigned'),
    );
    expect(taken).toBeGreaterThan(0);
    const after = bodies.slice(taken).join('\n');
    expect(after).not.toContain(`work-${first.pid}`);
    expect(after).not.toMatch(/"epoch":1\b/);
  } finally {
    await store.close();
  }
}

const missing = await whyNoPostgres();

// Each waits for a lease to run out: they can wait together.
describe.concurrent('I4 W15: a worker that sleeps past its lease writes nothing more of that job, and works on', () => {
  test('on SQLite', ({ home }) => overtake(home));
  test('on PostgreSQL', async ({ home, skip }) => {
    if (missing !== undefined) skip(missing);
    const server = await PostgresServer.start();
    try {
      await overtake(home, server.url('frozen'));
    } finally {
      await server.close();
    }
  });
});
