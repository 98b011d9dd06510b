/** Which rollouts there are, for lists. The runs are the truth: a state here is renewed whenever one is looked at. */
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import { ROLLOUT_FINAL, type RolloutState } from '../../wire/rollouts.ts';
import type { Page, PageQuery } from '../../wire/common.ts';
import { invalidField } from '../../wire/errors.ts';
import type { RolloutSpec } from './spec.ts';

export const ROLLOUTS_SCHEMA = `
create table rollouts (
  no integer primary key autoincrement,
  id text not null unique,
  tenant text not null,
  environment text not null,
  state text not null,
  version integer not null,
  created_at_ms integer not null
) strict;
create index rollouts_by_tenant on rollouts (tenant, no);
create index rollouts_by_state on rollouts (state);
`;

export interface RolloutQuery extends PageQuery {
  readonly state?: string;
  readonly environment?: string;
}

export class RolloutIndex {
  readonly #add;
  readonly #update;
  readonly #remove;
  readonly #one;
  readonly #unfinished;
  readonly #list;
  readonly #counts;

  constructor(database: ServiceDatabase) {
    this.#add = database.prepare<{ id: string; tenant: string; environment: string; nowMs: number }>(
      `insert into rollouts (id, tenant, environment, state, version, created_at_ms)
       values (:id, :tenant, :environment, 'draft', 0, :nowMs)`,
    );
    this.#update = database.prepare<{ id: string; state: string; version: number }>(
      'update rollouts set state = :state, version = :version where id = :id',
    );
    this.#remove = database.prepare<{ id: string }>('delete from rollouts where id = :id');
    this.#one = database.prepare<{ id: string }, { tenant: string; version: number }>(
      'select tenant, version from rollouts where id = :id',
    );
    this.#unfinished = database.prepare<object, { id: string }>(
      `select id from rollouts where state not in (${ROLLOUT_FINAL.map((state) => `'${state}'`).join(', ')}) order by no`,
    );
    this.#list = database.prepare<
      { tenant: string; state: string | null; environment: string | null; before: number; limit: number },
      { no: number; id: string }
    >(
      `select no, id from rollouts where tenant = :tenant and no < :before
         and (:state is null or state = :state) and (:environment is null or environment = :environment)
       order by no desc limit :limit`,
    );
    this.#counts = database.prepare<object, { state: RolloutState; count: number }>(
      'select state, count(*) as count from rollouts group by state',
    );
  }

  add(id: string, { tenant, environment }: RolloutSpec, nowMs: number): void {
    this.#add.run({ id, tenant, environment, nowMs });
  }

  /** @param version the event up to which its lines are in the audit chain. */
  update(id: string, state: RolloutState, version: number): void {
    this.#update.run({ id, state, version });
  }

  remove(id: string): void {
    this.#remove.run({ id });
  }

  tenantOf(id: string): string | undefined {
    return this.#one.get({ id })?.tenant;
  }

  /** Up to which event it has followed. */
  versionOf(id: string): number {
    return this.#one.get({ id })?.version ?? 0;
  }

  unfinished(): readonly string[] {
    return this.#unfinished.all({}).map(({ id }) => id);
  }

  /** Ids, newest first. @throws AgentsFailure 422 */
  list(tenant: string, { limit, cursor, state, environment }: RolloutQuery): Page<string> {
    if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor))
      throw invalidField('cursor', 'was not given out here');
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(cursor);
    const rows = this.#list.all({
      tenant,
      state: state ?? null,
      environment: environment ?? null,
      before,
      limit: limit + 1,
    });
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1)?.no : undefined;
    return { items: page.map(({ id }) => id), ...(last === undefined ? {} : { nextCursor: String(last) }) };
  }

  counts(): ReadonlyMap<RolloutState, number> {
    return new Map(this.#counts.all({}).map(({ state, count }) => [state, count]));
  }
}
