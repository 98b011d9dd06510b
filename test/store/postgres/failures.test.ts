// What breaks between a process and its database: connections, servers, other processes that stand still.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { RunHead, RunStore } from '../../../src/store/run-store.ts';
import { openPostgres } from '../../../src/store/postgres/open-postgres.ts';
import { parseStoreUrl } from '../../../src/store/store-address.ts';
import { commitOf, put } from '../../contracts/run-store.ts';
import { verifyChain } from '../../engine/lab.ts';
import { TcpProxy, type Break } from '../../support/tcp-proxy.ts';
import { describePostgres, PostgresRig } from './rig.ts';

/** Appends to a run until told to stop; says what was acknowledged. A clear failure is answered by trying again. */
class Writer {
  readonly acknowledged: string[] = [];
  readonly failures: string[] = [];
  readonly ended: Promise<void>;
  #stop = false;

  constructor(store: RunStore, runId: string) {
    this.ended = this.#write(store, runId);
  }

  stop(): Promise<void> {
    this.#stop = true;
    return this.ended;
  }

  async atLeast(count: number): Promise<void> {
    while (this.acknowledged.length < count) await new Promise(setImmediate);
  }

  async #write(store: RunStore, runId: string): Promise<void> {
    let head: RunHead | undefined;
    for (let n = 0; !this.#stop; n += 1) {
      const body = `{"by":"${runId}","n":${n}}`;
      try {
        head ??= await store.head(runId);
        const commit = commitOf(head ?? runId, { bodies: [body] });
        const [result] = await store.commit([commit]);
        if (result !== 'ok') throw new Error('nobody else writes this run');
        head = commit.head;
        this.acknowledged.push(body);
      } catch (error) {
        this.failures.push((error as { code?: string }).code ?? String(error));
        head = undefined;
      }
    }
  }
}

async function expectKept(store: RunStore, runId: string, { acknowledged }: Writer): Promise<void> {
  await verifyChain(store, runId);
  const bodies = (await store.events(runId, 0, 1e6)).map(({ body }) => body);
  expect(new Set(bodies).size, 'nothing is there twice').toBe(bodies.length);
  const kept = new Set(bodies);
  expect(
    acknowledged.filter((body) => !kept.has(body)),
    'what was acknowledged is there',
  ).toEqual([]);
}

describePostgres('failures', (server) => {
  describe('a connection that breaks', () => {
    const broken = async (what: Break, use: (store: RunStore, breakNext: () => void) => Promise<void>) => {
      const proxy = await TcpProxy.before(server().port);
      const { url } = server().address();
      const store = await openPostgres(parseStoreUrl(url.replace(`:${server().port}/`, `:${proxy.port}/`)));
      try {
        await store.runs.head('warm');
        await use(store.runs, () => proxy.breakNext(what));
        expect(proxy.breaks).toBeGreaterThan(0);
      } finally {
        await store.close();
        await proxy.close();
      }
    };

    test.each(['request', 'reply'] as const)('I1: before the %s: a commit is done, once', async (what) => {
      await broken(what, async (store, breakNext) => {
        breakNext();
        const head = await put(store, 'r', { work: [{ op: 'offer', node: 'n', dueMs: 1, parked: false }] });
        breakNext();
        const next = await put(store, head, { bodies: ['{"n":2}', '{"n":3}'] });
        breakNext();
        expect(await store.renew('r', 'n', 1, 5)).toBe(false);
        expect(await verifyChain(store, 'r')).toBe(3);
        breakNext();
        expect(await store.commit([commitOf(head), commitOf('other')])).toEqual(['conflict', 'ok']);
        breakNext();
        expect(await store.load('r')).toMatchObject({ head: next });
        breakNext();
        expect(await store.remove('r')).toBe(true);
        expect(await store.remove('r')).toBe(false);
      });
    });

    test('a lease is taken once, also when the answer is lost', async () => {
      await broken('reply', async (store, breakNext) => {
        const head = await put(store, 'r');
        const claim = {
          op: 'lease',
          node: 'n',
          worker: 'w',
          leaseId: 'l',
          nowMs: 100,
          untilMs: 200,
        } as const;
        breakNext();
        await put(store, head, { work: [{ ...claim, epoch: 1 }] });
        expect(await store.work('r')).toMatchObject([{ epoch: 1, untilMs: 200 }]);
      });
    });
  });

  test('I1: sessions that are killed again and again lose nothing that was acknowledged', async () => {
    const rig = new PostgresRig(server().address());
    const stores = [await rig.open(), await rig.open()];
    const writers = stores.flatMap(({ runs }, at) => [1, 2, 3].map((n) => new Writer(runs, `r${at}.${n}`)));
    for (let round = 0; round < 30; round += 1) {
      await writers[round % writers.length]!.atLeast(round + 1);
      await server().query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'reeve' and pid % 3 = $1`,
        [round % 3],
      );
    }
    await Promise.all(writers.map((writer) => writer.stop()));
    for (const [at, writer] of writers.entries()) {
      expect(writer.failures).toEqual([]);
      await expectKept(stores[0]!.runs, `r${Math.floor(at / 3)}.${(at % 3) + 1}`, writer);
    }
    await rig.close();
  });

  test.each(['SIGINT', 'SIGQUIT'] as const)(
    'I1: a server that is restarted under load (%s): calls wait for it',
    async (how) => {
      const rig = new PostgresRig(server().address());
      const { runs } = await rig.open();
      const writers = ['a', 'b', 'c', 'd'].map((id) => new Writer(runs, id));
      await Promise.all(writers.map((writer) => writer.atLeast(5)));
      await server().down(how);
      await server().up();
      const before = writers.map(({ acknowledged }) => acknowledged.length);
      await Promise.all(writers.map((writer, at) => writer.atLeast(before[at]! + 5)));
      await Promise.all(writers.map((writer) => writer.stop()));
      for (const [at, id] of ['a', 'b', 'c', 'd'].entries()) {
        expect(writers[at]!.failures.filter((code) => !code.startsWith('E_STORE_'))).toEqual([]);
        await expectKept(runs, id, writers[at]!);
      }
      await rig.close();
    },
  );

  test('a server that stays away: E_STORE_UNAVAILABLE, and all is well once it is back', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open({ busyMs: 200 });
    const head = await put(runs, 'r');
    await server().down('SIGINT');
    await expect(runs.commit([commitOf(head)])).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      details: { store: rig.address.shown },
    });
    await expect(runs.head('r')).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    await server().up();
    await put(runs, head);
    await rig.close();
  });

  test('who listens hears again after the server was away', async () => {
    const rig = new PostgresRig(server().address());
    const listening = (await rig.open({ pollMs: 1e9 })).runs;
    const other = (await rig.open()).runs;
    let heard = Promise.withResolvers<void>();
    listening.subscribe(() => heard.resolve());
    await heard.promise;
    await server().down('SIGQUIT');
    heard = Promise.withResolvers<void>();
    await server().up();
    await heard.promise; // it listens again
    heard = Promise.withResolvers<void>();
    await put(other, 'r');
    expect(await heard.promise).toBeUndefined();
    await rig.close();
  });

  test('a stopped process that holds locks stops others only until the server ends its transaction', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    const head = await put(runs, 'r');
    const holder = spawn(
      process.execPath,
      [fileURLToPath(new URL('holder.ts', import.meta.url)), rig.address.url, 'r', '1000'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      await once(holder.stdout, 'data');
      holder.kill('SIGSTOP');
      await expect(put(runs, head)).resolves.toMatchObject({ version: 2 });
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
      await rig.close();
    }
  });

  test('a lock that is held for too long is E_STORE_BUSY, and nothing was written', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open({ busyMs: 300, statementMs: 200 });
    const head = await put(runs, 'r');
    const holder = await server().client();
    await holder.query(`begin; select 1 from ${rig.address.schema}.runs for update`);
    await expect(runs.commit([commitOf(head)])).rejects.toMatchObject({ code: 'E_STORE_BUSY' });
    await holder.end();
    expect((await runs.head('r'))?.version).toBe(1);
    await rig.close();
  });
});
