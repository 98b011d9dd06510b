/** Chance from a seed. Streams are named, so that leaving one decision out moves no other. */

export class Random {
  #state: number;

  constructor(seed: number, ...names: readonly (string | number)[]) {
    this.#state = hashOf(seed, names);
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    return (mix(this.#state) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** True once in `n` times on average. */
  oneIn(n: number): boolean {
    return this.next() * n < 1;
  }

  pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.next() * list.length)];
    if (found === undefined) throw new TypeError('nothing to pick from');
    return found;
  }

  /** One of the keys, as often as its weight says. */
  weighed<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return (entries.at(-1) as [K, number])[0];
  }
}

/** Of splitmix32: every bit of the result hangs on every bit of the number. */
function mix(number: number): number {
  let mixed = Math.imul(number ^ (number >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return mixed ^ (mixed >>> 15);
}

function hashOf(seed: number, names: readonly (string | number)[]): number {
  let hash = (seed ^ 0x811c9dc5) | 0;
  for (const char of `${seed}|${names.join('|')}`)
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return mix(mix(hash));
}
