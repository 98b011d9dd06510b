/** The audit chain of each tenant in the service database. Lines are only ever added (contract agents §8). */
import { sha256 } from '../../../engine/system.ts';
import { canonicalJson } from '../../../model/canonical.ts';
import type { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import type { AuditEntry } from '../wire/audit.ts';
import { timestamp } from '../ids.ts';
import { CHAIN_START, chained, type ChainHead } from './audit-chain.ts';
import type { Audit, AuditNote } from './ports.ts';

export const AUDIT_SCHEMA = `create table audit (
  tenant text not null,
  seq integer not null,
  hash text not null,
  line text not null,
  primary key (tenant, seq)
) without rowid`;

interface AuditOptions {
  readonly rows: ServiceDatabase;
  nowMs(): number;
  /** Replaces secrets in every text of a value (I9). */
  redact<T>(tenant: string, value: T): T;
}

export class AuditLog implements Audit {
  readonly #options: AuditOptions;
  readonly #insert;
  readonly #last;
  readonly #after;

  constructor(options: AuditOptions) {
    this.#options = options;
    const { rows } = options;
    this.#insert = rows.prepare<[string, number, string, string]>(
      'insert into audit (tenant, seq, hash, line) values (?, ?, ?, ?)',
    );
    this.#last = rows.prepare<[string], ChainHead>(
      'select seq, hash from audit where tenant = ? order by seq desc limit 1',
    );
    this.#after = rows.prepare<[string, number, number], { readonly line: string }>(
      'select line from audit where tenant = ? and seq > ? order by seq limit ?',
    );
  }

  append({ tenant, actor, action, object, before, after, reason }: AuditNote): void {
    const { seq, hash } = this.head(tenant);
    const { nowMs, redact } = this.#options;
    const said = redact(tenant, { actor, object, before, after, reason });
    const entry = chained(
      present({ seq: seq + 1, ts: timestamp(nowMs()), tenant, action, ...said, prev_hash: hash }),
      sha256,
    );
    this.#insert.run(tenant, entry.seq, entry.hash, canonicalJson(entry));
  }

  /** Of the chain so far. */
  head(tenant: string): ChainHead {
    return this.#last.get(tenant) ?? { seq: 0, hash: CHAIN_START };
  }

  /** Lines with a higher number, in order: each the canonical JSON of an entry. */
  lines(tenant: string, after: number, limit: number): readonly string[] {
    return this.#after.all(tenant, after, limit).map(({ line }) => line);
  }
}

/** Without what is undefined: what is hashed is what is sent. */
function present(entry: Readonly<Record<string, unknown>>): Omit<AuditEntry, 'hash'> {
  const kept = Object.entries(entry).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as unknown as Omit<AuditEntry, 'hash'>;
}
