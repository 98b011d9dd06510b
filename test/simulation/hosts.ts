/** Which machine each process is on, and whose end can be proven from where: of the dead on the same machine only. */
import type { Deaths } from '../../src/engine/ports.ts';
import type { SimProcess } from './process.ts';
import { Random } from './random.ts';

export class Hosts {
  readonly #seed: number;
  readonly #processes = new Map<string, SimProcess>();
  /** In some worlds nothing can be proven at all, as on systems that do not tell. */
  readonly #tells: boolean;

  constructor(seed: number) {
    this.#seed = seed;
    this.#tells = !new Random(seed, 'hosts').oneIn(4);
  }

  add(process: SimProcess): void {
    this.#processes.set(process.name, process);
  }

  /** What a process can tell of others. */
  deathsFor(process: SimProcess): Deaths {
    return { isDead: (leaseId) => this.isProven(process.name, leaseId) };
  }

  /** A lease that names who took it: see `#workerOf` of the simulation. */
  isProven(observer: string, leaseId: string): boolean {
    const holder = this.#holderOf(leaseId);
    const from = this.#processes.get(observer);
    if (!this.#tells || holder === undefined || from === undefined || holder.isAlive) return false;
    return this.#hostOf(holder.slot) === this.#hostOf(from.slot);
  }

  /** Whether nothing has ever gone wrong with who held the lease that an event names. */
  holderIsWell(body: string): boolean {
    const { event } = JSON.parse(body) as { event: { lease?: { leaseId: string } } };
    const holder = this.#holderOf(event.lease?.leaseId ?? '');
    return holder?.isAlive === true && !holder.hasFaults && !holder.isStopped;
  }

  #holderOf(leaseId: string): SimProcess | undefined {
    return this.#processes.get(/^lease-(.+)-\d+$/.exec(leaseId)?.[1] ?? '');
  }

  #hostOf(slot: string): number {
    return new Random(this.#seed, 'host', slot).int(1, 2);
  }
}
