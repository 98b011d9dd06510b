// What the contract of run stores does not reach: many conflicts in one batch, texts, and who waits for whom.
import { expect, test } from 'vitest';
import type { Commit, RunHead } from '../../../src/store/run-store.ts';
import { commitOf, put } from '../../contracts/run-store.ts';
import { verifyChain } from '../../engine/lab.ts';
import { describePostgres, PostgresRig } from './rig.ts';

describePostgres('commits to PostgreSQL', (server) => {
  test('of a batch of 512 commits those that conflict are left out whole, and the others are written', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    const other = (await rig.open()).runs;
    const heads: RunHead[] = [];
    for (let n = 0; n < 512; n += 1) heads.push(commitOf(`r${n}`).head);
    await runs.commit(heads.map(({ id }) => commitOf(id)));
    const isMoved = (n: number): boolean => n % 7 === 0;
    await other.commit(
      heads.filter((_, n) => isMoved(n)).map((head) => commitOf(head, { bodies: ['{"by":"other"}'] })),
    );
    const batch = heads.map(
      (head, n): Commit =>
        commitOf(head, {
          bodies: [`{"n":${n}}`, '{}'],
          work: [{ op: 'offer', node: 'n', dueMs: 1, parked: false }],
          snapshot: `s${n}`,
        }),
    );
    const results = await runs.commit(batch);
    expect(results).toEqual(heads.map((_, n) => (isMoved(n) ? 'conflict' : 'ok')));
    for (const [n, { id }] of heads.entries()) {
      const loaded = await other.load(id);
      expect(loaded?.head.version).toBe(isMoved(n) ? 2 : 3);
      expect(loaded?.snapshot?.body).toBe(isMoved(n) ? undefined : `s${n}`);
      expect(await other.work(id)).toHaveLength(isMoved(n) ? 0 : 1);
    }
    await rig.close();
  });

  test('a lone surrogate becomes U+FFFD, wherever it is', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    const [bad, good] = ['a\ud800b', 'a\ufffdb'];
    await put(runs, bad, {
      bodies: [`{"raw":"${bad}","escaped":"\\ud800"}`],
      types: [bad],
      snapshot: bad,
      head: { name: bad, tenant: bad, queue: bad },
      work: [{ op: 'lease', node: bad, worker: bad, leaseId: bad, epoch: 1, nowMs: 0, untilMs: 9 }],
    });
    expect(await runs.load(bad)).toMatchObject({
      head: { id: good, name: good, tenant: good, queue: good },
      snapshot: { body: good },
    });
    expect(await runs.events(good, 0, 9)).toMatchObject([
      { type: good, body: `{"raw":"${good}","escaped":"\\ud800"}` },
    ]);
    expect(await runs.work(good)).toMatchObject([{ node: good, worker: good, leaseId: good, queue: good }]);
    await rig.close();
  });

  test('I4: a renewal that is on its way keeps the lease from being taken', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    const lease = { op: 'lease', node: 'n', worker: 'w', leaseId: 'l' } as const;
    const head = await put(runs, 'r', { work: [{ ...lease, epoch: 1, nowMs: 0, untilMs: 100 }] });
    const renewal = await server().client();
    await renewal.query(`begin; update ${rig.address.schema}.work set due_ms = 300`);
    const taking = runs.commit([
      commitOf(head, { work: [{ ...lease, epoch: 2, nowMs: 200, untilMs: 400 }] }),
    ]);
    const waits = async (): Promise<boolean> =>
      (await server().query(`select 1 from pg_stat_activity where wait_event_type = 'Lock'`)).length > 0;
    while (!(await waits())) await new Promise(setImmediate);
    await renewal.query('commit');
    await renewal.end();
    expect(await taking).toEqual(['conflict']);
    expect(await runs.work('r')).toMatchObject([{ epoch: 1, untilMs: 300 }]);
    await rig.close();
  });

  test('batches of the same runs in any order wait for each other and never in a circle', async () => {
    const rig = new PostgresRig(server().address());
    const stores = await Promise.all([1, 2, 3, 4].map(async () => (await rig.open()).runs));
    const ids = Array.from({ length: 20 }, (_, n) => `r${n}`);
    await stores[0]!.commit(ids.map((id) => commitOf(id)));
    const deadlocks = async (): Promise<number> => {
      const [row] = await server().query<{ n: string }>(
        'select deadlocks as n from pg_stat_database where datname = current_database()',
      );
      return Number(row?.n);
    };
    const before = await deadlocks();
    await Promise.all(
      stores.map(async (store, at) => {
        for (let round = 0; round < 20; round += 1) {
          const order = ids.toSorted(
            (a, b) =>
              ((Number(a.slice(1)) * (at + 3) + round) % 20) - ((Number(b.slice(1)) * (at + 3) + round) % 20),
          );
          const heads = await Promise.all(order.map((id) => store.head(id)));
          await store.commit([
            ...heads.map((head) => commitOf(head!, { bodies: [`{"by":${at},"round":${round}}`] })),
            ...order.map((id) => commitOf(`new-${round}-${id}`)),
          ]);
        }
      }),
    );
    expect(await deadlocks()).toBe(before);
    for (const id of ids) expect(await verifyChain(stores[0]!, id)).toBeGreaterThan(10);
    await rig.close();
  });

  test('a very big batch goes in pieces and is still all or nothing', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    const big = 'x'.repeat(6 * 1024 * 1024);
    const head = await put(runs, 'c');
    const commits = ['a', 'b', 'c', 'd', 'e'].map((id) => commitOf(id, { bodies: [`"${big}"`] }));
    expect(await runs.commit(commits)).toEqual(['ok', 'ok', 'conflict', 'ok', 'ok']);
    expect(await runs.head('c')).toEqual(head);
    expect((await runs.events('e', 0, 1))[0]?.body).toHaveLength(big.length + 2);
    await rig.close();
  }, 60_000);

  test('rows without their run are found', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    await put(runs, 'r', { bodies: ['{"n":1}', '{"n":2}'] });
    expect(await runs.integrity()).toEqual([]);
    await server().query(`delete from ${rig.address.schema}.runs`);
    expect(await runs.integrity()).toEqual(['2 rows of events belong to no run']);
    await rig.close();
  });
});
