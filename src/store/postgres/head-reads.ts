import type { RunHead } from '../run-store.ts';

interface Asked {
  readonly promise: Promise<RunHead | undefined>;
  readonly resolve: (head: RunHead | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Heads that are asked for while others are on their way go together, in one round trip: a process that drives many runs
 * looks at each of them again and again. A head is read after it was asked for, as it would be alone.
 */
export class HeadReads {
  readonly #read: (ids: readonly string[]) => Promise<readonly RunHead[]>;
  #asked = new Map<string, Asked>();
  #isReading = false;

  constructor(read: (ids: readonly string[]) => Promise<readonly RunHead[]>) {
    this.#read = read;
  }

  of(id: string): Promise<RunHead | undefined> {
    const known = this.#asked.get(id);
    if (known !== undefined) return known.promise;
    const asked = Promise.withResolvers<RunHead | undefined>();
    this.#asked.set(id, asked);
    if (!this.#isReading) {
      this.#isReading = true;
      // Not at once: whoever was woken by the same event is in the same round trip.
      queueMicrotask(() => void this.#readAll());
    }
    return asked.promise;
  }

  async #readAll(): Promise<void> {
    while (this.#asked.size > 0) {
      const asked = this.#asked;
      this.#asked = new Map();
      try {
        for (const head of await this.#read([...asked.keys()])) {
          asked.get(head.id)?.resolve(head);
          asked.delete(head.id);
        }
        for (const { resolve } of asked.values()) resolve(undefined);
      } catch (error) {
        for (const { reject } of asked.values()) reject(error);
      }
    }
    this.#isReading = false;
  }
}
