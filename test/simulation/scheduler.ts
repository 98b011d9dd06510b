/** Virtual time: what is to happen, in order of its instant. Nothing happens but by `step`. */

interface Entry {
  readonly atMs: number;
  readonly no: number;
  readonly run: () => void;
  isOff: boolean;
}

export class Scheduler {
  nowMs: number;
  steps = 0;
  readonly #heap: Entry[] = [];
  #no = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  /** @returns how to call it off. */
  after(ms: number, run: () => void): () => void {
    const entry: Entry = {
      atMs: this.nowMs + Math.max(0, Math.floor(ms)),
      no: (this.#no += 1),
      run,
      isOff: false,
    };
    this.#push(entry);
    return () => {
      entry.isOff = true;
    };
  }

  /**
   * Lets the next thing happen, and everything that follows from it without waiting: afterwards no promise is left
   * that could go on by itself. False when nothing is to happen any more.
   */
  async step(): Promise<boolean> {
    for (;;) {
      const next = this.#pop();
      if (next === undefined) return false;
      if (next.isOff) continue;
      this.nowMs = next.atMs;
      this.steps += 1;
      next.run();
      await new Promise(setImmediate);
      return true;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(entry, heap[above] as Entry)) break;
      heap[at] = heap[above] as Entry;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Entry, heap[below] as Entry)) below += 1;
      if (!isBefore(heap[below] as Entry, last)) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.no < b.no : a.atMs < b.atMs;
}
