/** What all repetitions found, by system and by where the effects were. */
import { spread, type Spread } from './measure.ts';
import type { Measured, StepsMeasured } from './subject.ts';
import { CATALOG, type Entry } from './systems/catalog.ts';

export type Where = 'here' | 'elsewhere';

export class Results {
  readonly #found = new Map<string, Measured[]>();

  note({ name }: Entry, where: Where, measured: Measured): void {
    const key = `${where} ${name}`;
    this.#found.set(key, [...(this.#found.get(key) ?? []), measured]);
  }

  /** Systems that were measured there, in the order of the catalog. */
  systems(where: Where): readonly Entry[] {
    return CATALOG.filter(({ name }) => this.#found.has(`${where} ${name}`));
  }

  /** Of all repetitions; undefined where the system has no such figure. */
  of({ name }: Entry, where: Where, pick: (measured: Measured) => number | undefined): Spread | undefined {
    const values = (this.#found.get(`${where} ${name}`) ?? []).flatMap((measured) => pick(measured) ?? []);
    return values.length === 0 ? undefined : spread(values);
  }

  steps(
    entry: Entry,
    where: Where,
    clients: number,
    pick: (steps: StepsMeasured) => number | undefined,
  ): Spread | undefined {
    return this.of(entry, where, ({ steps }) => {
      const one = steps.find((of) => of.clients === clients);
      return one === undefined ? undefined : pick(one);
    });
  }
}
