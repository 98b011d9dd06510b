/**
 * The writer's side: one queue for the operations of this process and of all that are connected, in order of arrival.
 * What waits goes into one transaction with one sync, whoever sent it.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { ReeveError } from '../../model/errors.ts';
import type { Change } from '../change.ts';
import type { SqliteRunStore } from './sqlite-run-store.ts';
import {
  encodeFrame,
  failureOf,
  FrameReader,
  monotonicMs,
  PROTOCOL,
  REQUEST_MS,
  type ClientMessage,
  type ServerMessage,
} from './wire.ts';
import { changesOf, type WriteOp, type WriteResult } from './write-op.ts';

/** Most operations in one transaction: bounds the time that the first of them waits for the last. */
const BATCH_MAX = 512;
/** How long batches may follow each other without a look at the sockets, milliseconds. */
const LISTEN_MS = 2;
/** How long a leaving writer waits for its last answers to be taken, milliseconds. */
const PARTING_MS = 500;
/** A client that leaves this much untaken is not told more news, bytes. */
const NEWS_BYTES_MAX = 1024 * 1024;
/** Clocks that differ by more than this are not the same clock, milliseconds. */
const CLOCK_MS = 50;

interface Waiting {
  readonly op: WriteOp;
  /** Undefined: this process. */
  readonly from: Client | undefined;
  /** It must not be carried out any more: its sender may be doing it. */
  readonly isVoid: () => boolean;
  readonly settle: (outcome: Outcome) => void;
}
type Outcome = { readonly result: WriteResult } | { readonly error: unknown } | 'void';

export interface WriteServerOptions {
  readonly store: SqliteRunStore;
  readonly path: string;
  /** After a commit, of this process or of a client. */
  readonly onChanged: (changes: readonly Change[]) => void;
  /** Called when the first client wants to hear of changes, and when none does any more. */
  readonly onWatched: (isWatched: boolean) => void;
}

export class WriteServer {
  readonly #store: SqliteRunStore;
  readonly #options: WriteServerOptions;
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  #queue: Waiting[] = [];
  #draining: Promise<void> | undefined;
  #watchers = 0;
  #listenedAtMs = 0;
  #closing = false;

  private constructor(server: Server, options: WriteServerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#server = server;
    server.on('connection', (socket) => this.#welcome(socket));
    server.on('error', () => {}); // one that was not accepted tries again
    server.unref();
  }

  /** Only for the holder of the writer lock. @throws a system error when there is no place to listen. */
  static async listen(options: WriteServerOptions): Promise<WriteServer> {
    const { path } = options;
    rmSync(path, { force: true }); // of a writer that was killed
    const server = createServer();
    const listening = new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', resolve);
    });
    // The socket is made inside `listen`, which is synchronous up to there.
    const umask = isMainThread ? process.umask(0o177) : undefined;
    try {
      server.listen(path);
    } finally {
      if (umask !== undefined) process.umask(umask);
    }
    await listening;
    chmodSync(path, 0o600);
    return new WriteServer(server, options);
  }

  /** An operation of this process. */
  submit(op: WriteOp): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: Outcome): void => {
        if (outcome === 'void') reject(new ReeveError('E_STORE_UNAVAILABLE', 'the store was closed'));
        else if ('error' in outcome) reject(outcome.error);
        else resolve(outcome.result);
      };
      this.#queue.push({ op, from: undefined, isVoid: () => false, settle });
      this.#draining ??= this.#drain();
    });
  }

  /** Tells the clients that listen that some run changed, unknown which. */
  broadcast(): void {
    for (const client of this.#clients) if (client.watches) client.tell({ t: 'changed' });
  }

  /** Finishes what it has accepted, lets the next one in, and hangs up once the last answers are on their way. */
  async close(release: () => void): Promise<void> {
    this.#closing = true;
    this.#server.close(); // takes its name out of the folder
    await this.#draining;
    for (const client of this.#clients) client.gone = true;
    release();
    await Promise.all([...this.#clients].map((client) => client.part(PARTING_MS)));
  }

  #welcome(socket: Socket): void {
    if (this.#closing) {
      socket.destroy();
      return;
    }
    const client = new Client(socket);
    const reader = new FrameReader<ClientMessage>();
    this.#clients.add(client);
    socket.unref();
    socket.on('data', (piece: Buffer) => {
      if (this.#closing || client.gone) return; // not accepted any more: its sender repeats it elsewhere
      try {
        for (const message of reader.push(piece)) if (!client.gone) this.#hear(client, message);
      } catch {
        client.drop();
      }
    });
    socket.on('error', () => client.drop());
    socket.on('end', () => client.drop());
    socket.on('close', () => {
      client.gone = true;
      this.#clients.delete(client);
      this.#watch(client, false);
    });
    client.send({ t: 'hello', protocol: PROTOCOL });
  }

  #hear(client: Client, message: ClientMessage): void {
    switch (message.t) {
      case 'hello':
        if (message.protocol !== PROTOCOL) client.drop();
        return;
      case 'ping':
        client.send({ t: 'pong' });
        return;
      case 'watch':
        this.#watch(client, message.on);
        // From here on it hears everything; what came before it may have missed.
        if (message.on) client.send({ t: 'changed' });
        return;
      case 'request':
        this.#accept(client, message);
        return;
      default:
        throw new TypeError('not a message of this protocol');
    }
  }

  #accept(client: Client, { id, op, sentMs }: Extract<ClientMessage, { t: 'request' }>): void {
    client.take();
    const settle = (outcome: Outcome): void => {
      client.leave();
      if (client.gone) return;
      if (outcome === 'void') client.send({ t: 'void', id });
      else if ('error' in outcome) client.send({ t: 'failed', id, failure: failureOf(outcome.error) });
      else client.send({ t: 'result', id, result: outcome.result });
    };
    const isVoid = (): boolean => {
      const ageMs = monotonicMs() - sentMs;
      return client.gone || ageMs < -CLOCK_MS || ageMs >= REQUEST_MS;
    };
    this.#queue.push({ op, from: client, isVoid, settle });
    // Not at once: what other sockets have ready gets into the same transaction.
    this.#draining ??= new Promise(setImmediate).then(() => this.#drain());
  }

  #watch(client: Client, isOn: boolean): void {
    if (client.watches === isOn) return;
    client.watches = isOn;
    this.#watchers += isOn ? 1 : -1;
    if (this.#watchers === (isOn ? 1 : 0)) this.#options.onWatched(isOn);
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH_MAX);
      const outcomes = await this.#carryOut(batch);
      batch.forEach(({ settle }, at) => settle(outcomes[at] ?? 'void'));
      this.#spread(batch, outcomes);
      await this.#listenAround();
    }
    this.#draining = undefined;
  }

  /** Whoever commits in a tight loop never comes to its sockets: then the others would be shut out. */
  async #listenAround(): Promise<void> {
    if (performance.now() - this.#listenedAtMs < LISTEN_MS) return;
    await new Promise(setImmediate);
    this.#listenedAtMs = performance.now();
  }

  async #carryOut(batch: readonly Waiting[]): Promise<readonly Outcome[]> {
    try {
      const ops = batch.map(({ op }) => op);
      const results = await this.#store.write(ops, { isVoid: (at) => batch[at]?.isVoid() ?? true });
      return results.map((result) => (result === undefined ? 'void' : { result }));
    } catch (error) {
      // A failure of the store is everyone's; a defect in one operation only its sender's.
      const isEveryones = error instanceof ReeveError && error.code.startsWith('E_STORE_');
      if (isEveryones || batch.length === 1) return batch.map(() => ({ error }));
      const outcomes: Outcome[] = [];
      for (const one of batch) outcomes.push(...(await this.#carryOut([one])));
      return outcomes;
    }
  }

  /** Everyone hears of what others did; of its own operations a client learns from their results. */
  #spread(batch: readonly Waiting[], outcomes: readonly Outcome[]): void {
    const changes = batch.flatMap(({ op, from }, at) => {
      const outcome = outcomes[at] ?? 'void';
      const made = outcome !== 'void' && 'result' in outcome ? changesOf(op, outcome.result) : [];
      return made.map((change) => ({ ...change, from }));
    });
    for (const client of this.#watchers > 0 ? this.#clients : []) {
      const theirs = client.watches ? changes.filter(({ from }) => from !== client) : [];
      if (theirs.length === 0) continue;
      const runs = theirs.map(({ runId }) => runId);
      client.tell({ t: 'changed', runs, queues: theirs.map(({ queue }) => queue) });
    }
    if (changes.length > 0) this.#options.onChanged(changes);
  }
}

/** One connection. Bounded: it is not read while much of what it sent waits, and not told much that it does not take. */
class Client {
  readonly #socket: Socket;
  #waiting = 0;
  #behind = false;
  watches = false;
  /** Set before its socket is closed: nothing of it is carried out after it may know that it was hung up on. */
  gone = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => {
      if (!this.#behind) return;
      this.#behind = false;
      this.send({ t: 'changed' });
    });
  }

  take(): void {
    this.#waiting += 1;
    if (this.#waiting === BATCH_MAX) this.#socket.pause();
  }

  leave(): void {
    this.#waiting -= 1;
    if (this.#waiting === BATCH_MAX - 1) this.#socket.resume();
  }

  send(message: ServerMessage): void {
    if (!this.gone) this.#socket.write(encodeFrame(message));
  }

  /** News may be dropped as long as the client learns that there was some. */
  tell(news: ServerMessage): void {
    if (this.#socket.writableLength > NEWS_BYTES_MAX) this.#behind = true;
    else this.send(news);
  }

  drop(): void {
    this.gone = true;
    this.#socket.destroy();
  }

  /** Resolves when the last answers are with the kernel. */
  async part(ms: number): Promise<void> {
    this.gone = true;
    const left = new Promise<void>((resolve) => this.#socket.end(resolve));
    const timer = setTimeout(() => this.#socket.destroy(), ms);
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    await Promise.race([left, closed]);
    clearTimeout(timer);
    this.#socket.destroy();
  }
}
