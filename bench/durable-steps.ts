/** What is measured on each kind of store, and the table it goes into. */
import { Engine } from '../src/engine/engine.ts';
import { systemChance, systemClock } from '../src/engine/system.ts';
import type { RunSpec } from '../src/model/run-spec.ts';
import type { Store } from '../src/store/open-store.ts';
import { quantile, showSpread, spread } from './measure.ts';

export const SPEC: RunSpec = {
  tenant: 'bench',
  actor: 'bench',
  name: 'bench',
  limits: {},
  labels: {},
  root: { id: 'root', kind: 'composite' },
  nodes: [],
};

export interface Result {
  /** Milliseconds for one operation, sorted. */
  readonly latencies: readonly number[];
  readonly perSecond: number;
}

export function timed(count: number, operation: (n: number) => void): Result {
  const latencies: number[] = [];
  const begun = performance.now();
  for (let n = 0; n < count; n += 1) {
    const before = performance.now();
    operation(n);
    latencies.push(performance.now() - before);
  }
  return {
    latencies: latencies.toSorted((a, b) => a - b),
    perSecond: count / ((performance.now() - begun) / 1000),
  };
}

/** One step: its node and its intent are recorded and synced, then its end. Nothing else happens in it. */
export async function durableSteps(store: Store, clients: number, count: number): Promise<Result> {
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  const latencies: number[] = [];
  const each = Math.ceil((count * Math.min(clients, 8)) / clients);
  const claimant = { worker: 'bench', leaseId: 'bench', ttlMs: 600_000 };
  const client = async (run: string): Promise<void> => {
    await engine.execute(run, { type: 'create', spec: SPEC });
    // Begun, and then left to whoever adds to it: nobody holds the root of such a tree.
    await engine.execute(run, { type: 'claim', node: 'root', claimant });
    const seenMs = engine.clock.nowMs();
    await engine.execute(run, { type: 'release', node: 'root', epoch: 1, cause: 'released', seenMs });
    for (let n = 0; n < each; n += 1) {
      const node = `n${n}`;
      const before = performance.now();
      await Promise.all([
        engine.execute(run, {
          type: 'add_nodes',
          parent: 'root',
          nodes: [{ id: node, kind: 'atomic', executor: 'bench' }],
        }),
        engine.execute(run, { type: 'start', node, epoch: 0, claimant }),
      ]);
      await engine.execute(run, {
        type: 'finish',
        node,
        attempt: 1,
        epoch: 1,
        outcome: 'succeeded',
        usage: {},
        outputs: { n },
      });
      latencies.push(performance.now() - before);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: clients }, (_, at) => client(`run-${at}`)));
  const perSecond = (each * clients) / ((performance.now() - begun) / 1000);
  return { latencies: latencies.toSorted((a, b) => a - b), perSecond };
}

/** Figures of several repetitions. */
export class Table {
  readonly #rows = new Map<string, { p50: number[]; p99: number[]; rate: number[] }>();

  note(what: string, { latencies, perSecond }: Result): void {
    const row = this.#rows.get(what) ?? { p50: [], p99: [], rate: [] };
    row.p50.push(quantile(latencies, 0.5));
    row.p99.push(quantile(latencies, 0.99));
    row.rate.push(perSecond);
    this.#rows.set(what, row);
  }

  text(): string {
    return [
      '| what | p50, ms | p99, ms | per second |',
      '| --- | --- | --- | --- |',
      ...[...this.#rows].map(
        ([what, { p50, p99, rate }]) =>
          `| ${what} | ${showSpread(spread(p50), 2)} | ${showSpread(spread(p99), 2)} | ${showSpread(spread(rate), 0)} |`,
      ),
    ].join('\n');
  }
}
