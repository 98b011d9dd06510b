import { createHash } from 'node:crypto';
import { ReeveError } from '../../src/model/errors.ts';
import type { BlobStore } from '../../src/store/blob-store.ts';

/** Blobs in memory; the map outlives the handles. */
export class MemoryBlobs implements BlobStore {
  readonly stored: Map<string, Uint8Array>;

  constructor(stored = new Map<string, Uint8Array>()) {
    this.stored = stored;
  }

  put(bytes: Uint8Array): Promise<string> {
    const name = nameOf(bytes);
    if (nameOf(this.stored.get(name) ?? new Uint8Array()) !== name || !this.stored.has(name))
      this.stored.set(name, Uint8Array.from(bytes));
    return Promise.resolve(name);
  }

  async get(sha256: string): Promise<Uint8Array> {
    const bytes = this.stored.get(sha256);
    if (bytes === undefined || nameOf(bytes) !== sha256)
      throw new ReeveError('E_STORE_CORRUPT', `blob ${sha256} is missing or damaged`, { sha256 });
    return bytes;
  }

  has(sha256: string): Promise<boolean> {
    return Promise.resolve(this.stored.has(sha256));
  }

  delete(sha256: string): Promise<void> {
    this.stored.delete(sha256);
    return Promise.resolve();
  }
}

function nameOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
