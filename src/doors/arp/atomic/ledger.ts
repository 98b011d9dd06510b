/**
 * What was asked under which id, so that a NodeRun is not run twice (H32): all that is under way, and as many results as
 * have room. The result that nobody asked for longest goes first.
 */
import type { AtomicExecuteResult } from '../wire/requests.ts';

export interface Entry {
  /** Equal only for the same request. */
  readonly fingerprint: string;
  readonly attempt: number;
  /** Rejects when it was not run after all; there is no entry then. */
  readonly result: Promise<AtomicExecuteResult>;
  readonly control: AbortController;
  /** Size of the result; undefined while it is under way. */
  bytes?: number;
}

export interface LedgerLimits {
  /** Results, and ids that were canceled. */
  readonly entries: number;
  /** Of all results together, as JSON. */
  readonly bytes: number;
}

export class Ledger {
  readonly #limits: LedgerLimits;
  readonly #underWay = new Map<string, Entry>();
  /** The result used last stands last. */
  readonly #ended = new Map<string, Entry>();
  readonly #canceled = new Set<string>();
  #bytes = 0;

  constructor(limits: LedgerLimits) {
    this.#limits = limits;
  }

  get underWay(): Iterable<Entry> {
    return this.#underWay.values();
  }

  find(id: string): Entry | undefined {
    const ended = this.#ended.get(id);
    if (ended !== undefined) {
      this.#ended.delete(id);
      this.#ended.set(id, ended);
    }
    return this.#underWay.get(id) ?? ended;
  }

  begin(id: string, entry: Entry): void {
    this.#forget(id);
    this.#underWay.set(id, entry);
  }

  end(id: string, entry: Entry, bytes: number): void {
    if (!this.drop(id, entry)) return;
    entry.bytes = bytes;
    this.#ended.set(id, entry);
    this.#bytes += bytes;
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= this.#limits.entries && this.#bytes <= this.#limits.bytes) return;
      this.#forget(oldest);
    }
  }

  /** It was not run: the next request begins anew. */
  drop(id: string, entry: Entry): boolean {
    return this.#underWay.get(id) === entry && this.#underWay.delete(id);
  }

  /** From now on the id is not run any more, also when its request comes only now. */
  cancel(id: string): void {
    this.#canceled.delete(id);
    this.#canceled.add(id);
    const [oldest] = this.#canceled;
    if (this.#canceled.size > this.#limits.entries && oldest !== undefined) this.#canceled.delete(oldest);
  }

  isCanceled(id: string): boolean {
    return this.#canceled.has(id);
  }

  #forget(id: string): void {
    this.#bytes -= this.#ended.get(id)?.bytes ?? 0;
    this.#ended.delete(id);
  }
}
