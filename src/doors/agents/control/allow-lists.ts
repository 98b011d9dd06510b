/**
 * The signed allow-list of each tenant: taken from operators, given to agents, asked at each new task (contract agents
 * §5). Agents decide for themselves; here only nothing is queued that they would refuse.
 */
import { createHash } from 'node:crypto';
import { AllowList, requireWithin } from '../../../policy/allow-list/allow-list.ts';
import { openAllowList, readAllowList } from '../../../policy/allow-list/open.ts';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import type { PublicKey } from '../../../policy/keys.ts';
import type { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { AgentsFailure, conflict } from '../wire/errors.ts';
import type { NewTask, SkillRef } from '../wire/tasks.ts';
import type { Audit, Caller, Ledger } from './ports.ts';

export const ALLOW_LIST_SCHEMA = `create table allow_lists (
  tenant text primary key,
  serial integer not null,
  etag text not null,
  bytes blob not null
) without rowid`;

interface Row {
  readonly tenant: string;
  readonly serial: number;
  readonly etag: string;
  readonly bytes: Buffer;
}

interface Published extends Omit<Row, 'tenant'> {
  readonly list: AllowList;
}

interface AllowListsOptions {
  readonly rows: ServiceDatabase;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
  nowMs(): number;
}

export class AllowLists {
  readonly #options: AllowListsOptions;
  readonly #current = new Map<string, Published>();
  readonly #put;
  readonly #get;

  constructor(options: AllowListsOptions) {
    this.#options = options;
    const { rows } = options;
    this.#put = rows.prepare<(string | number | Buffer)[]>(
      'insert or replace into allow_lists (tenant, serial, etag, bytes) values (?, ?, ?, ?)',
    );
    this.#get = rows.prepare<[string], Row>('select * from allow_lists where tenant = ?');
    for (const { tenant, ...row } of rows.prepare<[], Row>('select * from allow_lists').all())
      this.#current.set(tenant, { ...row, list: new AllowList(readAllowList(row.bytes).document) });
  }

  /** 0: none was published. */
  serial(tenant: string): number {
    return this.#current.get(tenant)?.serial ?? 0;
  }

  current(tenant: string): Pick<Published, 'etag' | 'bytes'> | undefined {
    return this.#current.get(tenant);
  }

  /** @throws AgentsFailure 409 an older serial, or another list of the same; 422 not signed, expired, another tenant's. */
  async publish(by: Caller, bytes: Buffer): Promise<{ serial: number; etag: string }> {
    const { keys, threshold, nowMs, ledger, audit } = this.#options;
    if (keys.length === 0)
      throw unverified('bad_signature', 'no key is trusted here: give --trust-keys to the control plane');
    const etag = `"${createHash('sha256').update(bytes).digest('hex')}"`;
    let list: AllowList;
    try {
      const trust = { keys, threshold, tenant: by.tenant, nowMs: nowMs(), lastSerial: 0 };
      list = openAllowList(bytes, trust);
    } catch (error) {
      if (error instanceof Refusal) throw unverified(error.reason, error.message, error.details);
      throw error;
    }
    const { serial } = list;
    await ledger.write(() => {
      const before = this.#get.get(by.tenant);
      if (
        before !== undefined &&
        (serial < before.serial || (serial === before.serial && etag !== before.etag))
      )
        throw conflict('rollback', `serial ${serial} is not above ${before.serial}, which is published`, {
          value: serial,
          limit: before.serial,
        });
      if (before?.etag === etag) return;
      this.#put.run(by.tenant, serial, etag, bytes);
      audit.append({
        ...by,
        action: 'allowlist.publish',
        object: 'allowlist',
        ...(before === undefined ? {} : { before: { serial: before.serial, etag: before.etag } }),
        after: { serial, etag },
      });
    });
    if (serial >= this.serial(by.tenant)) this.#current.set(by.tenant, { serial, etag, bytes, list });
    return { serial, etag };
  }

  /**
   * What a task may be queued for.
   * @returns the skill's digest; undefined for a command.
   * @throws AgentsFailure 422 `unverified_command`
   */
  verify(tenant: string, task: NewTask): string | undefined {
    const list = this.#current.get(tenant)?.list;
    if (list === undefined)
      throw unverified('not_listed', 'this tenant has no allow-list yet: nothing may be run');
    const nowMs = this.#options.nowMs();
    try {
      if (task.skill === undefined) {
        const entry = list.command(task.command ?? [], { allowRaw: true }, nowMs);
        requireWithin(entry, { envRefs: task.env_refs ?? [] });
        return undefined;
      }
      const digest = digestIn(list, task.skill);
      const entry = list.skill({ ...task.skill, digest }, task.args ?? {}, nowMs);
      requireWithin(entry, { envRefs: task.env_refs ?? [] });
      return digest;
    } catch (error) {
      if (error instanceof Refusal) throw unverified(error.reason, error.message, error.details);
      throw error;
    }
  }
}

/** Of the package that was signed; of a skill that is not listed, none. */
function digestIn({ document }: AllowList, { name, version }: SkillRef): string {
  const entry = document.entries.find(
    (each) => each.kind === 'skill' && each.name === name && each.version === version,
  );
  return entry?.digest ?? '';
}

function unverified(
  reason: string,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): AgentsFailure {
  return new AgentsFailure(422, 'unverified_command', message, { ...details, reason });
}
