/** A store root in a temporary folder, handles on it, and everything gone afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunStore } from '../../src/store/run-store.ts';
import { SharedRunStore, type SharedRunStoreOptions } from '../../src/store/sqlite/shared-run-store.ts';

export class StoreRig {
  readonly root: string;
  readonly #closers: (() => Promise<void>)[] = [];

  static async open(): Promise<StoreRig> {
    return new StoreRig(await mkdtemp(join(tmpdir(), 'reeve-store-')));
  }

  constructor(root: string) {
    this.root = root;
  }

  shared(options: SharedRunStoreOptions = {}): SharedRunStore {
    return this.keep(new SharedRunStore(this.root, options));
  }

  keep<Handle extends { close(): Promise<void> }>(handle: Handle): Handle {
    this.#closers.push(() => handle.close());
    return handle;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
    await rm(this.root, { recursive: true, force: true });
  }
}

/** Makes a handle take its role: the first to write on a root is the writer. */
export async function settle(store: RunStore): Promise<void> {
  await store.renew('nobody', 'nothing', 1, 1);
}

/** A handle that has taken this role. */
export async function settledAs(role: 'writer' | 'client', store: SharedRunStore): Promise<SharedRunStore> {
  await settle(store);
  if (store.role !== role) throw new Error(`it is ${store.role} and should be ${role}`);
  return store;
}
