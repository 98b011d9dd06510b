/**
 * An executor whose effects can be found again only where they were begun, in a store that several places share. Who
 * first asks about an effect key decides where it belongs, durably and before anything starts: so an effect of another
 * place is *unknown* here, and is never taken for one that did not begin (I5).
 */
import type { Executor, NodeWork, RuntimeRef, RuntimeStatus } from '../engine/executor.ts';
import type { EffectPlaces } from '../engine/ports.ts';

export class PlacedExecutor implements Executor {
  readonly name: string;
  readonly #inner: Executor;
  readonly #places: EffectPlaces;
  readonly #here: string;

  constructor(inner: Executor, places: EffectPlaces, here: string) {
    this.name = inner.name;
    this.#inner = inner;
    this.#places = places;
    this.#here = here;
  }

  /** Nothing is started when another place was faster: watching then says that the outcome is unknown. */
  async submit(work: NodeWork): Promise<RuntimeRef> {
    const { effectKey } = work;
    if ((await this.#elsewhere(effectKey)) !== undefined) return { executor: this.name, effectKey };
    return this.#inner.submit(work);
  }

  async status(ref: RuntimeRef): Promise<RuntimeStatus> {
    return (await this.#elsewhere(ref.effectKey)) ?? this.#inner.status(ref);
  }

  async cancel(ref: RuntimeRef, reason: 'canceled' | 'over_budget'): Promise<void> {
    if ((await this.#elsewhere(ref.effectKey)) === undefined) await this.#inner.cancel(ref, reason);
  }

  async *watch(ref: RuntimeRef, signal: AbortSignal): AsyncIterable<RuntimeStatus> {
    const elsewhere = await this.#elsewhere(ref.effectKey);
    if (elsewhere === undefined) yield* this.#inner.watch(ref, signal);
    else yield elsewhere;
  }

  async forget(ref: RuntimeRef): Promise<void> {
    await this.#inner.forget(ref);
    await this.#places.forget(ref.effectKey);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #elsewhere(effectKey: string): Promise<RuntimeStatus | undefined> {
    const place = await this.#places.claim(effectKey, this.#here);
    if (place === this.#here) return undefined;
    return { phase: 'unknown', reason: `it was started from ${place}, and this is ${this.#here}` };
  }
}
