// Engines and workers of several processes, as far as the store can tell, on one store.
import { expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import { sha256, systemChance, systemClock } from '../../../src/engine/system.ts';
import { Worker } from '../../../src/engine/worker.ts';
import type { Executor, RuntimeStatus } from '../../../src/engine/executor.ts';
import { checkRun } from '../../../src/store/check.ts';
import { expectedWork } from '../../../src/engine/work-changes.ts';
import type { PostgresStore } from '../../../src/store/postgres/open-postgres.ts';
import { planOf, verifyChain } from '../../engine/lab.ts';
import { step } from '../../model/rig.ts';
import { describePostgres, PostgresRig } from './rig.ts';

function engineOn({ runs, blobs }: PostgresStore): Engine {
  return new Engine({ store: runs, blobs, clock: systemClock, chance: systemChance });
}

/** Ends everything at once, and says what it was given. */
class Recorder implements Executor {
  readonly name = 'x';
  readonly begun: string[];
  constructor(begun: string[]) {
    this.begun = begun;
  }
  submit({ effectKey }: { effectKey: string }) {
    this.begun.push(effectKey);
    return Promise.resolve({ executor: this.name, effectKey });
  }
  status(): Promise<RuntimeStatus> {
    return Promise.resolve({
      phase: 'finished',
      outcome: 'succeeded',
      startedAtMs: 1,
      finishedAtMs: 1,
      usage: {},
    });
  }
  async *watch(): AsyncIterable<RuntimeStatus> {
    yield await this.status();
  }
  cancel = () => Promise.resolve();
  forget = () => Promise.resolve();
  close = () => Promise.resolve();
}

describePostgres('several engines on PostgreSQL', (server) => {
  test('I2: commands of all go into one chain, each decided on what is really there', async () => {
    const rig = new PostgresRig(server().address());
    const engines = [await rig.open(), await rig.open(), await rig.open()].map(engineOn);
    await engines[0]!.execute('r', {
      type: 'create',
      spec: planOf([], { root: { id: 'root', kind: 'composite' } }),
    });
    await Promise.all(
      engines.map(async (engine, at) => {
        for (let n = 0; n < 20; n += 1)
          await engine.execute('r', {
            type: 'add_nodes',
            parent: 'root',
            nodes: [{ id: `n${at}.${n}`, kind: 'atomic', executor: 'x' }],
          });
      }),
    );
    const { runs, blobs } = await rig.open();
    await verifyChain(runs, 'r');
    const state = await engineOn({ runs, blobs } as PostgresStore).state('r');
    expect(state.nodeCount).toBe(61);
    expect((await checkRun(runs, blobs, 'r', { sha256, expectedWork })).findings).toEqual([]);
    await rig.close();
  });

  test('I4: workers of several processes share a queue: each job is driven once, and none is left', async () => {
    const rig = new PostgresRig(server().address());
    const stores = await Promise.all([1, 2, 3, 4].map(() => rig.open()));
    const begun: string[] = [];
    const workers = stores.map(
      (store, at) =>
        new Worker({
          engine: engineOn(store),
          executors: new Map([['x', new Recorder(begun)]]),
          worker: `w${at}`,
        }),
    );
    const { engine } = workers[0]!.options;
    const ids = Array.from({ length: 60 }, (_, n) => `r${n}`);
    const nodes = [step('a'), step('b', { needs: ['a'] })];
    for (const id of ids) await engine.execute(id, { type: 'create', spec: planOf(nodes) });
    const never = new AbortController().signal;
    await Promise.all(
      workers.map((worker) => worker.run({ queues: ['default'], concurrency: 3, untilIdle: true }, never)),
    );
    expect(begun.toSorted()).toEqual(ids.flatMap((id) => [`${id}.1.1`, `${id}.2.1`]).toSorted());
    for (const id of ids) expect((await stores[0]!.runs.head(id))?.phase).toBe('succeeded');
    await rig.close();
  }, 60_000);
});
