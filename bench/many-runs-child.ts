// One process of the scenarios with many runs: `make` them, `wake` parked ones, or `work` on live ones until it is killed.
import { setTimeout as delay } from 'node:timers/promises';
import { newLeaseId } from '../src/engine/process-proof.ts';
import { Worker } from '../src/engine/worker.ts';
import type { NodeSpec } from '../src/model/node.ts';
import { TrivialExecutor } from './systems/reeve-executor.ts';
import { COMMON, engineOn, storeOf } from './systems/reeve.ts';
import { nowMs, residentBytes, type Place } from './systems/system.ts';

export interface ManyOrder {
  readonly mode: 'make' | 'wake' | 'work';
  readonly kind: 'sqlite' | 'postgres';
  readonly place: Place;
  /** `make`: runs. `wake`: how many of them. */
  readonly count: number;
  /** `make`: each waits for a decision. */
  readonly parked: boolean;
}

export interface Made {
  readonly seconds: number;
}

export interface Woken {
  /** Of a process that has opened the store and looked for work, bytes. */
  readonly idleBytes: number;
  /** From the first approval until the last woken run's step began. */
  readonly seconds: number;
}

/** Commands that are under way at one time. */
const ABREAST = 256;
const CONCURRENCY = 32;
/** How long an effect of a live run takes, milliseconds: so there is always some of them under way. */
const EFFECT_MS = 50;

const order = JSON.parse(process.argv[2] ?? '') as ManyOrder;
const store = await storeOf(order.place, order.kind);
const engine = engineOn(store);
const result = await { make, wake, work }[order.mode]();
await store.close();
process.send?.(result, () => process.exit());

async function abreast(count: number, one: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(ABREAST, count) }, async () => {
      while (next < count) {
        next += 1;
        await one(next - 1);
      }
    }),
  );
}

async function make(): Promise<Made> {
  const nodes: readonly NodeSpec[] = ['0', '1'].map((id) => ({
    id,
    kind: 'atomic',
    executor: 'bench',
    ...(id === '0' ? {} : { needs: ['0'] }),
  }));
  const root: NodeSpec = { id: 'root', kind: 'composite', drive: 'plan' };
  const spec = { ...COMMON, onApproval: 'continue', root, nodes } as const;
  const question = {
    type: 'emit_checkpoint',
    checkpoint: 'decision-needed',
    summary: 'shall it begin?',
    requiredAction: { kind: 'approval', instructions: 'approve it' },
  } as const;
  const begun = performance.now();
  await abreast(order.count, async (n) => {
    const runId = `run-${n}`;
    await engine.execute(runId, { type: 'create', spec });
    if (order.parked) await engine.execute(runId, question);
  });
  return { seconds: (performance.now() - begun) / 1000 };
}

async function wake(): Promise<Woken> {
  const left = new Set(Array.from({ length: order.count }, (_, n) => `run-${n}`));
  const all = Promise.withResolvers<void>();
  const executor = new TrivialExecutor(({ runId }) => {
    if (left.delete(runId) && left.size === 0) all.resolve();
  });
  const worker = new Worker({ engine, executors: new Map([[executor.name, executor]]), worker: 'bench' });
  const stop = new AbortController();
  const running = worker.run({ queues: ['default'], concurrency: CONCURRENCY }, stop.signal);
  await delay(500);
  (globalThis as { gc?: () => void }).gc?.();
  const idleBytes = residentBytes(process.pid) ?? 0;
  const begun = performance.now();
  await abreast(order.count, async (n) => {
    const runId = `run-${n}`;
    const [asked] = await engine.events(runId, 0, 1, ['checkpoint_emitted']);
    await engine.execute(runId, {
      type: 'approve',
      checkpoint: asked?.seq ?? 0,
      by: 'bench',
      reason: 'measured',
    });
  });
  await all.promise;
  const seconds = (performance.now() - begun) / 1000;
  stop.abort();
  await running;
  return { idleBytes, seconds };
}

/** Tells when each effect begins; ends only by being killed. */
async function work(): Promise<never> {
  class Slow extends TrivialExecutor {
    override async status(ref: Parameters<TrivialExecutor['status']>[0]) {
      const status = await super.status(ref);
      if (status.phase === 'finished') await delay(EFFECT_MS);
      return status;
    }
  }
  const executor = new Slow(({ runId, nodeId }) =>
    process.send?.({ key: `${runId}/${nodeId}`, atMs: nowMs() }),
  );
  const worker = new Worker({
    engine,
    executors: new Map([[executor.name, executor]]),
    worker: `bench-${process.pid}`,
    newLeaseId,
  });
  await worker.run({ queues: ['default'], concurrency: CONCURRENCY }, new AbortController().signal);
  throw new Error('the worker ended');
}
