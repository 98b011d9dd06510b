import type { Engine } from './engine.ts';

export interface HeldLease {
  readonly runId: string;
  readonly node: string;
  readonly epoch: number;
  readonly worker: string;
  readonly leaseId: string;
  readonly ttlMs: number;
  /** When it was taken, by the engine's clock. */
  readonly takenMs: number;
}

/**
 * Renews a lease every third of its time to live. Once a renewal is refused, or none has succeeded for a whole time to
 * live, the lease is lost for good, whatever happens later.
 */
export class LeaseKeeper {
  readonly #engine: Engine;
  readonly #lease: HeldLease;
  readonly #isClaimed: Promise<boolean>;
  readonly #onLost: () => void;
  readonly #stop = new AbortController();
  #untilMs: number;
  #lost = false;

  /** @param isClaimed Whether the lease came to be durable; never rejects. Before that there is nothing to renew. */
  constructor(engine: Engine, lease: HeldLease, isClaimed: Promise<boolean>, onLost: () => void) {
    this.#engine = engine;
    this.#lease = lease;
    this.#isClaimed = isClaimed;
    this.#onLost = onLost;
    this.#untilMs = lease.takenMs + lease.ttlMs;
    void this.#renewals();
  }

  /** Whether the lease surely holds at this instant. A process that slept past its lease finds out here. */
  holds(): boolean {
    if (!this.#lost && this.#engine.clock.nowMs() >= this.#untilMs) this.#lose();
    return !this.#lost;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #renewals(): Promise<void> {
    const { runId, node, epoch, ttlMs } = this.#lease;
    const { signal } = this.#stop;
    if (!(await this.#isClaimed)) return this.#lose();
    while (!signal.aborted && !this.#lost) {
      await this.#engine.clock.sleep(ttlMs / 3, signal);
      if (signal.aborted || !this.holds()) return;
      const untilMs = this.#engine.clock.nowMs() + ttlMs;
      try {
        if (await this.#engine.store.renew(runId, node, epoch, untilMs)) this.#untilMs = untilMs;
        else if (!signal.aborted) this.#lose();
      } catch {
        // The store may come back before the lease ends; holds() says when it is too late.
      }
    }
  }

  #lose(): void {
    this.#lost = true;
    this.#onLost();
  }
}
