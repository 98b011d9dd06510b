/** Real processes and kill -9: what was acknowledged is there, once, and the file is sound (I1). */
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunStore } from '../../src/store/run-store.ts';
import { SharedRunStore } from '../../src/store/sqlite/shared-run-store.ts';
import { SqliteRunStore } from '../../src/store/sqlite/sqlite-run-store.ts';
import { openStore } from '../../src/store/open-store.ts';
import { commitOf, put } from '../contracts/run-store.ts';
import { Child } from './children.ts';
import { mountMemory, remount, unmount } from './mounts.ts';
import { StoreRig } from './rig.ts';

const rigs: StoreRig[] = [];
const children: Child[] = [];
const openRig = async (): Promise<StoreRig> => {
  const rig = await StoreRig.open();
  rigs.push(rig);
  return rig;
};
const child = (...task: ConstructorParameters<typeof Child>): Child => {
  const fresh = new Child(...task);
  children.push(fresh);
  return fresh;
};
afterEach(async () => {
  for (const one of children.splice(0)) await one.kill();
  for (const rig of rigs.splice(0)) await rig.close();
});

async function texts(store: RunStore, runId: string): Promise<string[]> {
  const events = await store.events(runId, 0, 100_000);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
  return events.map(({ body }) => (JSON.parse(body) as { text: string }).text);
}

describe('kill -9', () => {
  test('in the middle of commits: batches are whole or not there, all acknowledged ones are', async () => {
    const rig = await openRig();
    for (let round = 0; round < 12; round += 1) {
      const writer = child({ root: rig.root, kind: 'plain-batches', by: `k${round}`, count: 1e6 });
      // At another place of its work each time: after so many acknowledged batches, and on.
      await writer.said(3 + round * 17);
      await writer.kill();
      const store = new SqliteRunStore(join(rig.root, 'reeve.sqlite'));
      expect(await store.integrity()).toEqual([]);
      const acknowledged = writer.wrote.length;
      for (let n = 0; n <= acknowledged + 1; n += 1) {
        const heads = await Promise.all([0, 1, 2, 3].map((at) => store.head(`k${round}.${n}.${at}`)));
        const there = heads.filter((head) => head !== undefined).length;
        expect([0, 4]).toContain(there);
        if (n < acknowledged) expect(there).toBe(4);
        if (n === acknowledged + 1) expect(there).toBe(0);
      }
      await store.close();
    }
  });

  test('of the writer, again and again: what every other one wrote is there exactly once, in its order', async () => {
    const rig = await openRig();
    const first = child({ root: rig.root, kind: 'hold' });
    await first.said(1);
    const count = 300;
    const clients = [0, 1, 2, 3].map((by) =>
      child({ root: rig.root, kind: 'own-runs', by: `c${by}`, count }),
    );
    const victims = [child({ root: rig.root, kind: 'own-runs', by: 'v0', count: 1e6 })];
    await Promise.all(clients.map((one) => one.said(20)));
    await first.kill();
    // The next writer is one of these; kill the ones that may be killed, at different moments.
    for (let round = 1; round < 5; round += 1) {
      await victims.at(-1)!.said(5 + round);
      await victims.at(-1)!.kill();
      victims.push(child({ root: rig.root, kind: 'own-runs', by: `v${round}`, count: 1e6 }));
    }
    for (const one of clients) expect(await one.ended).toEqual({ code: 0, errors: '' });
    await victims.at(-1)!.kill();
    const store = rig.shared();
    for (const [by, one] of clients.entries()) {
      const expected = Array.from({ length: count }, (_, n) => `c${by}.${n}`);
      expect(one.wrote).toEqual(expected);
      expect(await texts(store, `run-c${by}`)).toEqual(expected);
    }
    for (const [by, one] of victims.entries()) {
      // At most the one on its way when it was killed is there without its writer knowing.
      const there = await texts(store, `run-v${by}`);
      expect(there.slice(0, one.wrote.length)).toEqual(one.wrote);
      expect(there.length - one.wrote.length).toBeLessThanOrEqual(1);
    }
    expect(await store.integrity()).toEqual([]);
  });

  test('of writer after writer while everyone appends to one run: each append is there once', async () => {
    const rig = await openRig();
    const holders: Child[] = [];
    const count = 100;
    for (let round = 0; round < 4; round += 1) {
      holders.push(child({ root: rig.root, kind: 'hold' }));
      await holders[round]!.said(1);
      if (round > 0) continue;
      for (let by = 0; by < 4; by += 1) child({ root: rig.root, kind: 'append', by: `a${by}`, count });
    }
    const appenders = children.filter((one) => !holders.includes(one));
    for (const [round, holder] of holders.entries()) {
      await Promise.all(appenders.map((one) => one.said(10 + round * 20)));
      await holder.kill();
    }
    for (const one of appenders) expect(await one.ended).toEqual({ code: 0, errors: '' });
    const all = await texts(rig.shared(), 'run');
    expect(all).toHaveLength(4 * count);
    expect(new Set(all)).toEqual(new Set(appenders.flatMap(({ wrote }) => wrote)));
  });
});

describe('short commands', () => {
  test('80 processes at once, one append each, on a store that does not exist yet: all succeed', async () => {
    const rig = await openRig();
    const all = Array.from({ length: 80 }, (_, by) =>
      child({ root: rig.root, kind: 'append', by: `p${by}`, count: 1 }),
    );
    for (const one of all) expect(await one.ended).toEqual({ code: 0, errors: '' });
    expect(new Set(await texts(rig.shared(), 'run')).size).toBe(80);
  });
});

/** Writes until there is not a page left. */
function fillUp(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  } finally {
    closeSync(file);
  }
}

describe('a full disk', () => {
  const isRoot = process.getuid?.() === 0;

  test.skipIf(!isRoot)(
    'says so, writes nothing by halves, and goes on once there is room',
    async (context) => {
      const rig = await openRig();
      const root = join(rig.root, 'mount');
      mkdirSync(root);
      if (!mountMemory(root, 6)) {
        context.skip('no file system can be mounted here');
        return;
      }
      try {
        const store = new SharedRunStore(root);
        const client = new SharedRunStore(root);
        let head = await put(store, 'r');
        const big = 'x'.repeat(200_000);
        let written = 1;
        const fill = async (handle: RunStore): Promise<unknown> => {
          for (let n = 0; n < 200; n += 1) {
            const commit = commitOf(head, { bodies: [JSON.stringify({ n, big }), '{"second":true}'] });
            try {
              expect(await handle.commit([commit, commitOf(`other${n}`)])).toEqual(['ok', 'ok']);
            } catch (error) {
              return error;
            }
            head = commit.head;
            written += 2;
          }
          throw new Error('the disk never filled up');
        };
        expect(await fill(store)).toMatchObject({ code: 'E_STORE_FULL' });
        expect(await store.head('r')).toEqual(head);
        // Small ones may still fit: until those do not either, and the one that asks the writer hears the same.
        fillUp(join(root, 'ballast'));
        expect(await fill(client)).toMatchObject({ code: 'E_STORE_FULL' });
        expect(client.role).toBe('client');
        expect(await client.events('r', 0, 10_000)).toHaveLength(written);
        expect(await store.integrity()).toEqual([]);

        const blobs = (await openStore(root, { create: false })).blobs;
        await expect(blobs.put(Buffer.alloc(100_000, 1))).rejects.toMatchObject({ code: 'E_STORE_FULL' });

        rmSync(join(root, 'ballast'));
        remount(root, 'size=32m');
        head = await put(client, head);
        await put(store, head);
        await client.close();
        await store.close();
        const again = new SharedRunStore(root);
        expect(await again.integrity()).toEqual([]);
        expect(await again.events('r', 0, 10_000)).toHaveLength(written + 2);
        await again.close();
      } finally {
        unmount(root);
      }
    },
  );
});
