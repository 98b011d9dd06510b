/**
 * Several processes, one store root, one writer at a time; nobody has to know who it is.
 *
 * Reads go to the file. The first write makes a process look for the writer: it becomes the writer itself (WriterLock,
 * WriteServer) or hands its writes over (WriteClient). Where neither works within a second — the writer is stopped, or
 * of another version, or there is no place for a socket — it writes for itself: SqliteRunStore is correct with several
 * processes on the file, only not fair, and it goes on looking meanwhile.
 *
 *   none ──► writer (until closed)
 *    │ ▲
 *    ▼ │ hung up or killed: look again at once, and repeat what has no answer
 *   client ──silent──► alone ──found──► client | writer
 *
 * A repeated commit that is already there counts as ok (WriteOp), and no operation is carried out by two (wire.ts): so
 * nothing is lost and nothing is written twice.
 */
import { join } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type {
  ChangeListener,
  Commit,
  CommitResult,
  DueQuery,
  Holder,
  ListQuery,
  LoadedRun,
  QueueStanding,
  RunHead,
  RunPage,
  RunStore,
  StoredEvent,
  WorkRow,
} from '../run-store.ts';
import { socketPath } from './socket-path.ts';
import { SqliteRunStore } from './sqlite-run-store.ts';
import { Unanswered, WriteClient } from './write-client.ts';
import { changesOf, type WriteOp, type WriteResult } from './write-op.ts';
import { WriteServer } from './write-server.ts';
import { WriterLock } from './writer-lock.ts';

export interface SharedRunStoreOptions {
  /** How long a write waits for other processes before E_STORE_BUSY, milliseconds. */
  readonly busyMs?: number;
  /** How often a listener looks for commits of other processes while no writer tells it, milliseconds. */
  readonly pollMs?: number;
  /** `read` for a folder that cannot be written: every write is then E_STORE_UNAVAILABLE. */
  readonly access?: 'write' | 'read';
}

type Role =
  | { readonly kind: 'none' | 'alone' }
  | { readonly kind: 'writer'; readonly server: WriteServer }
  | { readonly kind: 'client'; readonly client: WriteClient };

/** How long a write waits for a writer to be found, milliseconds. */
const PATIENCE_MS = 1000;
/** Pauses between two looks for the writer: of one who waits for it, of one who writes alone, of one who only listens. */
const PAUSE_MS = { hurried: 12, alone: 200, listening: 1000 } as const;

export const DATABASE_NAME = 'reeve.sqlite';

export class SharedRunStore implements RunStore {
  readonly #root: string;
  readonly #local: SqliteRunStore;
  readonly #busyMs: number;
  readonly #access: 'write' | 'read';
  readonly #listeners = new Set<ChangeListener>();
  readonly #inFlight = new Set<Promise<unknown>>();
  #role: Role = { kind: 'none' };
  #lock: WriterLock | undefined;
  #search: Promise<void> | undefined;
  /** Resolved by the search once a write need not wait any longer: with a role, or without one. */
  #settled = Promise.withResolvers<void>();
  /** Cuts the pause of a search that was in no hurry. */
  #hurry: (() => void) | undefined;
  #writes = false;
  #isWatched = false;
  #unpoll: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  /** Nothing is on its way any more. */
  #ended = false;

  /** @throws ReeveError E_STORE_* as SqliteDatabase does. The folder must be there. */
  constructor(root: string, { busyMs = 15_000, pollMs = 50, access = 'write' }: SharedRunStoreOptions = {}) {
    this.#root = root;
    this.#busyMs = busyMs;
    this.#access = access;
    this.#local = new SqliteRunStore(join(root, DATABASE_NAME), { busyMs, pollMs, access });
  }

  /** What this process is to the others at this instant; for tests and diagnostics. */
  get role(): Role['kind'] {
    return this.#role.kind;
  }

  async commit(commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    return (await this.#write({ op: 'commit', commits, again: false })) as readonly CommitResult[];
  }
  async renew(runId: string, node: string, epoch: number, untilMs: number): Promise<boolean> {
    return (await this.#write({ op: 'renew', runId, node, epoch, untilMs })) === true;
  }
  async remove(runId: string): Promise<boolean> {
    const identity = await this.#local.identityOf(runId);
    return identity !== undefined && (await this.#write({ op: 'remove', runId, ...identity })) === true;
  }

  head(runId: string): Promise<RunHead | undefined> {
    return this.#local.head(runId);
  }
  load(runId: string): Promise<LoadedRun | undefined> {
    return this.#local.load(runId);
  }
  events(
    runId: string,
    after: number,
    limit: number,
    types?: readonly string[],
  ): Promise<readonly StoredEvent[]> {
    return this.#local.events(runId, after, limit, types);
  }
  runOf(alias: string): Promise<string | undefined> {
    return this.#local.runOf(alias);
  }
  aliases(runId: string): Promise<readonly string[]> {
    return this.#local.aliases(runId);
  }
  list(query: ListQuery): Promise<RunPage> {
    return this.#local.list(query);
  }
  due(query: DueQuery): Promise<readonly WorkRow[]> {
    return this.#local.due(query);
  }
  nextDueMs(queues: readonly string[]): Promise<number | undefined> {
    return this.#local.nextDueMs(queues);
  }
  standing(queue: string, nowMs: number): Promise<QueueStanding> {
    return this.#local.standing(queue, nowMs);
  }
  holders(queue: string): Promise<readonly Holder[]> {
    return this.#local.holders(queue);
  }
  heldBy(queue: string, worker: string, limit: number): Promise<readonly WorkRow[]> {
    return this.#local.heldBy(queue, worker, limit);
  }
  work(runId: string): Promise<readonly WorkRow[]> {
    return this.#local.work(runId);
  }

  integrity(): Promise<readonly string[]> {
    return this.#local.integrity();
  }

  subscribe(listener: ChangeListener): () => void {
    const entry: ChangeListener = (runId, queue) => listener(runId, queue);
    this.#listeners.add(entry);
    this.#listen();
    return () => {
      this.#listeners.delete(entry);
      this.#listen();
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    await Promise.allSettled(this.#inFlight);
    this.#ended = true;
    this.#unpoll?.();
    this.#hurry?.();
    await this.#search;
    const role = this.#role;
    if (role.kind === 'writer') await role.server.close(() => this.#lock?.release());
    else this.#lock?.release();
    if (role.kind === 'client') role.client.close();
    await this.#local.close();
  }

  async #write(op: WriteOp): Promise<WriteResult> {
    if (this.#closed !== undefined) throw new ReeveError('E_STORE_UNAVAILABLE', 'the store was closed');
    const writing = this.#carryOut(op);
    this.#inFlight.add(writing);
    try {
      return await writing;
    } finally {
      this.#inFlight.delete(writing);
    }
  }

  async #carryOut(op: WriteOp): Promise<WriteResult> {
    const giveUpAtMs = performance.now() + this.#busyMs;
    let current = op;
    for (;;) {
      const role = await this.#found();
      try {
        // The server tells the listeners of this process of everything it carries out.
        if (role.kind === 'writer') return await role.server.submit(current);
        if (role.kind === 'client') return this.#tell(op, await role.client.request(current));
        return await this.#writeAlone(current, giveUpAtMs);
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
        if (error.sent && current.op === 'commit') current = { ...current, again: true };
        if (error.next === 'write') return this.#writeAlone(current, giveUpAtMs);
      }
      if (performance.now() > giveUpAtMs) {
        throw new ReeveError('E_STORE_BUSY', 'the store is busy: its writers come and go', {
          root: this.#root,
        });
      }
    }
  }

  async #writeAlone(op: WriteOp, giveUpAtMs: number): Promise<WriteResult> {
    const busyMs = Math.max(0, giveUpAtMs - performance.now());
    const [result = false] = await this.#local.write([op], { busyMs });
    return this.#tell(op, result);
  }

  #tell(op: WriteOp, result: WriteResult): WriteResult {
    for (const { runId, queue } of changesOf(op, result)) this.#notify(runId, queue);
    return result;
  }

  #notify(...change: Parameters<ChangeListener>): void {
    for (const listener of this.#listeners) listener(...change);
  }

  /** The role to write in; looks for one, for a while, when there is none. */
  async #found(): Promise<Role> {
    this.#writes = true;
    if (this.#access === 'read') return { kind: 'alone' };
    while (this.#role.kind === 'none' && !this.#ended) {
      this.#look();
      this.#hurry?.();
      await this.#settled.promise;
    }
    return this.#role;
  }

  #look(): void {
    if (this.#search !== undefined || this.#ended) return;
    this.#settled = Promise.withResolvers();
    this.#search = this.#searching().finally(() => {
      this.#search = undefined;
      this.#settled.resolve();
      this.#listen();
    });
  }

  async #searching(): Promise<void> {
    let path: string | undefined;
    let client: WriteClient | undefined;
    let startedMs: number | undefined;
    try {
      path = socketPath(this.#root);
    } catch {
      // Nothing to look for; the write itself says what is wrong with the folder.
    }
    while (!this.#ended) {
      if (this.#writes) startedMs ??= performance.now();
      let isHopeless = path === undefined;
      if (this.#writes && path !== undefined) {
        const became = await this.#becomeWriter(path);
        isHopeless = became === 'impossible';
        if (became === 'writer') {
          client?.close();
          return;
        }
      }
      if (path !== undefined) client ??= this.#connect(path);
      const isReady = isHopeless ? undefined : await this.#pause(client);
      if (isReady === true && client !== undefined) {
        if (!client.open) {
          client = undefined; // hung up at once
          continue;
        }
        this.#role = { kind: 'client', client };
        return;
      }
      if (isReady === false) client = undefined;
      const isLong = startedMs !== undefined && performance.now() - startedMs >= PATIENCE_MS;
      if (isLong || isHopeless) {
        this.#role = { kind: 'alone' };
        this.#settled.resolve();
      }
      if (isHopeless) break;
      if (!this.#writes && this.#listeners.size === 0) break;
    }
    client?.close();
  }

  /** Waits a while for the greeting: true when it came, false when it cannot come any more. */
  async #pause(client: WriteClient | undefined): Promise<boolean | undefined> {
    const kind = this.#role.kind === 'alone' ? 'alone' : this.#writes ? 'hurried' : 'listening';
    const ms = PAUSE_MS[kind] * (0.5 + Math.random());
    const { promise: slept, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, ms, undefined);
    if (kind !== 'hurried') timer.unref();
    this.#hurry = () => resolve(undefined);
    let result = await Promise.race([slept, client?.ready ?? slept]);
    // No writer there: not at once again, unless a write has just come.
    if (result === false) result = (await slept) ?? false;
    clearTimeout(timer);
    this.#hurry = undefined;
    return result;
  }

  async #becomeWriter(path: string): Promise<'writer' | 'taken' | 'impossible'> {
    try {
      this.#lock ??= new WriterLock(join(this.#root, 'writer.lock'));
      if (!this.#lock.tryAcquire()) return 'taken';
      const server = await WriteServer.listen({
        store: this.#local,
        path,
        onChanged: (changes) => {
          for (const { runId, queue } of changes) this.#notify(runId, queue);
        },
        onWatched: (isWatched) => {
          this.#isWatched = isWatched;
          this.#listen();
        },
      });
      this.#role = { kind: 'writer', server };
      return 'writer';
    } catch {
      // No place for a lock or a socket. Others must not wait for us, and will find the same.
      this.#lock?.release();
      this.#lock = undefined;
      return 'impossible';
    }
  }

  #connect(path: string): WriteClient {
    const client = new WriteClient(path, {
      onChanged: ({ runs, queues }) => {
        if (runs === undefined) this.#notify(undefined);
        else runs.forEach((runId, at) => this.#notify(runId, queues?.[at]));
      },
      onGone: (why) => {
        if (this.#role.kind !== 'client' || this.#role.client !== client) return;
        this.#role = { kind: why === 'silent' ? 'alone' : 'none' };
        if (this.#ended) return;
        if (why === 'silent' || this.#listeners.size > 0) this.#look();
        this.#listen();
        this.#notify(undefined); // what happened meanwhile nobody has told us
      },
    });
    return client;
  }

  /** Makes sure that changes are heard of in one way, and only while somebody listens. */
  #listen(): void {
    if (this.#ended) return;
    const isHeard = this.#listeners.size > 0;
    const role = this.#role;
    if (role.kind === 'client') role.client.watch(isHeard);
    // A writer looks as well: those who write alone tell nobody.
    const polls = role.kind === 'client' ? false : isHeard || this.#isWatched;
    if (polls && this.#unpoll === undefined) {
      this.#unpoll = this.#local.subscribe(() => {
        if (this.#role.kind === 'writer') this.#role.server.broadcast();
        this.#notify(undefined);
      });
    } else if (!polls) {
      this.#unpoll?.();
      this.#unpoll = undefined;
    }
    if (isHeard && role.kind === 'none') this.#look();
  }
}
