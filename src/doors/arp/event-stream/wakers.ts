/** Who waits for what. In this process only; nothing is remembered for whoever does not wait. */
export class Wakers {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** @returns whether it was woken; false after `ms` or an abort. */
  wait(keys: readonly string[], ms: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (woken: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        for (const key of keys) this.#drop(key, wake);
        resolve(woken);
      };
      const wake = (): void => end(true);
      const aborted = (): void => end(false);
      const timer = setTimeout(end, ms, false);
      signal.addEventListener('abort', aborted);
      for (const key of keys) this.#add(key, wake);
      if (signal.aborted) aborted();
    });
  }

  wake(keys: Iterable<string>): void {
    for (const key of keys) for (const wake of this.#waiting.get(key) ?? []) wake();
  }

  #add(key: string, wake: () => void): void {
    const present = this.#waiting.get(key);
    if (present === undefined) this.#waiting.set(key, new Set([wake]));
    else present.add(wake);
  }

  #drop(key: string, wake: () => void): void {
    const present = this.#waiting.get(key);
    present?.delete(wake);
    if (present?.size === 0) this.#waiting.delete(key);
  }
}
