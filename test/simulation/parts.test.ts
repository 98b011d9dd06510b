/** A fake that does not keep its contract may not be used. */
import type { Executor } from '../../src/engine/executor.ts';
import { blobStoreContract } from '../contracts/blob-store.ts';
import { executorContract } from '../contracts/executor.ts';
import { runStoreContract } from '../contracts/run-store.ts';
import { type Line, Machine, SimExecutor } from './machine.ts';
import { MemoryBlobs } from './memory-blobs.ts';
import { MemoryDb, MemoryRunStore } from './memory-store.ts';
import { Scheduler } from './scheduler.ts';

runStoreContract('MemoryRunStore', () => {
  const db = new MemoryDb();
  const handles = [new MemoryRunStore(db)];
  const another = (): Promise<MemoryRunStore> => {
    const handle = new MemoryRunStore(db);
    handles.push(handle);
    return Promise.resolve(handle);
  };
  return Promise.resolve({
    store: handles[0] as MemoryRunStore,
    another,
    close: async () => {
      for (const handle of handles) await handle.close();
    },
  });
});

blobStoreContract('MemoryBlobs', () => {
  const stored = new Map<string, Uint8Array>();
  return Promise.resolve({
    blobs: new MemoryBlobs(stored),
    another: () => Promise.resolve(new MemoryBlobs(stored)),
    damage: (sha256, bytes) => Promise.resolve(void stored.set(sha256, bytes)),
    count: () => Promise.resolve(stored.size),
    close: () => Promise.resolve(),
  });
});

executorContract('simulated', () => {
  const scheduler = new Scheduler(1_800_000_000_000);
  const machine = new Machine(scheduler, 1, { begins: () => undefined, forgets: () => undefined });
  const line: Line = {
    call: (_what, _key, land) => new Promise((resolve) => scheduler.after(1, () => resolve(land()))),
    change: (key, signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const stop = machine.listen(key, () => scheduler.after(1, resolve));
      signal.addEventListener('abort', () => resolve(), { once: true });
      return { heard: promise, stop };
    },
  };
  const another = (): Executor => new SimExecutor(machine, line, 'p#1');
  // Virtual time goes on as long as the test does.
  const over = new AbortController();
  const living = (async () => {
    while (!over.signal.aborted) if (!(await scheduler.step())) await new Promise(setImmediate);
  })();
  return Promise.resolve({
    executor: another(),
    input: (kind) => ({ fate: kind }),
    starts: (key) => Promise.resolve(machine.ledger.get(key)?.starts ?? 0),
    another: () => Promise.resolve(another()),
    close: async () => {
      over.abort();
      await living;
    },
  });
});
