/**
 * One life of one process. All it knows of the world comes through calls: each may take effect late, twice or never,
 * and its answer may be late, wrong or lost. A crash at any place where the program waits is a call whose answer never
 * comes; a stopped process hears nothing until it goes on.
 */
import { ReeveError, type ErrorCode } from '../../src/model/errors.ts';
import type { Chance, Clock } from '../../src/engine/ports.ts';
import type { BlobStore } from '../../src/store/blob-store.ts';
import type { Commit, CommitResult, LoadedRun, RunStore } from '../../src/store/run-store.ts';
import type { CallKind, Fault, FaultPlan } from './faults.ts';
import type { Line, Machine } from './machine.ts';
import type { MemoryBlobs } from './memory-blobs.ts';
import type { MemoryDb } from './memory-store.ts';
import { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

export interface World {
  readonly scheduler: Scheduler;
  readonly db: MemoryDb;
  readonly blobs: MemoryBlobs;
  readonly machine: Machine;
  readonly faults: FaultPlan;
  readonly trace: Trace;
  /** Writes commits into the store. */
  readonly commit: (process: SimProcess, commits: readonly Commit[]) => readonly CommitResult[];
  /** Whether calls take long and time is out of joint: not once everything is healed. */
  readonly isRough: () => boolean;
  /** How long a lease holds, milliseconds. */
  readonly ttlMs: number;
}

/** What happens all the time and changes little. */
const QUIET: readonly CallKind[] = ['turn', 'read', 'renew'];

const CODES: readonly ErrorCode[] = ['E_STORE_BUSY', 'E_STORE_FULL', 'E_STORE_UNAVAILABLE'];

export class SimProcess {
  readonly name: string;
  readonly slot: string;
  isAlive = true;
  hasFaults = false;
  /** By SIGSTOP: it lives, and does nothing. */
  isStopped = false;
  /** Errors that were made up for it: reasons why it may end badly. */
  injected = 0;
  /** Asks it to stop gently. */
  readonly terminate = new AbortController();
  readonly clock: Clock;
  readonly chance: Chance;
  readonly store: RunStore;
  readonly blobs: BlobStore;
  readonly line: Line;
  readonly #world: World;
  readonly #random: Random;
  readonly #onCrash: (restartMs: number, childrenDie: boolean) => void;
  #skewMs: number;
  readonly #subscribed = new Set<(runId: string, queue: string | null) => void>();
  #inbox: (() => void)[] = [];
  #ids = 0;

  constructor(
    world: World,
    seed: number,
    slot: string,
    life: number,
    onCrash: (restartMs: number, childrenDie: boolean) => void,
  ) {
    this.#world = world;
    this.slot = slot;
    this.name = `${slot}#${life}`;
    this.#random = new Random(seed, 'process', this.name);
    this.#onCrash = onCrash;
    // Less than a renewal's margin: clocks alone end no lease.
    const skewMs = world.ttlMs / 6;
    this.#skewMs = this.#random.oneIn(3) && world.isRough() ? this.#random.int(-skewMs, skewMs) : 0;
    this.clock = {
      nowMs: () => world.scheduler.nowMs + this.#skewMs,
      sleep: (ms, signal) => this.#sleep(ms, signal),
    };
    const chances = new Random(seed, 'chance', this.name);
    this.chance = {
      random: () => chances.next(),
      id: (prefix) => `${prefix}${`${this.name.replace('#', 'i')}n${(this.#ids += 1)}`.padStart(24, '0')}`,
    };
    this.store = this.#storeOf();
    this.blobs = {
      put: (bytes) => this.#call('blob', 'put', () => world.blobs.put(bytes)),
      get: (sha256) => this.#call('blob', 'get', () => world.blobs.get(sha256)),
      has: (sha256) => this.#call('blob', 'has', () => world.blobs.has(sha256)),
      delete: (sha256) => this.#call('blob', 'delete', () => world.blobs.delete(sha256)),
    };
    this.line = {
      call: (what, key, land) => this.#call('executor', `${what} ${key}`, land, key),
      change: (key, signal) => this.#change(key, signal),
    };
  }

  turn = (): Promise<void> => this.#call('turn', 'turn', () => undefined);

  /** Its memory is gone: nothing it waits for will ever come. */
  die(): void {
    this.isAlive = false;
    this.#inbox = [];
    for (const entry of this.#subscribed) this.#world.db.listeners.delete(entry);
  }

  /** As `kill -9` does. What it started lives on. */
  kill(): void {
    if (this.isAlive) this.#onCrash(500, false);
  }

  stop(ms: number): void {
    if (this.isStopped || !this.isAlive) return;
    this.isStopped = true;
    this.#world.trace.add(this.name, 'is stopped for', ms);
    this.#world.scheduler.after(ms, () => this.#goOn());
  }

  #goOn(): void {
    if (!this.isAlive) return;
    this.isStopped = false;
    this.#world.trace.add(this.name, 'goes on');
    // What came meanwhile is heard one by one: the program runs between.
    for (const deliver of this.#inbox.splice(0)) this.#world.scheduler.after(0, () => this.deliver(deliver));
  }

  /** Lets the process hear something, when it can. */
  deliver(hear: () => void): void {
    if (!this.isAlive) return;
    if (this.isStopped) this.#inbox.push(hear);
    else hear();
  }

  #call<T>(
    kind: CallKind,
    what: string,
    land: (fault?: Fault) => T | Promise<T>,
    effectKey?: string,
  ): Promise<T> {
    const { scheduler, faults, trace } = this.#world;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (!this.isAlive) return promise;
    const fault = faults.take(this.slot, kind);
    if (fault !== undefined) this.hasFaults = true;
    if (fault !== undefined) trace.add(this.name, `${fault.id} ${fault.kind} at`, what, fault.ms);
    const answer = (error: Error | undefined, value: T | undefined, afterMs: number): void => {
      scheduler.after(afterMs, () =>
        this.deliver(() => (error === undefined ? resolve(value as T) : reject(error))),
      );
    };
    const effect = (): void => {
      if (!QUIET.includes(kind)) trace.add(this.name, what);
      let landed: T | Promise<T> | undefined;
      let error: Error | undefined;
      try {
        landed = land(fault);
      } catch (cause) {
        error = cause as Error;
      }
      const wrong = this.#afterEffect(fault, kind, land);
      if (wrong !== undefined) error ??= wrong;
      const afterMs = fault?.kind === 'slowAnswer' ? fault.ms : this.#latencyMs(kind);
      if (!(landed instanceof Promise)) return answer(error, landed, afterMs);
      landed.then(
        (value) => answer(error, value, afterMs),
        (cause: Error) => answer(error ?? cause, undefined, afterMs),
      );
    };
    if (!this.#beforeEffect(fault, effectKey)) return promise;
    const early = this.#errorBefore(fault, kind);
    if (early !== undefined) {
      answer(early, undefined, this.#latencyMs(kind));
      return promise;
    }
    const isLate = fault?.kind === 'late' || fault?.kind === 'stopBefore';
    // What a process had asked for before it died happens all the same, or does not: it was on its way.
    const isOnItsWay = this.#random.oneIn(2);
    scheduler.after(isLate ? fault.ms : this.#latencyMs(kind), () => {
      if (this.isAlive || isOnItsWay) effect();
    });
    return promise;
  }

  /** @returns whether the call goes out at all. */
  #beforeEffect(fault: Fault | undefined, effectKey: string | undefined): boolean {
    const { scheduler, machine } = this.#world;
    switch (fault?.kind) {
      case 'crashBefore':
        // Not at once: whoever calls is still running, and goes on to where it waits.
        scheduler.after(0, () => this.#crash(fault));
        return false;
      case 'stopBefore':
        this.stop(fault.ms);
        return true;
      case 'clockJump':
        this.#skewMs += fault.ms;
        return true;
      case 'recordLost':
        if (effectKey !== undefined) machine.lose(effectKey);
        return true;
      case 'terminate':
        scheduler.after(0, () => this.deliver(() => this.terminate.abort()));
        return true;
      default:
        return true;
    }
  }

  #errorBefore(fault: Fault | undefined, kind: CallKind): Error | undefined {
    if (fault?.kind !== 'errorBefore' && fault?.kind !== 'executorError') return undefined;
    return this.#made(kind, fault);
  }

  /** What goes wrong once the call has had its effect. @returns the error that is answered instead, if any. */
  #afterEffect(fault: Fault | undefined, kind: CallKind, land: () => unknown): Error | undefined {
    switch (fault?.kind) {
      case 'crashAfter':
        this.#crash(fault);
        return undefined;
      case 'stopAfter':
        this.stop(fault.ms);
        return undefined;
      case 'twice':
        this.#world.scheduler.after(fault.ms, () => void land());
        return undefined;
      case 'errorAfter':
      case 'executorErrorAfter':
        return this.#made(kind, fault);
      default:
        return undefined;
    }
  }

  #made(kind: CallKind, { ms }: Fault): Error {
    this.injected += 1;
    if (kind === 'executor') return new Error('the executor cannot be reached');
    const code = CODES[ms % CODES.length] ?? 'E_STORE_BUSY';
    return new ReeveError(code, 'made up by the simulation');
  }

  #crash({ ms, flag }: Fault): void {
    if (this.isAlive) this.#onCrash(ms, flag);
  }

  #latencyMs(kind: CallKind): number {
    if (!this.#world.isRough()) return 0;
    if (kind === 'turn') return 0;
    const dice = this.#random.next();
    return dice < 0.6 ? Math.floor(dice * 5) : dice < 0.97 ? Math.floor(dice * 20) : Math.floor(dice * 800);
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (!this.isAlive) return;
      if (signal?.aborted === true) return resolve();
      const cancel = this.#world.scheduler.after(ms, () => this.deliver(done));
      const done = (): void => {
        cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  #change(effectKey: string, signal: AbortSignal): { heard: Promise<void>; stop: () => void } {
    const { scheduler, machine } = this.#world;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stopListening = machine.listen(effectKey, () =>
      scheduler.after(this.#latencyMs('executor'), () => this.deliver(resolve)),
    );
    const abort = (): void => resolve();
    if (signal.aborted) resolve();
    signal.addEventListener('abort', abort, { once: true });
    return {
      heard: promise,
      stop: () => {
        stopListening();
        signal.removeEventListener('abort', abort);
      },
    };
  }

  #storeOf(): RunStore {
    const { db, commit, scheduler } = this.#world;
    const read = <T>(what: string, land: () => T): Promise<T> => this.#call('read', what, land);
    return {
      commit: (commits) =>
        this.#call('commit', `commit ${commits.map(describeCommit).join(', ')}`, () => commit(this, commits)),
      renew: (...lease) =>
        this.#call('renew', `renew ${lease[0]}/${lease[1]} epoch ${lease[2]}`, () => db.renew(...lease)),
      load: (runId) =>
        this.#call(
          db.load(runId)?.snapshot === undefined ? 'load' : 'loadSnapshot',
          `load ${runId}`,
          (fault) => torn(db.load(runId), fault?.kind === 'tornSnapshot'),
        ),
      head: (runId) => read(`head ${runId}`, () => db.runs.get(runId)?.head),
      events: (...query) => read(`events ${query[0]} > ${query[1]}`, () => db.events(...query)),
      runOf: (alias) => read(`run of ${alias}`, () => db.names.get(alias)),
      aliases: (runId) => read(`aliases ${runId}`, () => db.aliases(runId)),
      list: (query) => read('list', () => db.list(query)),
      due: (query) => read('due', () => db.due(query)),
      nextDueMs: (queues) => read('next due', () => db.nextDueMs(queues)),
      standing: (queue, nowMs) => read(`standing ${queue}`, () => db.standing(queue, nowMs)),
      holders: (queue) => read(`holders ${queue}`, () => db.holders(queue)),
      heldBy: (...query) => read(`held by ${query[1]}`, () => db.heldBy(...query)),
      work: (runId) => read(`work ${runId}`, () => db.work(runId)),
      remove: (runId) => this.#call('commit', `remove ${runId}`, () => db.remove(runId)),
      subscribe: (listener) => {
        // Of one's own commits and of others' one hears later, of theirs sometimes not at all.
        const entry = (runId: string, queue: string | null): void => {
          if (this.isAlive && !this.#random.oneIn(10))
            scheduler.after(this.#latencyMs('read'), () => this.deliver(() => listener(runId, queue)));
        };
        db.listeners.add(entry);
        this.#subscribed.add(entry);
        return () => db.listeners.delete(entry);
      },
      close: () => Promise.resolve(),
    };
  }
}

function torn(loaded: LoadedRun | undefined, isTorn: boolean): LoadedRun | undefined {
  if (!isTorn || loaded?.snapshot === undefined) return loaded;
  const { version, body } = loaded.snapshot;
  return { ...loaded, snapshot: { version, body: body.slice(0, body.length / 2) } };
}

function describeCommit({ runId, expectedVersion, events }: Commit): string {
  return `${runId}@${expectedVersion} [${events.map(({ type }) => type).join(' ')}]`;
}
