/** The next allow-list: what the last one says, with some entries added, replaced or taken away. Pure. */
import { ReeveError } from '../../model/errors.ts';
import type { AllowListDocument, AllowListEntry } from './schema.ts';

const DAY_MS = 86_400_000;
/** The end of a list that nobody renews. */
export const VALID_DAYS_DEFAULT = 90;

export interface Amendment {
  readonly add: readonly AllowListEntry[];
  /** `name@version` of skills, or digests of commands. */
  readonly remove: readonly string[];
  /** How long the next one holds, from now on. */
  readonly days: number;
  readonly nowMs: number;
  /** Of the first list; a later one is the same tenant's. */
  readonly tenant: string;
}

export interface Amended {
  readonly document: AllowListDocument;
  readonly added: readonly string[];
  readonly replaced: readonly string[];
  readonly removed: readonly string[];
}

/** @throws ReeveError E_USAGE: what is to be removed is not there */
export function amend(before: AllowListDocument | undefined, amendment: Amendment): Amended {
  const { add, remove, days, nowMs, tenant } = amendment;
  const entries = new Map((before?.entries ?? []).map((entry) => [keyOf(entry), entry]));
  for (const key of remove)
    if (!entries.delete(key))
      throw new ReeveError('E_USAGE', `the allow-list has no entry ${key}`, { flag: '--remove', value: key });
  const names = add.map(keyOf);
  const replaced = names.filter((key) => entries.has(key));
  for (const entry of add) entries.set(keyOf(entry), entry);
  const sorted = [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    document: {
      version: 1,
      tenant: before?.tenant ?? tenant,
      serial: (before?.serial ?? 0) + 1,
      issued_at: time(nowMs),
      expires_at: time(nowMs + days * DAY_MS),
      entries: sorted.map(([, entry]) => entry),
    },
    added: names.filter((key) => !replaced.includes(key)),
    replaced,
    removed: remove,
  };
}

/** How people name an entry. */
export function keyOf({ kind, name, version, digest }: AllowListEntry): string {
  return kind === 'skill' ? `${name}@${version}` : digest;
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
