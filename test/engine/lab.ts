/** A store, engines and workers on it, and a clock and a world in the test's hands. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../../src/engine/engine.ts';
import type { DriveEnd } from '../../src/engine/driver.ts';
import type { Deaths } from '../../src/engine/ports.ts';
import type { Executor } from '../../src/engine/executor.ts';
import { sha256 } from '../../src/engine/system.ts';
import { Worker, type WorkerOptions } from '../../src/engine/worker.ts';
import { chainHash, genesisHash } from '../../src/model/chain.ts';
import type { RunEvent } from '../../src/model/events.ts';
import type { RunSpec } from '../../src/model/run-spec.ts';
import { DirectoryBlobs } from '../../src/store/blobs/directory-blobs.ts';
import type { BlobStore } from '../../src/store/blob-store.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { SqliteRunStore } from '../../src/store/sqlite/sqlite-run-store.ts';
import type { EngineObserver } from '../../src/telemetry/engine-observer.ts';
import { specOf, step } from '../model/rig.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedExecutor, ScriptedWorld } from '../support/scripted-executor.ts';

export const TTL_MS = 30_000;

/** One store, which several processes may open. */
export interface LabStore {
  readonly blobs: BlobStore;
  open(): RunStore;
  /** After all that were opened are closed. */
  close(): Promise<void>;
}

/** SQLite in a temporary folder. */
function sqliteStore(): LabStore {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-engine-'));
  return {
    blobs: new DirectoryBlobs(join(dir, 'blobs')),
    open: () => new SqliteRunStore(join(dir, 'runs.sqlite'), { pollMs: 2 }),
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

export class Lab {
  readonly #store: LabStore;
  #calls = 0;
  readonly clock = new ManualClock(undefined, () => this.#calls > 0);
  readonly world = new ScriptedWorld(this.clock);
  readonly #stores: RunStore[] = [];
  readonly #stops: AbortController[] = [];
  readonly #driving: Promise<unknown>[] = [];
  #ids = 0;

  constructor(store: LabStore = sqliteStore()) {
    this.#store = store;
  }

  get blobs(): BlobStore {
    return this.#store.blobs;
  }

  store(): RunStore {
    const store = this.#store.open();
    this.#stores.push(store);
    return this.#counted(store);
  }

  /** An engine of its own process, as far as the store can tell. */
  engine(
    wrap: (store: RunStore) => RunStore = (store) => store,
    observer?: EngineObserver,
    deaths?: Deaths,
  ): Engine {
    const chance = {
      random: () => 0.5,
      id: (prefix: string) => `${prefix}${String((this.#ids += 1)).padStart(24, '0')}`,
    };
    return new Engine({
      store: wrap(this.store()),
      blobs: this.blobs,
      clock: this.clock,
      chance,
      ...(observer === undefined ? {} : { observer }),
      ...(deaths === undefined ? {} : { deaths }),
    });
  }

  worker(name: string, more: Partial<WorkerOptions> & { engine?: Engine } = {}): Worker {
    const executors = new Map<string, Executor>([['x', new ScriptedExecutor(this.world)]]);
    return new Worker({
      engine: more.engine ?? this.engine(),
      executors,
      worker: name,
      ttlMs: TTL_MS,
      ...more,
    });
  }

  /** Claims the run and drives it in the background. */
  async drive(worker: Worker, runId: string, resume?: Parameters<Worker['claim']>[2]): Promise<Driving> {
    const claimed = await worker.claim(runId, undefined, resume);
    if (claimed === undefined) throw new Error(`${runId} was not claimed`);
    const stop = new AbortController();
    const ended = worker.drive(claimed.lease, stop.signal);
    this.#stops.push(stop);
    this.#driving.push(ended.catch(() => undefined));
    return { ended, stop: () => stop.abort() };
  }

  /** Runs a worker in the background until it is stopped. */
  run(worker: Worker, concurrency = 2, untilIdle = false): { ended: Promise<void>; stop: () => void } {
    const stop = new AbortController();
    const ended = worker.run({ queues: ['default'], concurrency, untilIdle }, stop.signal);
    this.#stops.push(stop);
    this.#driving.push(ended.catch(() => undefined));
    return { ended, stop: () => stop.abort() };
  }

  /** Waits in real time until an effect of the node's attempt runs; returns its key. */
  async running(runId: string, index: number, attempt = 1): Promise<string> {
    const key = `${runId}.${index}.${attempt}`;
    await this.clock.until(() => this.world.running().includes(key), `${key} to run`);
    return key;
  }

  /** Lets time pass, a second at a time, until it holds. */
  passing(holds: () => Promise<boolean>, what: string): Promise<void> {
    return this.clock.until(async () => {
      await this.clock.advance(1000);
      return holds();
    }, what);
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop.abort();
    const ended = new Set<Promise<unknown>>();
    for (const driving of this.#driving) void driving.then(() => ended.add(driving));
    while (ended.size < this.#driving.length) {
      for (const key of this.world.running()) this.world.end(key, { outcome: 'canceled' });
      await this.clock.advance(1000);
    }
    for (const store of this.#stores) await store.close();
    await this.#store.close();
  }

  /** The store, with the clock told while somebody waits for it: its answers may take real time. */
  #counted(store: RunStore): RunStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          const given: unknown = Reflect.apply(value, target, args);
          if (!(given instanceof Promise)) return given;
          this.#calls += 1;
          return given.finally(() => {
            this.#calls -= 1;
          });
        };
      },
    });
  }
}

export interface Driving {
  readonly ended: Promise<DriveEnd>;
  readonly stop: () => void;
}

/** A run of a plan; steps hang until the test ends them unless their input says otherwise. */
export function planOf(nodes: RunSpec['nodes'], more: Partial<RunSpec> = {}, maxParallel = 1): RunSpec {
  return specOf({ root: { id: 'root', kind: 'composite', drive: 'plan', maxParallel }, nodes, ...more });
}

export const QUICK = { input: { fate: 'succeed' } } as const;
export const HANGS = { input: { fate: 'hang' } } as const;

/** Steps in a row, each ending by itself. */
export function quick(...ids: string[]): RunSpec['nodes'] {
  return ids.map((id, at) => step(id, { ...QUICK, ...(at === 0 ? {} : { needs: [ids[at - 1] ?? ''] }) }));
}

export async function eventsOf(engine: Engine, runId: string): Promise<RunEvent[]> {
  return (await engine.events(runId)).map(({ event }) => event);
}

export async function typesOf(engine: Engine, runId: string): Promise<string[]> {
  return (await eventsOf(engine, runId)).map(({ type }) => type);
}

/** I2, on what the store has: 1..n, each body hashed onto its predecessor. Returns n. */
export async function verifyChain(store: RunStore, runId: string): Promise<number> {
  const events = await store.events(runId, 0, 100_000);
  let previous = genesisHash(runId, sha256);
  for (const [at, { seq, body, hash }] of events.entries()) {
    previous = chainHash(previous, body, sha256);
    if (seq !== at + 1 || hash !== previous) throw new Error(`the chain of ${runId} breaks at ${seq}`);
  }
  const head = await store.head(runId);
  if (head?.version !== events.length || head.hash !== previous)
    throw new Error(`the head of ${runId} is not its last event`);
  return events.length;
}
