/** Measures the transactions of a store. */
import type { Meter } from '../telemetry/meter.ts';
import type { Commit, CommitResult, RunStore } from './run-store.ts';

/** The same store; its own methods keep their `this`. */
export function meteredStore(store: RunStore, meter: Meter): RunStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'commit') return (commits: readonly Commit[]) => commit(target, meter, commits);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

async function commit(
  store: RunStore,
  meter: Meter,
  commits: readonly Commit[],
): Promise<readonly CommitResult[]> {
  const begun = performance.now();
  try {
    const results = await store.commit(commits);
    meter.observe('reeve_commit_duration_seconds', {}, (performance.now() - begun) / 1000);
    meter.observe('reeve_commit_batch_size', {}, commits.length);
    const conflicts = results.filter((result) => result === 'conflict').length;
    if (conflicts > 0) meter.count('reeve_commit_conflicts_total', {}, conflicts);
    return results;
  } catch (error) {
    meter.count('reeve_commit_failures_total', {});
    throw error;
  }
}
