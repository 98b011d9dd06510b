/** An SQLite store in a temporary folder, engines and workers on it, and a clock and a world in the test's hands. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../../src/engine/engine.ts';
import type { DriveEnd } from '../../src/engine/driver.ts';
import type { Executor } from '../../src/engine/executor.ts';
import { sha256 } from '../../src/engine/system.ts';
import { Worker, type WorkerOptions } from '../../src/engine/worker.ts';
import { chainHash, genesisHash } from '../../src/model/chain.ts';
import type { RunEvent } from '../../src/model/events.ts';
import type { RunSpec } from '../../src/model/run-spec.ts';
import { DirectoryBlobs } from '../../src/store/blobs/directory-blobs.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { SqliteRunStore } from '../../src/store/sqlite/sqlite-run-store.ts';
import type { EngineObserver } from '../../src/telemetry/engine-observer.ts';
import { specOf, step } from '../model/rig.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedExecutor, ScriptedWorld } from '../support/scripted-executor.ts';

export const TTL_MS = 30_000;

export class Lab {
  readonly dir = mkdtempSync(join(tmpdir(), 'reeve-engine-'));
  readonly file = join(this.dir, 'runs.sqlite');
  readonly blobs = new DirectoryBlobs(join(this.dir, 'blobs'));
  readonly clock = new ManualClock();
  readonly world = new ScriptedWorld(this.clock);
  readonly #stores: RunStore[] = [];
  readonly #stops: AbortController[] = [];
  readonly #driving: Promise<unknown>[] = [];
  #ids = 0;

  store(): SqliteRunStore {
    const store = new SqliteRunStore(this.file, { pollMs: 2 });
    this.#stores.push(store);
    return store;
  }

  /** An engine of its own process, as far as the store can tell. */
  engine(wrap: (store: RunStore) => RunStore = (store) => store, observer?: EngineObserver): Engine {
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
    rmSync(this.dir, { recursive: true, force: true });
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
