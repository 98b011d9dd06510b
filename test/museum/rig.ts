/** What the exhibits share: runs in a lab, a worker that dies, and a store that is looked at while it works. */
import type { Engine } from '../../src/engine/engine.ts';
import type { RunSpec } from '../../src/model/run-spec.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import { describe } from 'vitest';
import { PostgresBlobs } from '../../src/store/postgres/postgres-blobs.ts';
import { Connections } from '../../src/store/postgres/connections.ts';
import { openPostgres } from '../../src/store/postgres/open-postgres.ts';
import { PostgresRunStore } from '../../src/store/postgres/postgres-run-store.ts';
import type { PostgresAddress } from '../../src/store/store-address.ts';
import { Lab } from '../engine/lab.ts';
import { describePostgres } from '../store/postgres/rig.ts';

/** Shows the exhibits of a room on each kind of store. */
export function onBothStores(exhibits: (open: () => Promise<Lab>) => void): void {
  describe('on SQLite', () => {
    exhibits(() => Promise.resolve(new Lab()));
  });
  describePostgres('on PostgreSQL', (server) => {
    exhibits(() => postgresLab(server().address()));
  });
}

async function postgresLab(address: PostgresAddress): Promise<Lab> {
  await (await openPostgres(address)).close(); // makes the tables
  const blobs = new Connections(address);
  return new Lab({
    blobs: new PostgresBlobs(blobs),
    open: () => new PostgresRunStore(new Connections(address), 20),
    close: () => blobs.close(),
  });
}

export const create = (engine: Engine, spec: RunSpec, id = 'r'): Promise<unknown> =>
  engine.execute(id, { type: 'create', spec });

export async function phaseOf(engine: Engine, id = 'r'): Promise<string> {
  const { standing } = await engine.state(id);
  return standing.phase === 'held' ? `held:${standing.hold}` : standing.phase;
}

/** Claims the run and starts `a` under the lease of a worker that then is never heard of again. */
export async function dieWith(
  lab: Lab,
  runId = 'r',
  effect: 'begun' | 'not begun' = 'begun',
): Promise<string> {
  const engine = lab.engine();
  const claimed = await lab.worker('dead', { engine }).claim(runId);
  const { events } = await engine.execute(runId, {
    type: 'start',
    node: 'a',
    epoch: claimed?.lease.epoch ?? 0,
  });
  const started = events.find(({ event }) => event.type === 'attempt_started')?.event;
  const effectKey = started?.type === 'attempt_started' ? started.effectKey : '';
  if (effect === 'begun') lab.world.begin({ runId, nodeId: 'a', attempt: 1, effectKey, input: null });
  return effectKey;
}

type Calls = { readonly [K in keyof RunStore]?: number };

/** The store, with its calls counted and some of them replaced. */
export function watched(replace: (store: RunStore) => Partial<RunStore>): {
  wrap: (store: RunStore) => RunStore;
  calls: Calls;
} {
  const calls: { -readonly [K in keyof RunStore]?: number } = {};
  const wrap = (store: RunStore): RunStore => {
    const own = replace(store);
    return new Proxy(store, {
      get: (target, name) => {
        const key = name as keyof RunStore;
        const value: unknown = own[key] ?? Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          calls[key] = (calls[key] ?? 0) + 1;
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  };
  return { wrap, calls };
}
