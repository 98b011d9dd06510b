/** How many may run at a time. Whoever comes when all places are taken waits in the order of arrival, and not without bound. */
export class Slots {
  readonly #waitingMax: number;
  /** In the order of arrival. */
  readonly #waiting = new Set<(hasPlace: boolean) => void>();
  #free: number;

  /** @param places may be Infinity: nobody ever waits. */
  constructor(places: number, waitingMax: number) {
    this.#free = places;
    this.#waitingMax = waitingMax;
  }

  /**
   * @param signal gives the place in the queue up.
   * @returns true once there is a place, which `give` frees again; false when there will be none
   */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    if (this.isFull) return false;
    return new Promise((resolve) => {
      const end = (hasPlace: boolean): void => {
        signal.removeEventListener('abort', leave);
        this.#waiting.delete(end);
        resolve(hasPlace);
      };
      const leave = (): void => end(false);
      this.#waiting.add(end);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  give(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free += 1;
    else next(true);
  }

  /** Sends all away that wait. */
  clear(): void {
    for (const end of this.#waiting) end(false);
  }

  /** Nobody more may wait, and there is no place. */
  get isFull(): boolean {
    return this.#free <= 0 && this.#waiting.size >= this.#waitingMax;
  }
}
