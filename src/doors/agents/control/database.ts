/**
 * The service database of the control plane: one file for all its parts, which no other process may use meanwhile. Each
 * part states its tables; what is written goes through the ledger.
 */
import { setImmediate } from 'node:timers/promises';
import { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import type { Ledger } from './ports.ts';

const FORMAT = { application: 0x5265_4167, version: 1 };

interface Waiting {
  run(): void;
  /** Told once what was written is durable, or why it is not. */
  settle(failure: { readonly error: unknown } | undefined): void;
}

export class ControlDatabase implements Ledger {
  readonly rows: ServiceDatabase;
  #waiting: Waiting[] = [];

  /**
   * @param file path, or `:memory:`.
   * @param schemas `create table …` of every part, in the order given.
   * @throws ReeveError E_STORE_BUSY while another control plane has it; E_STORE_*
   */
  constructor(file: string, schemas: readonly string[]) {
    this.rows = new ServiceDatabase(file, {
      format: FORMAT,
      schema: schemas.map((schema) => `${schema.trim().replace(/;$/, '')};`).join('\n'),
      sharing: 'exclusive',
    });
  }

  async write<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
    const isFirst = this.#waiting.length === 0;
    this.#waiting.push({
      run: () => {
        try {
          outcome = { value: this.rows.transaction(work) }; // within another one: a savepoint
        } catch (error) {
          outcome = { error };
        }
      },
      settle(failure) {
        if (failure !== undefined) reject(failure.error);
        else if (outcome !== undefined && 'value' in outcome) resolve(outcome.value);
        else reject(outcome?.error);
      },
    });
    if (isFirst) void setImmediate().then(() => this.#flush());
    return promise;
  }

  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    let failure: { readonly error: unknown } | undefined;
    try {
      this.rows.transaction(() => {
        for (const { run } of batch) run();
      });
    } catch (error) {
      failure = { error };
    }
    for (const { settle } of batch) settle(failure);
  }

  close(): void {
    if (this.#waiting.length > 0) this.#flush();
    this.rows.close();
  }
}
