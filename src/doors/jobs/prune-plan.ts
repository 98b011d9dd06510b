/** What `store prune` removes (contract wrkr §d, W32, W33). Pure: the caller gathers the facts and deletes. */
import { ReeveError } from '../../model/errors.ts';
import { parsePositiveDuration } from './duration.ts';
import { formatTime } from './time.ts';

export type PruneKind = 'job' | 'jobpack' | 'report' | 'integration';

/** A job directory, or a file of the out directory. */
export interface PruneFact {
  readonly kind: PruneKind;
  readonly path: string;
  /** Of a job: of all files below. */
  readonly sizeBytes: number;
  /** Of a job: the newest below, 0 when there is none. */
  readonly modTimeMs: number;
  /** Jobs: neither completed nor canceled, or held by a worker. */
  readonly active?: boolean;
}

export interface PruneCriteria {
  readonly maxAgeMs: Partial<Readonly<Record<PruneKind, number>>>;
  readonly maxCount: Partial<Readonly<Record<'jobpack' | 'report', number>>>;
  readonly includeActive: boolean;
}

export interface PruneEntry {
  readonly kind: PruneKind;
  readonly path: string;
  readonly size_bytes: number;
  readonly mod_time: string;
  readonly reason: 'age' | 'count';
}

export interface PrunePlan {
  readonly checked: number;
  readonly entries: readonly PruneEntry[];
  /** Old enough, but active. */
  readonly skipped: readonly PruneEntry[];
}

/** Flags as given on the command line; absent ones are off. */
export interface PruneFlags {
  readonly jobMaxAge?: string;
  readonly jobpackMaxAge?: string;
  readonly reportMaxAge?: string;
  readonly integrationMaxAge?: string;
  readonly maxJobpacks?: string;
  readonly maxReports?: string;
  readonly includeActive?: boolean;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: no criterion, a duration or count that is none (W33). */
export function parsePruneFlags(flags: PruneFlags): PruneCriteria {
  const maxAgeMs = defined({
    job: age('--job-max-age', flags.jobMaxAge),
    jobpack: age('--jobpack-max-age', flags.jobpackMaxAge),
    report: age('--report-max-age', flags.reportMaxAge),
    integration: age('--integration-max-age', flags.integrationMaxAge),
  });
  const maxCount = defined({
    jobpack: count('--max-jobpacks', flags.maxJobpacks),
    report: count('--max-reports', flags.maxReports),
  });
  if (Object.keys(maxAgeMs).length + Object.keys(maxCount).length === 0) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      'store prune needs at least one of --job-max-age, --jobpack-max-age, --report-max-age, --integration-max-age, --max-jobpacks, --max-reports',
    );
  }
  return { maxAgeMs, maxCount, includeActive: flags.includeActive === true };
}

function age(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parsePositiveDuration(text);
  if (ms !== undefined) return ms;
  throw refusal(flag, text, 'a duration above zero such as 168h, 1h30m or 300ms');
}

function count(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw refusal(flag, text, 'a whole number from 0');
}

function refusal(flag: string, text: string, wanted: string): ReeveError {
  const value = text.slice(0, 100);
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${flag} must be ${wanted}, not ${JSON.stringify(value)}`, {
    field: flag,
    value,
  });
}

function defined<K extends string>(
  values: Readonly<Record<K, number | undefined>>,
): Partial<Record<K, number>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<
    Record<K, number>
  >;
}

/** Chooses by age, then by count beyond the newest; age wins. Entries are in the order of their paths. */
export function prunePlan(facts: readonly PruneFact[], criteria: PruneCriteria, nowMs: number): PrunePlan {
  const beyond = new Set(
    (['jobpack', 'report'] as const).flatMap((kind) => beyondCount(facts, kind, criteria.maxCount[kind])),
  );
  const entries: PruneEntry[] = [];
  const skipped: PruneEntry[] = [];
  for (const fact of facts.toSorted((a, b) => byBytes(a.path, b.path))) {
    const { kind, path } = fact;
    const limit = criteria.maxAgeMs[kind];
    const old = limit !== undefined && nowMs - fact.modTimeMs >= limit;
    if (!old && !beyond.has(fact)) continue;
    const entry: PruneEntry = {
      kind,
      path,
      size_bytes: fact.sizeBytes,
      mod_time: formatTime(fact.modTimeMs),
      reason: old ? 'age' : 'count',
    };
    (fact.active === true && !criteria.includeActive ? skipped : entries).push(entry);
  }
  return { checked: facts.length, entries, skipped };
}

function beyondCount(
  facts: readonly PruneFact[],
  kind: PruneKind,
  limit: number | undefined,
): readonly PruneFact[] {
  if (limit === undefined) return [];
  const newestFirst = facts
    .filter((fact) => fact.kind === kind)
    .toSorted((a, b) => b.modTimeMs - a.modTimeMs || byBytes(a.path, b.path));
  return newestFirst.slice(limit);
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

export interface PruneReport {
  readonly generated_at: string;
  readonly dry_run: boolean;
  readonly checked: number;
  readonly matched: number;
  readonly removed: number;
  readonly freed_bytes: number;
  readonly entries: readonly PruneEntry[];
  readonly skipped: readonly PruneEntry[];
  readonly errors: readonly { readonly path: string; readonly message: string }[];
}

/** @param failures path → why it could not be removed. Undefined: a dry run. */
export function pruneReport(
  plan: PrunePlan,
  nowMs: number,
  failures: ReadonlyMap<string, string> | undefined,
): PruneReport {
  const removed = failures === undefined ? [] : plan.entries.filter(({ path }) => !failures.has(path));
  return {
    generated_at: formatTime(nowMs),
    dry_run: failures === undefined,
    checked: plan.checked,
    matched: plan.entries.length,
    removed: removed.length,
    freed_bytes: removed.reduce((sum, { size_bytes: bytes }) => sum + bytes, 0),
    entries: plan.entries,
    skipped: plan.skipped,
    errors: [...(failures ?? [])].map(([path, message]) => ({ path, message })),
  };
}
