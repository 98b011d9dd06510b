/** Leases of workers that are provably dead end at once: what they were at need not wait until the time is up. */
import { leaseOn } from '../model/state.ts';
import type { WorkRow } from '../store/run-store.ts';
import type { Engine } from './engine.ts';

/** Leases of one worker that are ended in one look. */
const HELD_MAX = 1000;

export class DeadWorkers {
  readonly #engine: Engine;
  readonly #queues: readonly string[];
  /** Freed here and not handed out yet. */
  #freed: WorkRow[] = [];

  constructor(engine: Engine, queues: readonly string[]) {
    this.#engine = engine;
    this.#queues = queues;
  }

  /** Looks every `lookMs` until the signal. */
  async watch(lookMs: number, signal: AbortSignal): Promise<void> {
    const { clock, deaths } = this.#engine;
    if (deaths === undefined) return;
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal);
      if (!signal.aborted) await this.look();
    }
  }

  /** Ends what dead workers hold in these queues. What the store does not say now it is asked at the next look. */
  async look(): Promise<void> {
    const { deaths, store } = this.#engine;
    if (deaths === undefined) return;
    try {
      for (const queue of this.#queues) {
        for (const { worker, leaseId } of await store.holders(queue)) {
          if (!deaths.isDead(leaseId)) continue;
          // Two processes may have had one name: each lease is judged by itself.
          const held = await store.heldBy(queue, worker, HELD_MAX);
          const ended = held.filter((row) => row.leaseId !== null && deaths.isDead(row.leaseId));
          await Promise.allSettled(ended.map((row) => this.#end(row)));
        }
      }
    } catch {
      // Whoever works on something is told what is wrong with the store.
    }
  }

  /** @returns rows to take, first what was freed here: it was begun before all that is due. */
  before(due: readonly WorkRow[], room: number): readonly WorkRow[] {
    const freed = this.#freed.splice(0, room);
    const known = new Set(freed.map(keyOf));
    return [...freed, ...due.filter((row) => !known.has(keyOf(row)))];
  }

  async #end(row: WorkRow): Promise<void> {
    await endDeadLease(this.#engine, row);
    this.#freed.push(row);
  }
}

/**
 * Ends the lease that a dead worker has on a node, as of when it was last renewed. Nothing happens when it is not this
 * lease any more.
 * @throws ReeveError E_LEASE_CONFLICT when someone took it meanwhile; E_STORE_*
 */
export async function endDeadLease(
  engine: Engine,
  { runId, node: id, epoch, leaseId, untilMs }: WorkRow,
): Promise<void> {
  const state = await engine.state(runId);
  const node = state.nodes.get(id);
  const lease = node === undefined ? state.rootLease : leaseOn(node);
  if (lease?.leaseId !== leaseId || lease?.epoch !== epoch) return;
  const seenMs = Math.max(0, (untilMs ?? 0) - (node?.lease?.ttlMs ?? 0));
  await engine.execute(runId, { type: 'release', node: id, epoch, cause: 'expired', seenMs });
}

export function keyOf({ runId, node }: Pick<WorkRow, 'runId' | 'node'>): string {
  return `${runId}\n${node}`;
}
