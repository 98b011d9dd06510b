/** Workers on one store keep out of each other's way. */
import type { WorkRow } from '../store/run-store.ts';
import type { Chance } from './ports.ts';

/** Most rows that a worker looks beyond those it has room for. */
const CROWD_MAX = 64;

/**
 * How many others seem to go for the same rows. A worker alone takes the oldest; each race it loses makes it choose at
 * random among twice as many, and each row it gets among half as many: so many workers on one store soon spread out.
 */
export class Crowd {
  readonly #chance: Chance;
  size = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  met(isOther: boolean): void {
    this.size = isOther ? Math.min(CROWD_MAX, Math.max(2, this.size * 2)) : Math.floor(this.size / 2);
  }

  choose(rows: readonly WorkRow[], room: number): readonly WorkRow[] {
    if (this.size === 0 || rows.length <= room) return rows.slice(0, room);
    const left = [...rows];
    return Array.from({ length: room }, () => {
      return left.splice(Math.floor(this.#chance.random() * left.length), 1);
    }).flat();
  }
}
