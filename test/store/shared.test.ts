/** Several handles and processes on one store root: who writes, who hands over, and what happens when one goes. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunStore } from '../../src/store/run-store.ts';
import { SharedRunStore } from '../../src/store/sqlite/shared-run-store.ts';
import { socketPath } from '../../src/store/sqlite/socket-path.ts';
import {
  type ClientMessage,
  encodeFrame,
  encodeRequest,
  FRAME_BYTES_MAX,
  FrameReader,
  monotonicMs,
  PROTOCOL,
  type ServerMessage,
} from '../../src/store/sqlite/wire.ts';
import { WriterLock } from '../../src/store/sqlite/writer-lock.ts';
import { commitOf, put } from '../contracts/run-store.ts';
import { Child } from './children.ts';
import { settle, StoreRig } from './rig.ts';
import { until } from '../support/waiting.ts';

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

describe('roles', () => {
  test('reading and listening elect nobody and leave no trace', async () => {
    const rig = await openRig();
    const maker = new SharedRunStore(rig.root);
    await maker.close();
    const store = rig.shared();
    store.subscribe(() => {});
    await store.head('r');
    await store.list({ limit: 5 });
    await store.due({ nowMs: 1, limit: 1, queues: ['q'] });
    expect(await store.remove('r')).toBe(false);
    expect(store.role).toBe('none');
    expect(readdirSync(rig.root).filter((name) => !name.startsWith('reeve.sqlite'))).toEqual([]);
  });

  test('the first to write is the writer, the next ones hand over to it', async () => {
    const rig = await openRig();
    const stores = [rig.shared(), rig.shared(), rig.shared()];
    for (const [at, store] of stores.entries()) await put(store, `r${at}`);
    expect(stores.map(({ role }) => role)).toEqual(['writer', 'client', 'client']);
    expect(statSync(join(rig.root, 'reeve.sock')).mode & 0o777).toBe(0o600);
    expect(statSync(join(rig.root, 'writer.lock')).mode & 0o777).toBe(0o600);
  });

  test('many that begin at once find one writer', async () => {
    const rig = await openRig();
    const stores = Array.from({ length: 12 }, () => rig.shared());
    await Promise.all(stores.map((store, at) => put(store, `r${at}`)));
    const roles = stores.map(({ role }) => role).toSorted();
    expect(roles).toEqual([...Array.from({ length: 11 }, () => 'client'), 'writer']);
  });

  test('the writer that closes answers what it has accepted, and the others go on without loss', async () => {
    const rig = await openRig();
    const stores = [rig.shared(), rig.shared(), rig.shared()] as const;
    for (const store of stores) await settle(store);
    const writing = stores.map(async (store, by) => {
      let head = await put(store, `r${by}`, { bodies: [`{"by":${by},"n":0}`] });
      const count = by === 0 ? 5 : 60;
      for (let n = 1; n < count; n += 1) {
        head = await put(store, head, { bodies: [`{"by":${by},"n":${n}}`] });
      }
    });
    await writing[0];
    await stores[0].close();
    await Promise.all(writing);
    const [, second, third] = stores;
    expect([second.role, third.role].toSorted()).toEqual(['client', 'writer']);
    for (const run of ['r1', 'r2']) {
      const ns = (await third.events(run, 0, 100)).map(({ body }) => (JSON.parse(body) as { n: number }).n);
      expect(ns).toEqual(Array.from({ length: 60 }, (_, n) => n));
    }
    expect(existsSync(join(rig.root, 'reeve.sock'))).toBe(true);
    await second.close();
    await third.close();
    expect(existsSync(join(rig.root, 'reeve.sock'))).toBe(false);
  });

  test('a writer that commits in a tight loop does not shut the others out', async () => {
    const rig = await openRig();
    const [writer, other] = [rig.shared(), rig.shared()];
    let head = await put(writer, 'busy');
    const stop = new AbortController();
    const busy = (async () => {
      while (!stop.signal.aborted) head = await put(writer, head);
    })();
    await put(other, 'r');
    expect(other.role).toBe('client');
    stop.abort();
    await busy;
  });

  test('a root too long for a socket has its socket elsewhere, where only its owner may come', async () => {
    const rig = await openRig();
    const root = join(rig.root, 'a-long-name-'.repeat(9));
    mkdirSync(root);
    const path = socketPath(root)!;
    expect(dirname(dirname(path))).toBe(tmpdir());
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    const stores = [rig.keep(new SharedRunStore(root)), rig.keep(new SharedRunStore(root))] as const;
    for (const [at, store] of stores.entries()) await put(store, `r${at}`);
    expect(stores.map(({ role }) => role)).toEqual(['writer', 'client']);
    await stores[1].close();
    await stores[0].close();

    chmodSync(dirname(path), 0o777);
    expect(socketPath(root)).toBeUndefined();
    const alone = rig.keep(new SharedRunStore(root));
    await put(alone, 'alone');
    expect(alone.role).toBe('alone');
    rmSync(dirname(path), { recursive: true });
  });
});

describe('news', () => {
  test('a client hears of the commits of all others by name, without looking at the file', async () => {
    const rig = await openRig();
    const writer = rig.shared({ pollMs: 1e6 });
    const [first, second] = [rig.shared({ pollMs: 1e6 }), rig.shared({ pollMs: 1e6 })];
    for (const store of [writer, first, second]) await settle(store);
    const heard: Record<string, (string | undefined)[]> = { writer: [], first: [], second: [] };
    let wake = (): void => {};
    for (const [name, store] of Object.entries({ writer, first, second })) {
      store.subscribe((id) => {
        heard[name]?.push(id);
        wake();
      });
    }
    const all = async (isHeard: (ids: readonly (string | undefined)[]) => boolean): Promise<void> => {
      while (!Object.values(heard).every(isHeard)) await new Promise<void>((resolve) => (wake = resolve));
    };
    await put(writer, '0');
    await all((ids) => ids.length > 0); // the writer knows that they listen
    for (const ids of Object.values(heard)) ids.length = 0;
    await put(writer, 'a');
    await put(first, 'b');
    await put(second, 'c');
    await all((ids) => ids.includes('c'));
    expect(heard).toEqual({ writer: ['a', 'b', 'c'], first: ['a', 'b', 'c'], second: ['a', 'b', 'c'] });
  });

  test('who only listens is told as well, and looks for itself once the writer is gone', async () => {
    const rig = await openRig();
    const writer = child({ root: rig.root, kind: 'hold' });
    expect(await writer.said(1)).toEqual(['holding as writer']);
    const listener = rig.shared();
    let news = 0;
    listener.subscribe(() => (news += 1));
    await until(() => listener.role === 'client', 'the listener to be told');
    await writer.kill();
    await until(() => listener.role === 'none', 'the listener to notice');
    const before = news;
    await put(rig.shared(), 'r');
    await until(() => news > before, 'news');
  });
});

describe('a writer that stops or dies', () => {
  test('W6: 8 processes × 40 appends to one run: all there, in order, none failed', async () => {
    const rig = await openRig();
    const writers = Array.from({ length: 8 }, (_, by) =>
      child({ root: rig.root, kind: 'append', by: `p${by}`, count: 40 }),
    );
    for (const one of writers) expect(await one.ended).toEqual({ code: 0, errors: '' });
    const all = await texts(rig.shared(), 'run');
    expect(all).toHaveLength(320);
    expect(new Set(all)).toEqual(new Set(writers.flatMap(({ wrote }) => wrote)));
  });

  test('W13: after kill -9 of the writer the next one goes on within a second', async () => {
    const rig = await openRig();
    const writer = child({ root: rig.root, kind: 'hold' });
    await writer.said(1);
    const store = rig.shared();
    const head = await put(store, 'r');
    expect(store.role).toBe('client');
    await writer.kill();
    const startedMs = performance.now();
    await put(store, head);
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(store.role).toBe('writer');
  });

  test('a stopped writer holds nobody up; once it goes on, it is asked again, and nothing is written twice', async () => {
    const rig = await openRig();
    const writer = child({ root: rig.root, kind: 'hold' });
    await writer.said(1);
    const store = rig.shared();
    let head = await put(store, 'r', { bodies: ['{"text":"asked"}'] });
    writer.signal('SIGSTOP');
    const startedMs = performance.now();
    head = await put(store, head, { bodies: ['{"text":"alone"}'] });
    const waitedMs = performance.now() - startedMs;
    expect(waitedMs).toBeGreaterThan(900);
    expect(waitedMs).toBeLessThan(3000);
    expect(store.role).toBe('alone');
    const againMs = performance.now();
    head = await put(store, head, { bodies: ['{"text":"at once"}'] });
    expect(performance.now() - againMs, 'no second wait for the same writer').toBeLessThan(900);
    expect(await store.remove('r')).toBe(true);
    head = await put(store, 'r', { bodies: ['{"text":"another life"}'] });
    // A newcomer waits as long as everyone for a greeting, then also writes for itself.
    const late = rig.shared();
    head = await put(late, head, { bodies: ['{"text":"newcomer"}'] });
    expect(late.role).toBe('alone');

    writer.signal('SIGCONT');
    await until(() => store.role === 'client' && late.role === 'client', 'the writer to greet');
    head = await put(store, head, { bodies: ['{"text":"asked again"}'] });
    await put(late, head, { bodies: ['{"text":"by both"}'] });
    // The writer has by now seen everything that was sent to it before it stopped, and let it be.
    expect(await texts(store, 'r')).toEqual(['another life', 'newcomer', 'asked again', 'by both']);
  });

  test('a process stopped inside a transaction makes the store busy for as long as one is willing to wait', async () => {
    const rig = await openRig();
    await put(rig.shared(), 'r0');
    const holder = child({ root: rig.root, kind: 'hold-transaction' });
    await holder.said(1);
    holder.signal('SIGSTOP');
    const store = rig.shared({ busyMs: 1500 });
    const startedMs = performance.now();
    await expect(store.commit([commitOf('r')])).rejects.toMatchObject({ code: 'E_STORE_BUSY' });
    expect(performance.now() - startedMs).toBeGreaterThan(1400);
    expect(await store.head('r0')).toBeDefined();
    await holder.kill();
    await put(store, 'r');
  });
});

describe('what comes over the socket', () => {
  const greet = async (rig: StoreRig): Promise<{ socket: Socket; next: () => Promise<ServerMessage> }> => {
    const socket = createConnection(join(rig.root, 'reeve.sock'));
    const reader = new FrameReader<ServerMessage>();
    const messages: ServerMessage[] = [];
    socket.on('data', (piece) => {
      messages.push(...reader.push(piece));
      socket.emit('message');
    });
    socket.on('error', () => {});
    const next = async (): Promise<ServerMessage> => {
      while (messages.length === 0) await once(socket, 'message');
      return messages.shift()!;
    };
    expect(await next()).toEqual({ t: 'hello', protocol: PROTOCOL });
    return { socket, next };
  };

  test('a request whose time is over, or not yet come, is not carried out, and its sender hears so', async () => {
    const rig = await openRig();
    const store = rig.shared();
    await settle(store);
    const { socket, next } = await greet(rig);
    const request = (id: number, ageMs: number): Buffer =>
      encodeRequest(
        id,
        monotonicMs() - ageMs,
        JSON.stringify({ op: 'commit', commits: [commitOf(`r${id}`)], again: false }),
      );
    socket.write(Buffer.concat([request(1, 1100), request(2, 0), request(3, -5000)]));
    expect(await next()).toEqual({ t: 'void', id: 1 });
    expect(await next()).toEqual({ t: 'result', id: 2, result: ['ok'] });
    expect(await next()).toEqual({ t: 'void', id: 3 });
    expect((await store.list({ limit: 9 })).runs.map(({ id }) => id)).toEqual(['r2']);
    socket.destroy();
  });

  test('a repeated commit counts as ok, also when others have gone on since; a rival one does not', async () => {
    const rig = await openRig();
    const store = rig.shared();
    await settle(store);
    const { socket, next } = await greet(rig);
    const ask = async (commits: readonly unknown[], again: boolean): Promise<ServerMessage> => {
      socket.write(encodeRequest(1, monotonicMs(), JSON.stringify({ op: 'commit', commits, again })));
      return next();
    };
    const first = commitOf('r', { bodies: ['{"n":1}'] });
    const second = commitOf(first.head, { bodies: ['{"n":2}'] });
    expect(await ask([first], false)).toMatchObject({ result: ['ok'] });
    expect(await ask([first], true)).toMatchObject({ result: ['ok'] });
    expect(await ask([second], true)).toMatchObject({ result: ['ok'] });
    expect(await ask([first, second, first], true)).toMatchObject({ result: ['ok', 'ok', 'ok'] });
    expect(await ask([first], false)).toMatchObject({ result: ['conflict'] });
    expect(await ask([commitOf('r', { bodies: ['{"n":"rival"}'] })], true)).toMatchObject({
      result: ['conflict'],
    });
    expect((await store.head('r'))?.version).toBe(2);
    socket.destroy();
  });

  test('a removal that comes late leaves the next run of that id alone', async () => {
    const rig = await openRig();
    const store = rig.shared();
    await put(store, 'r', { head: { createdAtMs: 1 } });
    const { socket, next } = await greet(rig);
    const remove = async (createdAtMs: number): Promise<ServerMessage> => {
      const op = { op: 'remove', runId: 'r', no: 1, createdAtMs };
      socket.write(encodeRequest(1, monotonicMs(), JSON.stringify(op)));
      return next();
    };
    await store.remove('r');
    await put(store, 'r', { head: { createdAtMs: 2 } });
    expect(await remove(1)).toMatchObject({ result: false });
    expect(await store.head('r')).toBeDefined();
    expect(await remove(2)).toMatchObject({ result: true });
    expect(await store.head('r')).toBeUndefined();
    socket.destroy();
  });

  test('an operation that makes no sense fails for its sender and for nobody else', async () => {
    const rig = await openRig();
    const store = rig.shared();
    await settle(store);
    const { socket, next } = await greet(rig);
    const bad = { op: 'commit', commits: [{ ...commitOf('bad'), events: [{ seq: null }] }], again: false };
    const good = { op: 'commit', commits: [commitOf('good')], again: false };
    const now = monotonicMs();
    socket.write(
      Buffer.concat([
        encodeRequest(1, now, JSON.stringify(bad)),
        encodeRequest(2, now, JSON.stringify(good)),
        encodeRequest(3, now, '{"op":"unheard of"}'),
      ]),
    );
    expect(await next()).toMatchObject({ t: 'failed', id: 1 });
    expect(await next()).toMatchObject({ t: 'result', id: 2, result: ['ok'] });
    expect(await next()).toMatchObject({ t: 'failed', id: 3, failure: { code: 'E_GENERIC_FAILURE' } });
    expect(await store.head('bad')).toBeUndefined();
    socket.destroy();
  });

  test('who talks nonsense is hung up on', async () => {
    const rig = await openRig();
    const store = rig.shared();
    await settle(store);
    const tooLong = Buffer.alloc(4);
    tooLong.writeUInt32BE(FRAME_BYTES_MAX + 1);
    const noJson = Buffer.from([0, 0, 0, 3, 0x7b, 0x7b, 0x7b]);
    const unknown = frame('{"t":"dance"}');
    const otherVersion = encodeFrame({ t: 'hello', protocol: PROTOCOL + 1 });
    for (const bytes of [tooLong, noJson, unknown, otherVersion]) {
      const { socket } = await greet(rig);
      const hungUp = once(socket, 'close');
      socket.write(bytes);
      await hungUp;
    }
    expect(await store.commit([commitOf('r')])).toEqual(['ok']);
  });

  test('a writer of another version is not asked: one writes for oneself', async () => {
    const rig = await openRig();
    const lock = new WriterLock(join(rig.root, 'writer.lock'));
    expect(lock.tryAcquire()).toBe(true);
    const asked: ClientMessage[] = [];
    const server = createServer((socket) => {
      const reader = new FrameReader<ClientMessage>();
      socket.on('data', (piece: Buffer) => asked.push(...reader.push(piece)));
      socket.on('error', () => {});
      socket.write(encodeFrame({ t: 'hello', protocol: PROTOCOL + 1 }));
    });
    server.listen(join(rig.root, 'reeve.sock'));
    await once(server, 'listening');
    const store = rig.shared();
    await put(store, 'r');
    expect(store.role).toBe('alone');
    expect(asked.every(({ t }) => t === 'hello')).toBe(true);
    server.close();
    lock.release();
    await until(() => store.role === 'writer', 'the lock to be taken');
  });

  test('what does not fit into a frame is written all the same', async () => {
    const rig = await openRig();
    await settle(rig.shared());
    const client = rig.shared();
    const huge = 'x'.repeat(FRAME_BYTES_MAX);
    const head = await put(client, 'r', { bodies: [JSON.stringify(huge)] });
    await put(client, head);
    expect(client.role).toBe('client');
    expect((await client.events('r', 0, 1))[0]?.body).toHaveLength(huge.length + 2);
  });

  test('frames arrive in any pieces', () => {
    const messages: ServerMessage[] = [
      { t: 'pong' },
      { t: 'changed', runs: ['ä', '😀'.repeat(50)] },
      { t: 'changed' },
    ];
    const bytes = Buffer.concat(messages.map((message) => encodeFrame(message)));
    for (let size = 1; size <= bytes.length; size += 1) {
      const reader = new FrameReader<ServerMessage>();
      const read: ServerMessage[] = [];
      for (let at = 0; at < bytes.length; at += size)
        read.push(...reader.push(bytes.subarray(at, at + size)));
      expect(read).toEqual(messages);
    }
  });
});

test('a lock is held by one, within a process and across, and leaves nothing in its file', async () => {
  const rig = await openRig();
  const file = join(rig.root, 'writer.lock');
  const [first, second] = [new WriterLock(file), new WriterLock(file)];
  expect(first.tryAcquire()).toBe(true);
  expect(second.tryAcquire()).toBe(false);
  first.release();
  expect(second.tryAcquire()).toBe(true);
  second.release();
  expect(readFileSync(file)).toHaveLength(0);
  expect(readdirSync(rig.root)).toEqual(['writer.lock']);
});

function frame(text: string): Buffer {
  const bytes = Buffer.from(text);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(bytes.length);
  return Buffer.concat([header, bytes]);
}
