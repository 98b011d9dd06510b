/** What the engine needs from the world, so that tests can give it a world of their own. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  nowMs(): number;
  /** Resolves after `ms`, or as soon as the signal aborts (it never rejects). Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Which leases are held by processes that have surely ended. */
export interface Deaths {
  /**
   * Whether the process that took this lease is provably gone: it will never do anything again. What is frozen, runs
   * elsewhere, or cannot be judged from here is not: then only time tells.
   */
  isDead(leaseId: string): boolean;
}

/** Where effects were begun, for stores that several machines share. */
export interface EffectPlaces {
  /** Says that the effect belongs to this place, unless it belongs to another one. Durable. @returns whose it is. */
  claim(effectKey: string, place: string): Promise<string>;
  /** Idempotent. */
  forget(effectKey: string): Promise<void>;
}

export interface Chance {
  /** In [0, 1). */
  random(): number;
  /** A new id, unique everywhere: `prefix` and 24 or more characters of [a-z0-9]. */
  id(prefix: string): string;
}
