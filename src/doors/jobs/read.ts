/** Reading jobs: status, checkpoints, lists. Nothing here changes a job, except that an addressed directory is imported. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { JsonObject } from '../../model/json.ts';
import type { RunState } from '../../model/state.ts';
import type { ListPosition, RunHead, RunPage } from '../../store/run-store.ts';
import { isOfAgents } from '../progress.ts';
import { isJobId } from './job-id.ts';
import { eventsIn, importJob, jobState, requireJob, runSpecOf, type Jobs } from './jobs.ts';
import { checkpointRecord, lineOf, projectionOf } from './lines.ts';
import { parseCheckpointId, standingOf, statusOf, type Status } from './map.ts';
import { formatTime } from './time.ts';

/** The `wrkr.status_response` of a job. */
export async function statusResponse(jobs: Jobs, id: string): Promise<JsonObject> {
  const state = await jobState(jobs, id);
  const row = (await jobs.engine.store.work(state.id)).find(({ node }) => node === state.spec.rootId);
  const holds = row?.worker != null && row.leaseId != null && row.untilMs != null;
  const lease = holds ? { worker: row.worker, leaseId: row.leaseId, untilMs: row.untilMs } : undefined;
  return statusDocument(state, jobs.version, lease);
}

export interface HeldLease {
  readonly worker: string;
  readonly leaseId: string;
  readonly untilMs: number;
}

/** A state as a `wrkr.status_response`. @param lease of the whole job, while somebody holds it. */
export function statusDocument(state: RunState, version: string, lease: HeldLease | undefined): JsonObject {
  const { environment, reasonCodes } = state;
  return {
    schema_id: 'wrkr.status_response',
    schema_version: 'v1',
    created_at: formatTime(state.lastAtMs),
    producer_version: version,
    job_id: state.id,
    status: statusOf(state.standing),
    summary: state.checkpoints.lastSummary,
    ...(reasonCodes.length === 0 ? {} : { reason_codes: reasonCodes }),
    ...(environment === undefined
      ? {}
      : { environment_hash: environment.hash, environment_rules: environment.rules }),
    ...(lease === undefined
      ? {}
      : {
          lease: {
            worker_id: lease.worker,
            lease_id: lease.leaseId,
            expires_at: formatTime(lease.untilMs),
          },
        }),
  };
}

export async function listCheckpoints(jobs: Jobs, id: string): Promise<readonly JsonObject[]> {
  const { id: jobId } = await requireJob(jobs, id);
  const projection = projectionOf(jobId, await runSpecOf(jobs, jobId), jobs.version);
  const records: JsonObject[] = [];
  for await (const recorded of eventsIn(jobs, jobId, ['checkpoint_emitted', 'line_imported'])) {
    const record = checkpointRecord(lineOf(recorded, projection), jobId, projection.producerVersion);
    if (record !== undefined) records.push(record);
  }
  return records;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: ill-formed, unknown, or not a checkpoint (W28). */
export async function showCheckpoint(jobs: Jobs, id: string, checkpoint: string): Promise<JsonObject> {
  const { id: jobId } = await requireJob(jobs, id);
  const seq = parseCheckpointId(checkpoint);
  const projection = projectionOf(jobId, await runSpecOf(jobs, jobId), jobs.version);
  const [recorded] = await jobs.engine.events(jobId, seq - 1, 1);
  const found =
    recorded?.seq === seq
      ? checkpointRecord(lineOf(recorded, projection), jobId, projection.producerVersion)
      : undefined;
  if (found !== undefined) return found;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `job ${jobId} has no checkpoint ${checkpoint}`, {
    job_id: jobId,
    checkpoint_id: checkpoint,
  });
}

/** What a decision binds (I8), for `approve --binds`; undefined when the checkpoint is no decision. */
export async function bindingOf(jobs: Jobs, id: string, checkpoint: string): Promise<string | undefined> {
  const state = await jobState(jobs, id);
  return state.decisions.get(parseCheckpointId(checkpoint))?.binds || undefined;
}

/** Who approved a decision, in order, with the ids of the keys that signed. */
export async function approvalsOf(
  jobs: Jobs,
  id: string,
  checkpoint: string,
): Promise<readonly { readonly by: string; readonly keyIds: readonly string[] }[]> {
  const seq = parseCheckpointId(checkpoint);
  const found: { by: string; keyIds: readonly string[] }[] = [];
  for await (const { event } of eventsIn(jobs, id, ['approval_recorded'], seq)) {
    if (event.type !== 'approval_recorded' || event.checkpoint !== seq) continue;
    found.push({ by: event.by, keyIds: (event.signature?.signatures ?? []).map(({ keyid }) => keyid) });
  }
  return found;
}

export interface ListedJob {
  readonly job_id: string;
  readonly name: string;
  readonly status: Status;
  readonly created_at: string;
  readonly updated_at: string;
  /** Steps; the job's root is not counted. */
  readonly steps: number;
  readonly steps_done: number;
}

export interface JobPage {
  readonly jobs: readonly ListedJob[];
  readonly next_cursor?: string;
}

/** Newest first. @param cursor the `next_cursor` of the page before. */
export async function listJobs(
  jobs: Jobs,
  options: { readonly statuses: readonly Status[]; readonly limit: number; readonly cursor?: string },
): Promise<JobPage> {
  const { statuses, limit, cursor } = options;
  await importAll(jobs);
  const wanted = statuses.map(standingOf);
  const holds = wanted.flatMap((standing) => (standing.phase === 'held' ? [standing.hold] : []));
  const found: RunHead[] = [];
  let after = cursor === undefined ? undefined : parseCursor(cursor);
  // `held` is one phase with several holds: filtered here, page by page, so that other phases can be asked for beside.
  const isListed = (head: RunHead): boolean =>
    !isOfAgents(head) && // the control plane lists them
    (wanted.length === 0 || head.hold === null || holds.includes(head.hold) || isErrorLike(head, statuses));
  const pageOf = (rows: number): Promise<RunPage> =>
    jobs.engine.store.list({
      limit: rows,
      ...(wanted.length === 0 ? {} : { phases: [...new Set(wanted.map(({ phase }) => phase))] }),
      ...(after === undefined ? {} : { after }),
    });
  do {
    let page = await pageOf(limit);
    // More than there is room for: the page is cut where the next one is to begin.
    const rows = rowsWith(limit - found.length, page.runs, isListed);
    if (rows < page.runs.length) page = await pageOf(rows);
    found.push(...page.runs.filter(isListed));
    after = page.next;
  } while (after !== undefined && found.length < limit);
  return { jobs: found.map(listedJob), ...(after === undefined ? {} : { next_cursor: encodeCursor(after) }) };
}

/** How many of the first runs hold so many that are listed; all, when there are not as many. */
function rowsWith(count: number, runs: readonly RunHead[], isListed: (head: RunHead) => boolean): number {
  let left = count;
  const last = runs.findIndex((head) => isListed(head) && (left -= 1) === 0);
  return last === -1 ? runs.length : last + 1;
}

function isErrorLike(head: RunHead, statuses: readonly Status[]): boolean {
  return head.hold === 'outcome_unknown' && statuses.includes('blocked_error');
}

function listedJob(head: RunHead): ListedJob {
  const standing =
    head.phase === 'held' ? ({ phase: 'held', hold: head.hold ?? 'error' } as const) : { phase: head.phase };
  const rootDone = head.phase === 'succeeded' || head.phase === 'failed' || head.phase === 'canceled' ? 1 : 0;
  return {
    job_id: head.id,
    name: head.name,
    status: statusOf(standing),
    created_at: formatTime(head.createdAtMs),
    updated_at: formatTime(head.updatedAtMs),
    steps: Math.max(0, head.nodes - 1),
    steps_done: Math.max(0, head.nodesSettled - rootDone),
  };
}

/** Directories that only another implementation knows are listed too; a damaged one is told, and left. */
async function importAll(jobs: Jobs): Promise<void> {
  const names = await readdir(join(jobs.root, 'jobs')).catch(() => []);
  for (const name of names.filter(isJobId)) {
    if ((await jobs.engine.store.head(name)) !== undefined) continue;
    await importJob(jobs, name).catch((error: unknown) => jobs.note(`${name}: ${(error as Error).message}`));
  }
}

function encodeCursor({ createdAtMs, no }: ListPosition): string {
  return Buffer.from(`${createdAtMs}.${no}`).toString('base64url');
}

function parseCursor(cursor: string): ListPosition {
  const [, createdAtMs, no] =
    /^(\d{1,15})\.(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (createdAtMs === undefined || no === undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'the cursor is none of ours', {
      field: 'cursor',
      value: cursor.slice(0, 100),
    });
  }
  return { createdAtMs: Number(createdAtMs), no: Number(no) };
}
