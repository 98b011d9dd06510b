// Reeve. A client adds each step to its run, has it begun, performs the effect, and records its end, as a program
// does that decides at each step what comes next. Or, planned: runs with a declared plan are carried out by a worker, here
// or in another process; all writes go to the store, whose writer is the process that asks.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Engine } from '../../src/engine/engine.ts';
import { systemDeaths } from '../../src/engine/process-proof.ts';
import { systemChance, systemClock } from '../../src/engine/system.ts';
import { Worker } from '../../src/engine/worker.ts';
import type { NodeSpec } from '../../src/model/node.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { openStore, type Store } from '../../src/store/open-store.ts';
import { parseStoreUrl } from '../../src/store/store-address.ts';
import { TrivialExecutor } from './reeve-executor.ts';
import {
  bytesBelow,
  Inbox,
  nowMs,
  sequences,
  startWorker,
  type Place,
  type System,
  type Told,
} from './system.ts';

type Kind = 'sqlite' | 'postgres';

export function storeOf({ dir, postgres }: Place, kind: Kind): Promise<Store> {
  const root = join(dir, 'store');
  if (kind === 'sqlite') return openStore(root, { create: true });
  return openStore(root, { create: true, postgres: parseStoreUrl(postgres) });
}

export function engineOn(store: Store): Engine {
  return new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
    deaths: systemDeaths,
  });
}

export const COMMON = { tenant: 'bench', actor: 'bench', name: 'bench', limits: {}, labels: {} } as const;
const CLAIMANT = { worker: 'bench', leaseId: 'bench', ttlMs: 600_000 };

/** Performs plans, in this process; `work` of a worker elsewhere is the same. */
function startWorking(
  engine: Engine,
  concurrency: number,
  tell: (message: Told) => void,
  onBegin: (runId: string) => void = () => undefined,
): () => Promise<void> {
  const executor = new TrivialExecutor(({ runId, nodeId }) => {
    onBegin(runId);
    if (nodeId === '0') tell({ kind: 'begun', id: runId, atMs: nowMs() });
  });
  const worker = new Worker({ engine, executors: new Map([[executor.name, executor]]), worker: 'bench' });
  const stop = new AbortController();
  const running = worker.run({ queues: ['default'], concurrency }, stop.signal);
  return async () => {
    stop.abort();
    await running;
  };
}

export async function workOn(
  place: Place,
  kind: Kind,
  tell: (message: Told) => void,
): Promise<() => Promise<void>> {
  const store = await storeOf(place, kind);
  const stop = startWorking(engineOn(store), place.clientsMax, tell);
  return async () => {
    await stop();
    await store.close();
  };
}

/** @param isPlanned Also in this process, a worker carries out declared plans. */
export async function openReeve(
  place: Place,
  kind: Kind,
  module: string,
  isPlanned = place.elsewhere,
): Promise<System> {
  const store = await storeOf(place, kind);
  const engine = engineOn(store);
  // With this, our process is the first to write, and so the writer of an embedded store.
  await engine.execute('first', {
    type: 'create',
    spec: { ...COMMON, root: { id: 'root', kind: 'composite' }, nodes: [] },
  });
  const begun = new Inbox<number>();
  const ends = new Ends(store.runs);
  const lapses = new Lapses();
  const tell = ({ id, atMs }: Told): void => begun.put(id, atMs);
  let stop: (() => Promise<void>) | undefined = place.elsewhere
    ? await startWorker(module, place, tell)
    : undefined;
  let runs = 0;

  const plan = async (nodes: readonly NodeSpec[], maxParallel: number): Promise<string> => {
    // Not before: a program that drives its own runs has no worker beside it, which would look for work at each commit.
    stop ??= startWorking(engine, place.clientsMax, tell, (runId) => lapses.note(runId));
    runs += 1;
    const runId = `plan-${runs}`;
    const root: NodeSpec = { id: 'root', kind: 'composite', drive: 'plan', maxParallel };
    await engine.execute(runId, { type: 'create', spec: { ...COMMON, root, nodes } });
    return runId;
  };

  const planned = async (each: number): Promise<void> => {
    const nodes = Array.from({ length: each }, (_, n): NodeSpec => {
      return { id: `${n}`, kind: 'atomic', executor: 'bench', ...(n === 0 ? {} : { needs: [`${n - 1}`] }) };
    });
    await ends.of(await plan(nodes, 1));
  };

  const decided = async (clients: number, each: number): Promise<number[]> => {
    runs += 1;
    const name = (client: number): string => `steps-${runs}-${client}`;
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        const runId = name(client);
        const root: NodeSpec = { id: 'root', kind: 'composite' };
        await engine.execute(runId, { type: 'create', spec: { ...COMMON, queue: 'own', root, nodes: [] } });
        await engine.execute(runId, { type: 'claim', node: 'root', claimant: CLAIMANT });
        const seenMs = engine.clock.nowMs();
        await engine.execute(runId, { type: 'release', node: 'root', epoch: 1, cause: 'released', seenMs });
      }),
    );
    return sequences(clients, each, (client, n) => step(engine, name(client), `${n}`));
  };

  return {
    async steps(clients, each) {
      if (!isPlanned) return decided(clients, each);
      await Promise.all(Array.from({ length: clients }, () => planned(each)));
      return lapses.take();
    },
    async dispatch() {
      const fromMs = nowMs();
      const runId = await plan([{ id: '0', kind: 'atomic', executor: 'bench' }], 1);
      const acceptedMs = nowMs() - fromMs;
      const begunMs = (await begun.take(runId)) - fromMs;
      await ends.of(runId);
      return { acceptedMs, begunMs };
    },
    async fanOut(children) {
      const nodes = Array.from(
        { length: children },
        (_, n): NodeSpec => ({ id: `${n}`, kind: 'atomic', executor: 'bench' }),
      );
      const runId = await plan(nodes, children);
      await ends.of(runId);
      await begun.take(runId);
    },
    ...(kind === 'sqlite' ? { bytes: () => bytesBelow(join(place.dir, 'store')) } : {}),
    async close() {
      await stop?.();
      await store.close();
    },
  };
}

/** The second run of `steps` is `steps-2-0`, after one to warm up: another step of it, by a process that knows nothing of it. */
export async function resumeReeve(place: Place, kind: Kind): Promise<void> {
  const store = await storeOf(place, kind);
  const engine = engineOn(store);
  await step(engine, 'steps-2-0', 'resumed');
  await store.close();
}

/** One durable step: the node and its intent are recorded, the effect performed, its end recorded. */
async function step(engine: Engine, runId: string, node: string): Promise<void> {
  const nodes: readonly NodeSpec[] = [{ id: node, kind: 'atomic', executor: 'bench' }];
  await Promise.all([
    engine.execute(runId, { type: 'add_nodes', parent: 'root', nodes }),
    engine.execute(runId, { type: 'start', node, epoch: 0, claimant: CLAIMANT }),
  ]);
  const outputs = { n: await Promise.resolve(node) }; // the effect
  const outcome = 'succeeded';
  await engine.execute(runId, { type: 'finish', node, attempt: 1, epoch: 1, outcome, usage: {}, outputs });
}

/** From one effect of a run to the next: what a step takes where a worker in this process decides what is next. */
class Lapses {
  readonly #lastMs = new Map<string, number>();
  #times: number[] = [];

  note(runId: string): void {
    const now = performance.now();
    const last = this.#lastMs.get(runId);
    if (last !== undefined) this.#times.push(now - last);
    this.#lastMs.set(runId, now);
  }

  take(): readonly number[] {
    const times = this.#times;
    this.#times = [];
    this.#lastMs.clear();
    return times;
  }
}

/** Learns which runs are over by asking the store for those that are not, every 10 ms, all at once. */
class Ends {
  readonly #store: RunStore;
  readonly #waiting = new Map<string, () => void>();
  #looking = false;

  constructor(store: RunStore) {
    this.#store = store;
  }

  of(runId: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(runId, resolve);
      if (this.#looking) return;
      this.#looking = true;
      this.#look().catch(reject);
    });
  }

  async #look(): Promise<void> {
    while (this.#waiting.size > 0) {
      await delay(10);
      const asked = [...this.#waiting.keys()];
      const { runs } = await this.#store.list({ phases: ['queued', 'running', 'held'], limit: 500 });
      const open = new Set(runs.map(({ id }) => id));
      for (const id of asked.filter((run) => !open.has(run))) {
        const head = await this.#store.head(id);
        if (head?.phase !== 'succeeded') throw new Error(`run ${id} is ${head?.phase}`);
        this.#waiting.get(id)?.();
        this.#waiting.delete(id);
      }
    }
    this.#looking = false;
  }
}
