/** What every run store promises the engine. Run by each implementation, each test on a fresh store of its own. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { chainHash, genesisHash } from '../../src/model/chain.ts';
import type {
  Commit,
  ListPosition,
  RunHead,
  RunStore,
  StoredEvent,
  WorkChange,
} from '../../src/store/run-store.ts';

export interface RunStoreHarness {
  readonly store: RunStore;
  /** Another handle of the same store, as another process would have it. */
  readonly another: () => Promise<RunStore>;
  /** Closes all handles and removes the store. */
  readonly close: () => Promise<void>;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface Draft {
  readonly bodies?: readonly string[];
  readonly types?: readonly string[];
  readonly work?: readonly WorkChange[];
  readonly snapshot?: string;
  readonly aliases?: readonly string[];
  readonly head?: Partial<RunHead>;
}

/** The commit that follows `after`, or creates the run. */
export function commitOf(run: string | RunHead, draft: Draft = {}): Commit {
  const after = typeof run === 'string' ? undefined : run;
  const runId = typeof run === 'string' ? run : run.id;
  const expectedVersion = after?.version ?? 0;
  const expectedHash = after?.hash ?? genesisHash(runId, sha256);
  let hash = expectedHash;
  const bodies = draft.bodies ?? ['{"says":"something"}'];
  const events = bodies.map((body, at): StoredEvent => {
    hash = chainHash(hash, body, sha256);
    const seq = expectedVersion + at + 1;
    return { seq, atMs: 1000 + seq, type: draft.types?.[at] ?? 'fact_recorded', body, hash };
  });
  const version = expectedVersion + events.length;
  const head: RunHead = {
    tenant: 'acme',
    name: 'nightly',
    queue: 'default',
    phase: 'queued',
    hold: null,
    createdAtMs: 1000,
    nodes: 1,
    nodesSettled: 0,
    ...after,
    ...draft.head,
    id: runId,
    version,
    hash,
    updatedAtMs: draft.head?.updatedAtMs ?? 1000 + version,
  };
  const snapshot = draft.snapshot === undefined ? {} : { snapshot: { version, body: draft.snapshot } };
  const aliases = draft.aliases === undefined ? {} : { aliases: draft.aliases };
  return {
    runId,
    expectedVersion,
    expectedHash,
    events,
    head,
    work: draft.work ?? [],
    ...snapshot,
    ...aliases,
  };
}

/** Commits, expects that to work, and gives the head. */
export async function put(store: RunStore, run: string | RunHead, draft: Draft = {}): Promise<RunHead> {
  const commit = commitOf(run, draft);
  expect(await store.commit([commit])).toEqual(['ok']);
  return commit.head;
}

const offer = (node: string, dueMs: number, parked = false): WorkChange => ({
  op: 'offer',
  node,
  dueMs,
  parked,
});
const lease = (node: string, epoch: number, nowMs: number, untilMs: number): WorkChange => ({
  op: 'lease',
  node,
  worker: `worker-${epoch}`,
  leaseId: `lease-${epoch}`,
  epoch,
  nowMs,
  untilMs,
});

export function runStoreContract(name: string, open: () => Promise<RunStoreHarness>): void {
  describe(`${name}: run store contract`, () => {
    const opened: RunStoreHarness[] = [];
    const harness = async (): Promise<RunStoreHarness> => {
      const fresh = await open();
      opened.push(fresh);
      return fresh;
    };
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });

    describe('commits', () => {
      test('a run that was never written is not there', async () => {
        const { store } = await harness();
        expect(await store.head('r')).toBeUndefined();
        expect(await store.load('r')).toBeUndefined();
        expect(await store.events('r', 0, 10)).toEqual([]);
        expect(await store.work('r')).toEqual([]);
        expect(await store.list({ limit: 10 })).toEqual({ runs: [] });
        expect(await store.nextDueMs(['default'])).toBeUndefined();
        expect(await store.due({ nowMs: 1e12, limit: 10, queues: ['default'] })).toEqual([]);
      });

      test('what was committed is read back, from every handle', async () => {
        const { store, another } = await harness();
        const first = commitOf('r', { bodies: ['{"n":1}', '{"n":2}'] });
        expect(await store.commit([first])).toEqual(['ok']);
        const second = commitOf(first.head, {
          bodies: ['{"n":3}'],
          head: { phase: 'held', hold: 'decision', nodes: 5, nodesSettled: 2 },
        });
        expect(await store.commit([second])).toEqual(['ok']);
        for (const handle of [store, await another()]) {
          expect(await handle.head('r')).toEqual(second.head);
          expect(await handle.events('r', 0, 10)).toEqual([...first.events, ...second.events]);
          expect(await handle.load('r')).toEqual({
            head: second.head,
            snapshot: undefined,
            tail: [...first.events, ...second.events],
          });
        }
      });

      test('what one handle commits the other builds on', async () => {
        const { store, another } = await harness();
        const other = await another();
        let head = await put(store, 'r');
        for (let round = 0; round < 5; round += 1) {
          head = await put(other, head);
          head = await put(store, head);
        }
        expect((await store.head('r'))?.version).toBe(11);
        expect((await other.events('r', 0, 100)).map(({ seq }) => seq)).toEqual(
          Array.from({ length: 11 }, (_, at) => at + 1),
        );
      });

      test('creating a run that exists is a conflict and changes nothing', async () => {
        const { store, another } = await harness();
        const head = await put(store, 'r', { bodies: ['{"n":1}'], work: [offer('a', 5)] });
        const rival = commitOf('r', {
          bodies: ['{"n":"rival"}'],
          work: [offer('b', 5)],
          snapshot: 'rival',
          head: { name: 'rival' },
        });
        expect(await (await another()).commit([rival])).toEqual(['conflict']);
        expect(await store.load('r')).toMatchObject({
          head,
          snapshot: undefined,
          tail: [{ body: '{"n":1}' }],
        });
        expect((await store.work('r')).map(({ node }) => node)).toEqual(['a']);
      });

      test('a commit on another version, or on the same version by other events, is a conflict', async () => {
        const { store, another } = await harness();
        const first = await put(store, 'r');
        const second = await put(await another(), first);
        const late = commitOf(first, { bodies: ['{"n":"late"}'], work: [offer('late', 1)] });
        expect(await store.commit([late])).toEqual(['conflict']);
        const astray = commitOf({ ...second, hash: 'f'.repeat(64) }, { bodies: ['{"n":"astray"}'] });
        expect(await store.commit([astray])).toEqual(['conflict']);
        const ahead = commitOf({ ...second, version: 7 }, { bodies: ['{"n":"ahead"}'] });
        expect(await store.commit([ahead])).toEqual(['conflict']);
        const nowhere = commitOf({ ...second, id: 'other' });
        expect(await store.commit([nowhere])).toEqual(['conflict']);
        expect(await store.head('r')).toEqual(second);
        expect(await store.events('r', 0, 10)).toHaveLength(2);
        expect(await store.work('r')).toEqual([]);
      });

      test('I1: of a batch with conflicts the others are written', async () => {
        const { store } = await harness();
        const head = await put(store, 'r1');
        const results = await store.commit([
          commitOf('r2'),
          commitOf('r1', { bodies: ['{"n":"again"}'] }),
          commitOf(head, { bodies: ['{"n":2}'] }),
          commitOf(head, { bodies: ['{"n":"twice"}'] }),
          commitOf('r3'),
        ]);
        expect(results).toEqual(['ok', 'conflict', 'ok', 'conflict', 'ok']);
        expect((await store.events('r1', 0, 10)).map(({ body }) => body)).toEqual([
          '{"says":"something"}',
          '{"n":2}',
        ]);
        expect(await store.head('r2')).toBeDefined();
        expect(await store.head('r3')).toBeDefined();
      });

      test('commits of one run may follow each other within a batch', async () => {
        const { store } = await harness();
        const first = commitOf('r');
        const second = commitOf(first.head);
        expect(await store.commit([first, second, commitOf(second.head)])).toEqual(['ok', 'ok', 'ok']);
        expect((await store.head('r'))?.version).toBe(3);
      });

      test('a lease that one commit of a batch lets go of the next one may take', async () => {
        const { store } = await harness();
        const head = await put(store, 'r', { work: [lease('a', 1, 0, 1000)] });
        const freed = commitOf(head, { work: [{ op: 'unlease', node: 'a', dueMs: 5, parked: false }] });
        const taken = commitOf(freed.head, { work: [lease('a', 2, 5, 2000)] });
        expect(await store.commit([freed, taken])).toEqual(['ok', 'ok']);
        expect(await store.work('r')).toMatchObject([{ node: 'a', epoch: 2, untilMs: 2000 }]);
      });

      test('a commit without events replaces what is stored beside them', async () => {
        const { store } = await harness();
        const made = await put(store, 'r', {
          bodies: ['{"n":1}', '{"n":2}'],
          work: [offer('a', 1)],
          snapshot: 'x',
        });
        const head: RunHead = {
          ...made,
          tenant: 'other',
          name: 'other',
          queue: 'other',
          phase: 'failed',
          nodes: 9,
        };
        const commit: Commit = {
          ...commitOf(made, { bodies: [] }),
          head: { ...head, createdAtMs: 5 },
          work: [{ op: 'clear' }, offer('b', 2)],
          snapshot: { version: 2, body: 'y' },
        };
        expect(await store.commit([commit])).toEqual(['ok']);
        expect(await store.load('r')).toEqual({
          head: { ...head, createdAtMs: 5 },
          snapshot: { version: 2, body: 'y' },
          tail: [],
        });
        expect(await store.work('r')).toMatchObject([{ node: 'b', queue: 'other' }]);
        expect(await store.list({ limit: 5, phases: ['failed'] })).toMatchObject({ runs: [{ id: 'r' }] });
        await put(store, head);
      });

      test('an empty batch is nothing', async () => {
        const { store } = await harness();
        expect(await store.commit([])).toEqual([]);
      });

      test('of many writers of one version exactly one wins', async () => {
        const { store, another } = await harness();
        const handles = [store, await another(), await another()];
        const head = await put(store, 'r');
        const results = await Promise.all(
          handles.flatMap((handle, at) =>
            [1, 2, 3].map((n) => handle.commit([commitOf(head, { bodies: [`{"by":"${at}.${n}"}`] })])),
          ),
        );
        expect(results.flat().filter((result) => result === 'ok')).toHaveLength(1);
        expect((await store.head('r'))?.version).toBe(2);
        expect(await store.events('r', 0, 10)).toHaveLength(2);
      });

      test('several handles append to one run: nothing is lost, the chain is whole', async () => {
        const { store, another } = await harness();
        await put(store, 'r');
        const handles = [store, await another(), await another()];
        await Promise.all(
          handles.map(async (handle, by) => {
            for (let n = 0; n < 15; n += 1) {
              for (;;) {
                const head = (await handle.head('r'))!;
                const [result] = await handle.commit([commitOf(head, { bodies: [`{"by":${by},"n":${n}}`] })]);
                if (result === 'ok') break;
              }
            }
          }),
        );
        const events = await store.events('r', 0, 100);
        expect(new Set(events.map(({ body }) => body)).size).toBe(46);
        let hash = genesisHash('r', sha256);
        for (const [at, event] of events.entries()) {
          hash = chainHash(hash, event.body, sha256);
          expect(event).toMatchObject({ seq: at + 1, hash });
        }
      });

      test('a batch of 1,000 commits', async () => {
        const { store, another } = await harness();
        const commits = Array.from({ length: 1000 }, (_, at) =>
          commitOf(`r${at}`, { bodies: ['{"n":1}', '{"n":2}'], work: [offer('root', at)] }),
        );
        expect(new Set(await store.commit(commits))).toEqual(new Set(['ok']));
        const other = await another();
        expect((await other.head('r999'))?.version).toBe(2);
        const due = await other.due({ nowMs: 1e9, limit: 2000, queues: ['default'] });
        expect(due.map(({ dueMs }) => dueMs)).toEqual(Array.from({ length: 1000 }, (_, at) => at));
      });
    });

    describe('texts', () => {
      test('big bodies come back as they were', async () => {
        const { store, another } = await harness();
        const body = JSON.stringify({ text: 'ä€😀"\\'.repeat(400_000) });
        const head = await put(store, 'r', { bodies: [body, '{}'], snapshot: body });
        expect((await (await another()).events('r', 0, 1))[0]?.body).toBe(body);
        expect((await store.load('r'))?.snapshot).toEqual({ version: head.version, body });
      });

      test('names and ids may be any Unicode', async () => {
        const { store } = await harness();
        const text = 'Ünï\u0001\u2028"\'\\;--\u{1F600} ';
        const head = await put(store, text, {
          bodies: [JSON.stringify({ text, escaped: '\u0000' })],
          work: [{ op: 'lease', node: text, worker: text, leaseId: text, epoch: 1, nowMs: 0, untilMs: 9 }],
          head: { name: text, tenant: text, queue: text },
        });
        expect(await store.head(text)).toEqual(head);
        expect(await store.work(text)).toMatchObject([
          { node: text, queue: text, worker: text, leaseId: text },
        ]);
        expect(await store.list({ limit: 5, tenant: text })).toMatchObject({ runs: [{ id: text }] });
        expect(await store.due({ nowMs: 10, limit: 5, queues: [text] })).toHaveLength(1);
      });

      test('a NUL character is refused, wherever it is, and nothing of the batch is written', async () => {
        const { store } = await harness();
        const drafts: Commit[] = [
          commitOf('a\0b'),
          commitOf('r', { head: { name: 'a\0b' } }),
          commitOf('r', { head: { tenant: '\0' } }),
          commitOf('r', { head: { queue: '\0' } }),
          commitOf('r', { bodies: ['"\0"'] }),
          commitOf('r', { types: ['\0'] }),
          commitOf('r', { snapshot: '\0' }),
          commitOf('r', { aliases: ['\0'] }),
          commitOf('r', { work: [offer('\0', 1)] }),
          commitOf('r', { work: [{ ...lease('n', 1, 0, 1), worker: '\0' } as WorkChange] }),
          commitOf('r', { work: [{ ...lease('n', 1, 0, 1), leaseId: '\0' } as WorkChange] }),
        ];
        for (const bad of drafts) {
          await expect(store.commit([commitOf('good'), bad])).rejects.toMatchObject({
            code: 'E_INVALID_INPUT_SCHEMA',
          });
        }
        expect(await store.list({ limit: 10 })).toEqual({ runs: [] });
        await put(store, 'good');
      });
    });

    describe('events and snapshots', () => {
      test('events are read in pages, and by type', async () => {
        const { store } = await harness();
        const bodies = Array.from({ length: 10 }, (_, at) => `{"n":${at + 1}}`);
        const types = bodies.map((_, at) => ['odd', 'even', 'third'][at % 3]!);
        const commit = commitOf('r', { bodies, types });
        await store.commit([commit, commitOf('other', { bodies })]);
        expect((await store.events('r', 0, 4)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
        expect((await store.events('r', 4, 4)).map(({ seq }) => seq)).toEqual([5, 6, 7, 8]);
        expect((await store.events('r', 8, 4)).map(({ seq }) => seq)).toEqual([9, 10]);
        expect(await store.events('r', 10, 4)).toEqual([]);
        expect((await store.events('r', 0, 100, ['odd'])).map(({ seq }) => seq)).toEqual([1, 4, 7, 10]);
        expect((await store.events('r', 4, 2, ['odd', 'even'])).map(({ seq }) => seq)).toEqual([5, 7]);
        expect(await store.events('r', 0, 100, ['never'])).toEqual([]);
        expect(await store.events('r', 0, 100, [])).toEqual([]);
      });

      test('a snapshot may be older than the last event of its commit: what is behind it is loaded', async () => {
        const { store } = await harness();
        const head = await put(store, 'r', { bodies: ['{"n":1}'] });
        const commit = commitOf(head, { bodies: ['{"n":2}', '{"n":3}', '{"n":4}'] });
        const snapshot = { version: 2, body: '{"at":2}' };
        expect(await store.commit([{ ...commit, snapshot }])).toEqual(['ok']);
        expect(await store.load('r')).toMatchObject({ snapshot, tail: [{ seq: 3 }, { seq: 4 }] });
      });

      test('after a snapshot only the events behind it are loaded; a later one replaces it', async () => {
        const { store } = await harness();
        let head = await put(store, 'r', { bodies: ['{"n":1}', '{"n":2}'], snapshot: '{"at":2}' });
        expect(await store.load('r')).toEqual({ head, snapshot: { version: 2, body: '{"at":2}' }, tail: [] });
        head = await put(store, head, { bodies: ['{"n":3}'] });
        expect(await store.load('r')).toMatchObject({ snapshot: { version: 2 }, tail: [{ seq: 3 }] });
        head = await put(store, head, { bodies: ['{"n":4}'], snapshot: '{"at":4}' });
        expect(await store.load('r')).toEqual({ head, snapshot: { version: 4, body: '{"at":4}' }, tail: [] });
        expect(await store.events('r', 0, 10)).toHaveLength(4);
      });

      test('a run is loaded as it was at one instant, also while others write to it', async () => {
        const { store, another } = await harness();
        const other = await another();
        let head = await put(store, 'r');
        const writer = { isWriting: true };
        const writing = (async () => {
          for (let n = 2; n <= 60; n += 1)
            head = await put(store, head, n % 3 === 0 ? { snapshot: `{"at":${n}}` } : {});
        })().finally(() => {
          writer.isWriting = false;
        });
        while (writer.isWriting) {
          await new Promise(setImmediate); // a store in this process may never leave the microtasks
          const loaded = (await other.load('r'))!;
          const { version = 0 } = loaded.snapshot ?? {};
          expect(loaded.tail.map(({ seq }) => seq)).toEqual(
            Array.from({ length: loaded.head.version - version }, (_, at) => version + at + 1),
          );
          expect(loaded.tail.at(-1)?.hash ?? loaded.head.hash).toBe(loaded.head.hash);
        }
        await writing;
        expect((await other.load('r'))?.head).toEqual(head);
      });

      test('many heads at once: each is its own, as of when it was asked for', async () => {
        const { store } = await harness();
        const before = await Promise.all(['a', 'b', 'c'].map((id) => put(store, id)));
        const reading = ['a', 'b', 'none', 'a', 'a\0'].map((id) => store.head(id));
        const [a, b] = before;
        expect(await Promise.all(reading)).toEqual([a, b, undefined, a, undefined]);
        for (let n = 0; n < 20; n += 1) {
          const old = store.head('c'); // perhaps still on its way when the next one is asked for
          const head = await put(store, (await store.head('c'))!);
          expect(await store.head('c')).toEqual(head);
          await old;
        }
      });

      // Commits of one run that wait together are written as one, and the snapshot may belong to the first of them.
      test('a snapshot is of the version it names, also where its commit goes on after it (I3)', async () => {
        const { store } = await harness();
        const snapshot = { version: 2, body: '{"at":2}' };
        const commit = { ...commitOf('r', { bodies: ['{"n":1}', '{"n":2}', '{"n":3}'] }), snapshot };
        expect(await store.commit([commit])).toEqual(['ok']);
        expect(await store.load('r')).toMatchObject({ snapshot, tail: [{ seq: 3 }] });
      });
    });

    describe('work and leases', () => {
      test('an offer is due from its instant on', async () => {
        const { store } = await harness();
        await put(store, 'r', { work: [offer('a', 500)] });
        const row = {
          runId: 'r',
          node: 'a',
          queue: 'default',
          dueMs: 500,
          state: 'offered',
          epoch: 0,
          worker: null,
          leaseId: null,
          untilMs: null,
        };
        expect(await store.work('r')).toEqual([row]);
        expect(await store.due({ nowMs: 499, limit: 10, queues: ['default'] })).toEqual([]);
        expect(await store.due({ nowMs: 500, limit: 10, queues: ['default'] })).toEqual([row]);
        expect(await store.nextDueMs(['default'])).toBe(500);
      });

      test('I4: a held node cannot be leased, and one whose lease ran out can', async () => {
        const { store, another } = await harness();
        const other = await another();
        let head = await put(store, 'r', { work: [offer('a', 0)] });
        head = await put(store, head, { work: [lease('a', 1, 100, 200)] });
        expect(await other.work('r')).toEqual([
          {
            runId: 'r',
            node: 'a',
            queue: 'default',
            dueMs: 200,
            state: 'leased',
            epoch: 1,
            worker: 'worker-1',
            leaseId: 'lease-1',
            untilMs: 200,
          },
        ]);
        const early = commitOf(head, { bodies: ['{"by":"rival"}'], work: [lease('a', 2, 199, 300)] });
        expect(await other.commit([early])).toEqual(['conflict']);
        expect((await store.head('r'))?.version).toBe(2);
        expect(await store.work('r')).toMatchObject([{ epoch: 1, worker: 'worker-1' }]);
        expect(await store.due({ nowMs: 199, limit: 9, queues: ['default'] })).toEqual([]);
        expect(await store.nextDueMs(['default'])).toBe(200);

        expect(await store.due({ nowMs: 200, limit: 9, queues: ['default'] })).toMatchObject([
          { node: 'a', state: 'leased' },
        ]);
        head = await put(other, head, { work: [lease('a', 2, 200, 300)] });
        expect(await store.work('r')).toMatchObject([{ epoch: 2, worker: 'worker-2', untilMs: 300 }]);
      });

      test('a commit whose lease is refused writes none of its other changes', async () => {
        const { store } = await harness();
        const head = await put(store, 'r', { work: [lease('a', 1, 0, 200)] });
        const greedy = commitOf(head, {
          work: [offer('b', 1), lease('a', 2, 100, 300), { op: 'drop', node: 'a' }],
          snapshot: 'x',
        });
        expect(await store.commit([greedy, commitOf('other')])).toEqual(['conflict', 'ok']);
        expect((await store.work('r')).map(({ node, epoch }) => [node, epoch])).toEqual([['a', 1]]);
        expect((await store.load('r'))?.snapshot).toBeUndefined();
      });

      test('a renewal prolongs the lease of its epoch and no other', async () => {
        const { store, another } = await harness();
        const other = await another();
        let head = await put(store, 'r', { work: [offer('free', 0), lease('a', 3, 0, 100)] });
        expect(await other.renew('r', 'a', 3, 400)).toBe(true);
        expect(await store.work('r')).toMatchObject([
          { node: 'a', epoch: 3, untilMs: 400 },
          { node: 'free' },
        ]);
        expect(await store.renew('r', 'a', 2, 900)).toBe(false);
        expect(await store.renew('r', 'a', 4, 900)).toBe(false);
        expect(await store.renew('r', 'free', 0, 900)).toBe(false);
        expect(await store.renew('r', 'none', 3, 900)).toBe(false);
        expect(await store.renew('none', 'a', 3, 900)).toBe(false);
        head = await put(store, head, { work: [{ op: 'unlease', node: 'a', dueMs: 7, parked: false }] });
        expect(await store.renew('r', 'a', 3, 900)).toBe(false);
        await put(store, head, { work: [lease('a', 4, 500, 600)] });
        expect(await store.renew('r', 'a', 3, 900)).toBe(false);
        expect(await store.work('r')).toMatchObject([
          { node: 'a', epoch: 4, untilMs: 600 },
          { node: 'free' },
        ]);
      });

      test('a renewal that comes late does not shorten a lease', async () => {
        const { store } = await harness();
        await put(store, 'r', { work: [lease('a', 1, 0, 100)] });
        expect(await store.renew('r', 'a', 1, 500)).toBe(true);
        expect(await store.renew('r', 'a', 1, 300)).toBe(true);
        expect(await store.work('r')).toMatchObject([{ untilMs: 500 }]);
      });

      test('a lease that ran out and was not taken can be renewed', async () => {
        const { store } = await harness();
        await put(store, 'r', { work: [lease('a', 1, 0, 100)] });
        expect(await store.renew('r', 'a', 1, 1e12)).toBe(true);
      });

      test('a released node is offered again and keeps its epoch', async () => {
        const { store } = await harness();
        let head = await put(store, 'r', { work: [lease('a', 4, 0, 100), lease('b', 2, 0, 100)] });
        head = await put(store, head, {
          work: [
            { op: 'unlease', node: 'a', dueMs: 50, parked: false },
            { op: 'unlease', node: 'b', dueMs: 50, parked: true },
            { op: 'unlease', node: 'none', dueMs: 50, parked: true },
          ],
        });
        expect(await store.work('r')).toMatchObject([
          { node: 'a', state: 'offered', dueMs: 50, epoch: 4, worker: null, leaseId: null, untilMs: null },
          { node: 'b', state: 'parked', dueMs: 50, epoch: 2 },
        ]);
      });

      test('offering again moves a free node and leaves a held one alone', async () => {
        const { store } = await harness();
        const head = await put(store, 'r', { work: [offer('free', 10), lease('held', 1, 0, 100)] });
        await put(store, head, { work: [offer('free', 20, true), offer('held', 20)] });
        expect(await store.work('r')).toMatchObject([
          { node: 'free', dueMs: 20, state: 'parked' },
          { node: 'held', dueMs: 100, state: 'leased', worker: 'worker-1' },
        ]);
      });

      test('parking takes the free nodes of the run out of reach, and back', async () => {
        const { store } = await harness();
        let head = await put(store, 'r', { work: [offer('a', 10), offer('b', 20), lease('held', 1, 0, 30)] });
        await put(store, 'other', { work: [offer('c', 40)] });
        head = await put(store, head, { work: [{ op: 'park', parked: true }] });
        expect((await store.work('r')).map(({ state }) => state)).toEqual(['parked', 'parked', 'leased']);
        const due = { nowMs: 1e9, limit: 10, queues: ['default'] };
        expect((await store.due(due)).map(({ node }) => node)).toEqual(['held', 'c']);
        expect(await store.nextDueMs(['default'])).toBe(30);
        head = await put(store, head, { work: [{ op: 'park', parked: true }, offer('new', 5, true)] });
        await put(store, head, { work: [{ op: 'park', parked: false }] });
        expect((await store.due(due)).map(({ node }) => node)).toEqual(['new', 'a', 'b', 'held', 'c']);
      });

      test('drop and clear take rows away, also held ones', async () => {
        const { store } = await harness();
        let head = await put(store, 'r', { work: [offer('a', 1), offer('b', 1), lease('c', 1, 0, 9)] });
        await put(store, 'other', { work: [offer('a', 1)] });
        head = await put(store, head, {
          work: [
            { op: 'drop', node: 'a' },
            { op: 'drop', node: 'none' },
          ],
        });
        expect((await store.work('r')).map(({ node }) => node)).toEqual(['b', 'c']);
        await put(store, head, { work: [{ op: 'clear' }] });
        expect(await store.work('r')).toEqual([]);
        expect(await store.work('other')).toHaveLength(1);
      });

      test('due rows come oldest first, of the queues asked for, as many as asked for', async () => {
        const { store } = await harness();
        const times = [70, 10, 50, 30, 90, 20, 60, 40, 80, 100];
        await store.commit(
          times.flatMap((dueMs) => [
            commitOf(`a${dueMs}`, { work: [offer('n', dueMs)], head: { queue: 'a' } }),
            commitOf(`b${dueMs}`, { work: [offer('n', dueMs + 1)], head: { queue: 'b' } }),
          ]),
        );
        const due = async (queues: readonly string[], limit: number, nowMs = 95): Promise<number[]> =>
          (await store.due({ nowMs, limit, queues })).map(({ dueMs }) => dueMs);
        expect(await due(['a'], 3)).toEqual([10, 20, 30]);
        expect(await due(['a'], 100)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90]);
        expect(await due(['a', 'b'], 5)).toEqual([10, 11, 20, 21, 30]);
        expect(await due(['b', 'a', 'b'], 100, 12)).toEqual([10, 11]);
        expect(await due([], 10)).toEqual([]);
        expect(await due(['none'], 10)).toEqual([]);
        expect(await store.nextDueMs(['b'])).toBe(11);
        expect(await store.nextDueMs(['b', 'a'])).toBe(10);
        expect(await store.nextDueMs(['none'])).toBeUndefined();
        expect(await store.nextDueMs([])).toBeUndefined();
      });

      test('how a queue stands: what could be claimed, since when, and what is held', async () => {
        const { store, another } = await harness();
        const none = { runnable: 0, oldestDueMs: undefined, leased: 0 };
        expect(await store.standing('a', 1e12)).toEqual(none);
        const [first, second] = ['r1', 'r2'].map((id) =>
          commitOf(id, { work: [offer('n', 10), offer('m', 70)], head: { queue: 'a' } }),
        );
        await store.commit([
          ...[first, second].flatMap((commit) => commit ?? []),
          commitOf('parked', {
            work: [{ op: 'offer', node: 'n', dueMs: 1, parked: true }],
            head: { queue: 'a' },
          }),
          commitOf('other', { work: [offer('n', 2)], head: { queue: 'b' } }),
        ]);
        const other = await another();
        expect(await other.standing('a', 9)).toEqual(none);
        expect(await other.standing('a', 10)).toEqual({ runnable: 2, oldestDueMs: 10, leased: 0 });
        expect(await other.standing('b', 10)).toEqual({ runnable: 1, oldestDueMs: 2, leased: 0 });
        const head = first?.head;
        if (head === undefined) throw new Error('no run');
        await put(store, head, { work: [lease('n', 1, 20, 50)] });
        expect(await store.standing('a', 30)).toEqual({ runnable: 1, oldestDueMs: 10, leased: 1 });
        // A lease that has run out is work again, since its end.
        expect(await store.standing('a', 60)).toEqual({ runnable: 2, oldestDueMs: 10, leased: 0 });
        expect(await other.standing('a', 70)).toEqual({ runnable: 4, oldestDueMs: 10, leased: 0 });
      });

      test('who holds leases: each worker once, also of leases that have run out, and what it holds', async () => {
        const { store, another } = await harness();
        expect(await store.holders('a')).toEqual([]);
        await store.commit([
          commitOf('r1', {
            work: [lease('m', 1, 0, 10), lease('n', 2, 0, 99), offer('o', 5)],
            head: { queue: 'a' },
          }),
          commitOf('r2', { work: [lease('m', 2, 0, 50), offer('n', 5)], head: { queue: 'a' } }),
          commitOf('r3', { work: [lease('m', 3, 0, 50)], head: { queue: 'b' } }),
        ]);
        const other = await another();
        const holders = async (queue: string) =>
          (await other.holders(queue)).toSorted((x, y) => (x.worker < y.worker ? -1 : 1));
        expect(await holders('a')).toEqual([
          { worker: 'worker-1', leaseId: 'lease-1' },
          { worker: 'worker-2', leaseId: 'lease-2' },
        ]);
        expect(await holders('b')).toEqual([{ worker: 'worker-3', leaseId: 'lease-3' }]);
        expect(await holders('none')).toEqual([]);
        const held = async (queue: string, worker: string, limit = 10) =>
          (await other.heldBy(queue, worker, limit)).map(({ runId, node }) => `${runId}/${node}`).toSorted();
        expect(await held('a', 'worker-2')).toEqual(['r1/n', 'r2/m']);
        expect(await held('a', 'worker-2', 1)).toHaveLength(1);
        expect(await held('b', 'worker-2')).toEqual([]);
        expect(await other.heldBy('a', 'worker-1', 10)).toMatchObject([
          { runId: 'r1', node: 'm', state: 'leased', epoch: 1, leaseId: 'lease-1', untilMs: 10 },
        ]);
      });

      test('the work of one queue is found behind any amount of another one', async () => {
        const { store } = await harness();
        const busy = Array.from({ length: 600 }, (_, at) =>
          commitOf(`busy${at}`, { work: [offer('n', at)], head: { queue: 'busy' } }),
        );
        await store.commit([...busy, commitOf('r', { work: [offer('n', 5000)], head: { queue: 'quiet' } })]);
        expect(await store.due({ nowMs: 9000, limit: 1, queues: ['quiet'] })).toMatchObject([{ runId: 'r' }]);
        expect(await store.nextDueMs(['quiet'])).toBe(5000);
      });
    });

    describe('lists', () => {
      const pages = async (
        store: RunStore,
        limit: number,
        between?: () => Promise<void>,
      ): Promise<string[]> => {
        const ids: string[] = [];
        let after: ListPosition | undefined;
        for (let page = 0; page < 50; page += 1) {
          const { runs, next } = await store.list({ limit, ...(after === undefined ? {} : { after }) });
          ids.push(...runs.map(({ id }) => id));
          if (next === undefined) break;
          after = next;
          await between?.();
        }
        return ids;
      };

      test('newest first, in pages, complete and without repetition', async () => {
        const { store } = await harness();
        const times = [3, 1, 2, 2, 2, 5, 4];
        await store.commit(
          times.map((createdAtMs, at) => commitOf(`r${at}.${createdAtMs}`, { head: { createdAtMs } })),
        );
        const expected = ['r5.5', 'r6.4', 'r0.3', 'r4.2', 'r3.2', 'r2.2', 'r1.1'];
        for (const limit of [1, 2, 3, 7, 100]) expect(await pages(store, limit)).toEqual(expected);
      });

      test('runs that come in between do not shift the pages', async () => {
        const { store } = await harness();
        const at = (id: string, createdAtMs: number): Commit => commitOf(id, { head: { createdAtMs } });
        await store.commit(Array.from({ length: 9 }, (_, n) => at(`r${n}`, 100 + n)));
        let extra = 0;
        const ids = await pages(store, 2, async () => {
          await store.commit([at(`new${(extra += 1)}`, 1000 + extra)]);
        });
        expect(ids).toEqual(['r8', 'r7', 'r6', 'r5', 'r4', 'r3', 'r2', 'r1', 'r0']);
      });

      test('filters by tenant, phase and hold', async () => {
        const { store } = await harness();
        const run = (id: string, tenant: string, phase: RunHead['phase'], hold: RunHead['hold']): Commit =>
          commitOf(id, { head: { tenant, phase, hold, createdAtMs: Number(id) } });
        await store.commit([
          run('1', 'a', 'queued', null),
          run('2', 'b', 'running', null),
          run('3', 'a', 'held', 'decision'),
          run('4', 'a', 'held', 'budget'),
          run('5', 'a', 'running', null),
        ]);
        const ids = async (query: Omit<Parameters<RunStore['list']>[0], 'limit'>): Promise<string[]> =>
          (await store.list({ limit: 10, ...query })).runs.map(({ id }) => id);
        expect(await ids({ tenant: 'a' })).toEqual(['5', '4', '3', '1']);
        expect(await ids({ phases: ['running', 'queued'] })).toEqual(['5', '2', '1']);
        expect(await ids({ phases: ['held'], holds: ['budget'] })).toEqual(['4']);
        expect(await ids({ tenant: 'b', phases: ['held'] })).toEqual([]);
        expect(await ids({ phases: [] })).toEqual([]);
        expect(await ids({ tenant: 'a', after: { createdAtMs: 4, no: 0 } })).toEqual(['3', '1']);
      });
    });

    describe('aliases', () => {
      test('find their run from every handle, from its creation and from later on', async () => {
        const { store, another } = await harness();
        const other = await another();
        expect(await store.runOf('one')).toBeUndefined();
        expect(await store.aliases('r')).toEqual([]);
        const head = await put(store, 'r', { aliases: ['one', 'two'] });
        await put(other, head, { aliases: ['Üb\u{1f600}r', 'ﬀ', 'one'] }); // its own again is no change
        for (const handle of [store, other]) {
          expect(await handle.runOf('one')).toBe('r');
          expect(await handle.runOf('Üb\u{1f600}r')).toBe('r');
          expect(await handle.runOf('ONE')).toBeUndefined();
          expect(await handle.runOf('r')).toBeUndefined();
          expect(await handle.aliases('r')).toEqual(['one', 'two', 'Üb\u{1f600}r', 'ﬀ']);
        }
      });

      test('are unique: a commit with one that is taken is told so, and nothing of it is written', async () => {
        const { store, another } = await harness();
        const other = await another();
        await put(store, 'r', { aliases: ['one'] });
        const head = await put(other, 's', { aliases: ['two'] });
        const taken = commitOf(head, { aliases: ['free', 'one'], work: [offer('a', 1)], snapshot: 'x' });
        const fresh = commitOf('t', { aliases: ['two'] });
        expect(await other.commit([taken, fresh, commitOf('u', { aliases: ['three'] })])).toEqual([
          'alias_taken',
          'alias_taken',
          'ok',
        ]);
        expect(await store.head('s')).toEqual(head);
        expect(await store.head('t')).toBeUndefined();
        expect(await store.work('s')).toEqual([]);
        expect(await store.load('s')).not.toHaveProperty('snapshot.body');
        expect(await store.runOf('free')).toBeUndefined();
        expect(await store.runOf('one')).toBe('r');
        await put(store, head, { aliases: ['free'] });
      });

      test('within one batch the first one gets the name', async () => {
        const { store } = await harness();
        const commits = ['r', 's'].map((id) => commitOf(id, { aliases: ['one'] }));
        expect(await store.commit(commits)).toEqual(['ok', 'alias_taken']);
        expect(await store.runOf('one')).toBe('r');
      });

      test('a commit that does not fit anyway is a conflict, whatever its aliases', async () => {
        const { store } = await harness();
        await put(store, 'r', { aliases: ['one'] });
        const head = await put(store, 's');
        await put(store, head);
        expect(
          await store.commit([
            commitOf(head, { aliases: ['one'] }),
            commitOf('s', { aliases: ['one'] }),
            commitOf({ ...head, id: 'nobody' }, { aliases: ['one'] }),
          ]),
        ).toEqual(['conflict', 'conflict', 'conflict']);
      });

      test('a commit without events replaces them, if it has a list of them', async () => {
        const { store } = await harness();
        const head = await put(store, 'r', { aliases: ['one', 'two'] });
        await put(store, head, { bodies: [] });
        expect(await store.aliases('r')).toEqual(['one', 'two']);
        await put(store, head, { bodies: [], aliases: ['two', 'three'] });
        expect(await store.aliases('r')).toEqual(['three', 'two']);
        expect(await store.runOf('one')).toBeUndefined();
      });

      test('go with their run, and may then be another’s', async () => {
        const { store, another } = await harness();
        const other = await another();
        await put(store, 'r', { aliases: ['one'] });
        expect(await other.remove('r')).toBe(true);
        expect(await store.runOf('one')).toBeUndefined();
        await put(store, 's', { aliases: ['one'] });
        expect(await other.runOf('one')).toBe('s');
        expect(await other.aliases('s')).toEqual(['one']);
      });

      test('of many that want one name exactly one gets it', async () => {
        const { store, another } = await harness();
        const handles = [store, await another(), await another()];
        const results = await Promise.all(
          Array.from({ length: 12 }, (_, at) =>
            (handles[at % 3] as RunStore).commit([commitOf(`r${at}`, { aliases: ['one'] })]),
          ),
        );
        expect(results.flat().filter((result) => result === 'ok')).toHaveLength(1);
        expect(results.flat().filter((result) => result === 'alias_taken')).toHaveLength(11);
      });
    });

    describe('removal', () => {
      test('a removed run is gone with all that was its own', async () => {
        const { store, another } = await harness();
        const other = await another();
        const head = await put(store, 'r', { work: [offer('a', 1)], snapshot: 'x' });
        await put(store, 'stays', { work: [offer('a', 2)], snapshot: 'y' });
        expect(await other.remove('r')).toBe(true);
        expect(await store.remove('r')).toBe(false);
        for (const handle of [store, other]) {
          expect(await handle.load('r')).toBeUndefined();
          expect(await handle.events('r', 0, 10)).toEqual([]);
          expect(await handle.work('r')).toEqual([]);
          expect((await handle.list({ limit: 10 })).runs.map(({ id }) => id)).toEqual(['stays']);
          expect(await handle.load('stays')).toMatchObject({ snapshot: { body: 'y' }, tail: [] });
        }
        expect(await store.commit([commitOf(head)])).toEqual(['conflict']);
      });

      test('its id can be used again, from every handle, for another run', async () => {
        const { store, another } = await harness();
        const other = await another();
        const old = await put(store, 'r', { bodies: ['{"life":1}'], work: [lease('a', 1, 0, 1e12)] });
        await put(other, 'filler');
        expect(await other.remove('r')).toBe(true);
        let head = await put(other, 'r', { bodies: ['{"life":2}'] });
        expect(await store.commit([commitOf(old)])).toEqual(['conflict']);
        head = await put(store, head, { work: [lease('a', 1, 0, 100)] });
        expect(await store.load('r')).toMatchObject({ head, tail: [{ body: '{"life":2}' }, { seq: 2 }] });
        expect(await store.work('filler')).toEqual([]);
      });
    });

    describe('listening', () => {
      /** Resolves with what the listener hears once it satisfies the condition. */
      const heard = (
        store: RunStore,
        isEnough: (ids: readonly (string | undefined)[]) => boolean,
      ): { all: Promise<readonly (string | undefined)[]>; stop: () => void } => {
        const ids: (string | undefined)[] = [];
        const { promise, resolve } = Promise.withResolvers<readonly (string | undefined)[]>();
        const stop = store.subscribe((id) => {
          ids.push(id);
          if (isEnough(ids)) resolve(ids);
        });
        return { all: promise, stop };
      };

      test('of its own commits a handle hears the run', async () => {
        const { store } = await harness();
        const { all, stop } = heard(store, (ids) => ids.includes('r1') && ids.includes('r2'));
        await store.commit([commitOf('r1'), commitOf('r2')]);
        expect((await all).filter((id) => id !== undefined)).toEqual(['r1', 'r2']);
        stop();
      });

      test('of its own commits it hears where they offer work, and that others offer none', async () => {
        const { store } = await harness();
        const news: (string | null | undefined)[] = [];
        const stop = store.subscribe((id, queue) => {
          if (id !== undefined) news.push(queue);
        });
        const queue = 'special';
        let head = await put(store, 'r', { head: { queue }, work: [offer('a', 10)] });
        head = await put(store, head, { head: { queue }, work: [lease('a', 1, 10, 100)] });
        const unlease = { op: 'unlease', node: 'a', dueMs: 50 } as const;
        head = await put(store, head, { head: { queue }, work: [{ ...unlease, parked: true }] });
        head = await put(store, head, { head: { queue }, work: [{ op: 'park', parked: false }] });
        head = await put(store, head, { head: { queue }, work: [lease('a', 2, 60, 100)] });
        head = await put(store, head, { head: { queue }, work: [{ ...unlease, parked: false }] });
        await put(store, head, { head: { queue }, work: [{ op: 'drop', node: 'a' }, offer('b', 1, true)] });
        expect(await store.remove('r')).toBe(true);
        expect(news).toEqual(['special', null, null, 'special', null, 'special', null, null]);
        stop();
      });

      test('of commits of others that offer work nobody is told that they do not', async () => {
        const { store, another } = await harness();
        const other = await another();
        await put(store, 'first');
        const { promise, resolve } = Promise.withResolvers<void>();
        const stop = other.subscribe((id, queue) => {
          if ((id === undefined || id === 'r') && queue !== null) resolve();
        });
        await put(store, 'r', { work: [offer('a', 10)] });
        await expect(promise).resolves.toBeUndefined();
        stop();
      });

      test('of commits of others it hears, perhaps without the run', async () => {
        const { store, another } = await harness();
        const other = await another();
        await put(store, 'r0');
        for (const [listener, writer] of [
          [store, other],
          [other, store],
        ] as const) {
          const id = listener === store ? 'r1' : 'r2';
          const { all, stop } = heard(listener, (ids) => ids.includes(id) || ids.includes(undefined));
          await put(writer, id);
          expect(await all).not.toEqual([]);
          stop();
        }
      });

      test('a conflict is no news, and who unsubscribed hears nothing', async () => {
        const { store } = await harness();
        const head = await put(store, 'r');
        const news: (string | undefined)[] = [];
        const stop = store.subscribe((id) => news.push(id));
        const gone = store.subscribe((id) => news.push(`gone ${id}`));
        gone();
        expect(await store.commit([commitOf('r')])).toEqual(['conflict']);
        const { all, stop: stopToo } = heard(store, (ids) => ids.includes('last'));
        await put(store, head);
        expect(await store.remove('r')).toBe(true);
        await put(store, 'last');
        await all;
        expect(news.filter((id) => id !== undefined)).toEqual(['r', 'r', 'last']);
        stop();
        stopToo();
      });
    });

    describe('closing', () => {
      test('a commit that was not waited for is written before the store closes', async () => {
        const { store, another } = await harness();
        const other = await another();
        const writing = store.commit([commitOf('r')]);
        await Promise.all([store.close(), expect(writing).resolves.toEqual(['ok'])]);
        expect(await other.head('r')).toBeDefined();
        await put(other, 'after');
      });

      test('a read that was not waited for is answered before the store closes', async () => {
        const { store } = await harness();
        const head = await put(store, 'r');
        const reading = [store.head('r'), store.head('none'), store.load('r')] as const;
        await store.close();
        expect(await Promise.all(reading)).toMatchObject([head, undefined, { head }]);
      });

      test('a closed store says so', async () => {
        const { store } = await harness();
        await put(store, 'r');
        await store.close();
        await store.close();
        await expect(store.commit([commitOf('r2')])).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
        await expect(store.head('r')).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
      });
    });
  });
}
