/**
 * How far each run is mirrored to each service. What is lost of it is mirrored again, which changes nothing there: so no
 * commit waits for the disk.
 */
import { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';

const FORMAT = { application: 0x5265_4d69, version: 1 };
const SCHEMA = `
create table positions (
  target text not null,
  run_id text not null,
  created_ms integer not null,
  version integer not null,
  seq integer not null,
  parked_ms integer,
  parked_reason text,
  primary key (target, run_id)
) without rowid;
create index positions_parked on positions (target) where parked_ms is not null;`;

export type TargetName = 'run_store' | 'event_stream';

/** Of one incarnation of a run: one that was removed and made anew begins anew. */
export interface RunKey {
  readonly id: string;
  readonly createdAtMs: number;
}

export interface Position {
  /** Everything up to this event of the model is there. */
  readonly version: number;
  /** Number of the last event of ARP that is there. */
  readonly seq: number;
  /** Since when it is not tried any more; null: it is. */
  readonly parkedMs: number | null;
}

const START: Position = { version: 0, seq: 0, parkedMs: null };

export class Positions {
  readonly #database: ServiceDatabase;
  readonly #statements;

  /** @param file path, or `:memory:`. @throws ReeveError E_STORE_* */
  constructor(file: string) {
    const options = { format: FORMAT, schema: SCHEMA, sharing: 'shared', durability: 'lax' } as const;
    const database = new ServiceDatabase(file, options);
    this.#database = database;
    this.#statements = {
      get: database.prepare<[string, string, number], Position>(
        `select version, seq, parked_ms as parkedMs from positions
         where target = ? and run_id = ? and created_ms = ?`,
      ),
      set: database.prepare<[string, string, number, number, number, number | null, string | null]>(
        `insert or replace into positions (target, run_id, created_ms, version, seq, parked_ms, parked_reason)
         values (?, ?, ?, ?, ?, ?, ?)`,
      ),
      parked: database.prepare<[string], { readonly count: number }>(
        'select count(*) as count from positions where target = ? and parked_ms is not null',
      ),
      unpark: database.prepare<[]>(
        'update positions set parked_ms = null, parked_reason = null where parked_ms is not null',
      ),
    };
  }

  get(target: TargetName, { id, createdAtMs }: RunKey): Position {
    return this.#statements.get.get(target, id, createdAtMs) ?? START;
  }

  /** Also takes back what another process knows better: what was written last may be older than what it wrote. */
  reach(target: TargetName, run: RunKey, { version, seq }: Pick<Position, 'version' | 'seq'>): void {
    this.#set(target, run, { version, seq, parkedMs: null }, null);
  }

  park(target: TargetName, run: RunKey, reason: string, parkedMs: number): void {
    this.#set(target, run, { ...this.get(target, run), parkedMs }, reason);
  }

  parked(target: TargetName): number {
    return this.#statements.parked.get(target)?.count ?? 0;
  }

  /** Whatever was wrong may have been put right. */
  unparkAll(): void {
    this.#database.transaction(() => this.#statements.unpark.run());
  }

  close(): void {
    this.#database.close();
  }

  #set(target: TargetName, run: RunKey, position: Position, reason: string | null): void {
    const { version, seq, parkedMs } = position;
    const { set } = this.#statements;
    this.#database.transaction(() =>
      set.run(target, run.id, run.createdAtMs, version, seq, parkedMs, reason),
    );
  }
}
