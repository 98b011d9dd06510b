/**
 * What is kept how long (contract agents §8, J26). Removed are the bytes of files; a run's summary and the digests of all
 * its files stay as a tombstone. A run that has not ended, or whose rollout has not, is left alone, and so is everything of
 * a tenant under legal hold.
 */
import { isFinal, type TaskView } from '../../wire/tasks.ts';
import type { Audit, Ledger, SettingsOfTenants, TaskBoard } from '../ports.ts';
import type { FileIndex, FileRow, RunTotals } from './index-tables.ts';

const DAY_MS = 86_400_000;
const PAGE = 500;

export interface RetentionOptions {
  readonly index: FileIndex;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly board: Pick<TaskBoard, 'ofRun'>;
  readonly settings: Pick<SettingsOfTenants, 'retention' | 'tenants'>;
  /** Whether a rollout still needs the files of its runs: it runs, or somebody is to review it. */
  isRolloutOpen(tenant: string, rolloutId: string): Promise<boolean>;
  /** Deletes bytes that nothing needs any more. */
  forget(blobs: Iterable<string>): Promise<void>;
  nowMs(): number;
}

type Rules = ReturnType<SettingsOfTenants['retention']>;

export interface Removed {
  readonly files: number;
  readonly bytes: number;
}

/** A run that has ended, whose files may go. */
interface EndedRun {
  readonly runId: string;
  readonly endMs: number;
  /** Until when a run that did not succeed is kept in any case. */
  readonly floorMs: number;
}

/** One pass over all tenants. @throws ReeveError E_STORE_*; what was removed by then stays removed, and is audited */
export async function applyRetention(options: RetentionOptions): Promise<Removed> {
  const tenants = new Set([...options.settings.tenants(), ...options.index.tenants()]);
  let total: Removed = { files: 0, bytes: 0 };
  for (const tenant of tenants) {
    const removed = await applyToTenant(options, tenant);
    total = { files: total.files + removed.files, bytes: total.bytes + removed.bytes };
  }
  return total;
}

async function applyToTenant(options: RetentionOptions, tenant: string): Promise<Removed> {
  const { index, settings, nowMs } = options;
  const rules = settings.retention(tenant);
  if (rules.legal_hold === true) return { files: 0, bytes: 0 };
  const now = nowMs();
  const daysMin = Math.min(rules.artifact_days, rules.log_days);
  const max = rules.max_bytes ?? Number.POSITIVE_INFINITY;
  const isTooMuch = index.bytesOfTenant(tenant) > max;
  const ended: EndedRun[] = [];
  let files = 0;
  let bytes = 0;
  const remove = async (run: EndedRun, isDue: (file: FileRow) => boolean, reason: string): Promise<void> => {
    const gone = await removeFiles(options, tenant, run.runId, isDue, reason);
    files += gone.files;
    bytes += gone.bytes;
  };
  for (const totals of allRuns(index, tenant)) {
    // No file of a young run is due, whenever it ended.
    if (!isTooMuch && now < totals.newest_ms + daysMin * DAY_MS) continue;
    const run = await endedRun(options, tenant, totals, rules);
    if (run === undefined) continue;
    ended.push(run);
    const isDue = ({ kind }: FileRow): boolean => {
      const days = kind === 'log' ? rules.log_days : rules.artifact_days;
      return now >= Math.max(run.endMs + days * DAY_MS, run.floorMs);
    };
    await remove(run, isDue, `older than artifact_days ${rules.artifact_days}, log_days ${rules.log_days}`);
  }
  for (const run of ended.toSorted((a, b) => a.endMs - b.endMs)) {
    if (index.bytesOfTenant(tenant) <= max) break;
    if (now >= run.floorMs) await remove(run, () => true, `the tenant's files are over max_bytes ${max}`);
  }
  return { files, bytes };
}

function* allRuns(index: FileIndex, tenant: string): Generator<RunTotals> {
  for (let after = ''; ; ) {
    const page = index.runs(tenant, after, PAGE);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.run_id;
  }
}

/** Undefined: it runs, it waits, or its rollout is open. A run that nobody knows any more ended with its last file. */
async function endedRun(
  { board, isRolloutOpen }: RetentionOptions,
  tenant: string,
  { run_id: runId, newest_ms: newestMs }: RunTotals,
  rules: Rules,
): Promise<EndedRun | undefined> {
  const task: TaskView | undefined = await board.ofRun(tenant, runId);
  if (task !== undefined && !isFinal(task.status)) return undefined;
  if (task?.rollout_id !== undefined && (await isRolloutOpen(tenant, task.rollout_id))) return undefined;
  const finishedMs = Date.parse(task?.finished_at ?? '');
  const endMs = Number.isNaN(finishedMs) ? newestMs : Math.max(finishedMs, newestMs);
  const isFailure = task !== undefined && task.status !== 'succeeded';
  const floorMs = isFailure ? endMs + (rules.keep_failed_days ?? 0) * DAY_MS : endMs;
  return { runId, endMs, floorMs };
}

/** Rows and audit line in one transaction; the bytes go after it, and what a crash leaves of them is an orphan. */
async function removeFiles(
  { index, ledger, audit, settings, forget, nowMs }: RetentionOptions,
  tenant: string,
  runId: string,
  isDue: (file: FileRow) => boolean,
  reason: string,
): Promise<Removed> {
  const removed = await ledger.write(() => {
    // A hold may have come while this pass was under way.
    if (settings.retention(tenant).legal_hold === true) return [];
    const due = index
      .files(tenant, runId)
      .filter((file) => file.removed_ms === null && file.kind !== 'summary' && isDue(file))
      .filter((file) => index.remove(file, nowMs()));
    if (due.length > 0) {
      audit.append({
        actor: 'retention',
        tenant,
        action: 'files.remove',
        object: `run/${runId}`,
        before: { files: due.map(({ path, size, sha256 }) => ({ path, size, sha256 })) },
        reason,
      });
    }
    return due;
  });
  await forget(removed.map(({ sha256 }) => sha256));
  return { files: removed.length, bytes: removed.reduce((sum, { size }) => sum + size, 0) };
}
