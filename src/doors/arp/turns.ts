/** How many may work at a time. Whoever comes when all places are taken waits in the order of arrival. */
export class Turns {
  readonly #waitingMax: number;
  /** In the order of arrival. */
  readonly #waiting = new Set<(hasPlace: boolean) => void>();
  #free: number;

  /**
   * @param places default: any number, and nobody ever waits.
   * @param waitingMax how many may wait. Default: any number.
   */
  constructor(places = Number.POSITIVE_INFINITY, waitingMax = Number.POSITIVE_INFINITY) {
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

  /** Works once there is a place. @throws the signal's reason when it aborts before */
  async during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (!(await this.take(signal))) throw signal.reason;
    try {
      return await work();
    } finally {
      this.give();
    }
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
