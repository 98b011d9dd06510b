/** The part of `Map` that run state needs; a `Map` is one. */
export interface Table<K, V> {
  get(key: K): V | undefined;
  has(key: K): boolean;
  set(key: K, value: V): unknown;
  delete(key: K): boolean;
  keys(): Iterable<K>;
  readonly size: number;
}

/**
 * A table that remembers its changes and leaves the one below alone. `decide` works on overlays, so that looking ahead
 * costs what it touches and not the size of the run.
 */
export class Overlay<K, V> implements Table<K, V> {
  readonly #base: Table<K, V>;
  // Made when first needed: most decisions change one or two of a run's tables.
  #changed: Map<K, V> | undefined;
  #deleted: Set<K> | undefined;
  #size: number;

  constructor(base: Table<K, V>) {
    this.#base = base;
    this.#size = base.size;
  }
  get size(): number {
    return this.#size;
  }
  has(key: K): boolean {
    return this.#changed?.has(key) === true || (this.#deleted?.has(key) !== true && this.#base.has(key));
  }
  get(key: K): V | undefined {
    const changed = this.#changed?.get(key);
    if (changed !== undefined) return changed;
    return this.#deleted?.has(key) === true ? undefined : this.#base.get(key);
  }
  set(key: K, value: V): void {
    if (!this.has(key)) this.#size += 1;
    this.#deleted?.delete(key);
    this.#changed ??= new Map();
    this.#changed.set(key, value);
  }
  delete(key: K): boolean {
    if (!this.has(key)) return false;
    this.#size -= 1;
    this.#changed?.delete(key);
    this.#deleted ??= new Set();
    this.#deleted.add(key);
    return true;
  }
  *keys(): Iterable<K> {
    for (const key of this.#base.keys()) if (this.#deleted?.has(key) !== true) yield key;
    for (const key of this.#changed?.keys() ?? []) if (!this.#base.has(key)) yield key;
  }
}
