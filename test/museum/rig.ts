/** What the exhibits share: runs in a lab, a worker that dies, and a store that is looked at while it works. */
import type { Engine } from '../../src/engine/engine.ts';
import type { RunSpec } from '../../src/model/run-spec.ts';
import type { RunStore } from '../../src/store/run-store.ts';
import type { Lab } from '../engine/lab.ts';

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
