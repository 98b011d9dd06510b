/** `store check` and `store repair`: the database, every run from its events up, and the job directories beside it. */
import { sha256 } from '../../engine/system.ts';
import { expectedWork } from '../../engine/work-changes.ts';
import { checkRun, checkStore, type CheckTools } from '../../store/check.ts';
import { repairRun } from '../../store/repair.ts';
import type { Finding } from '../../store/walk.ts';
import { isJobId } from './job-id.ts';
import type { Jobs } from './jobs.ts';
import { forgetSettled } from './prune.ts';

export interface HealthFinding {
  readonly run_id?: string;
  readonly kind: string;
  readonly seq?: number;
  readonly message: string;
}

export interface HealthReport {
  readonly ok: boolean;
  readonly runs: number;
  readonly events: number;
  readonly findings: readonly HealthFinding[];
}

export interface HealthRepair extends HealthReport {
  readonly mended: readonly { readonly run_id: string; readonly what: string }[];
}

const TOOLS: CheckTools = { sha256, expectedWork };

/** Verifies; changes nothing. @param only one job instead of all. */
export async function checkHealth(jobs: Jobs, only?: string): Promise<HealthReport> {
  const findings: HealthFinding[] = [];
  let runs = 0;
  let events = 0;
  for await (const report of reports(jobs, only)) {
    if (report.runId !== undefined) runs += 1;
    events += report.events;
    findings.push(...report.findings.map(shown));
  }
  return { ok: findings.length === 0, runs, events, findings };
}

/** Rebuilds what is derived from the events, job directories included. What remains is reported. */
export async function repairHealth(jobs: Jobs, only?: string): Promise<HealthRepair> {
  const { store, blobs, clock } = jobs.engine;
  const mended: { run_id: string; what: string }[] = [];
  for await (const { runId } of reports(jobs, only)) {
    if (runId === undefined) continue;
    const report = await repairRun(store, blobs, runId, TOOLS, clock.nowMs());
    for (const what of report.mended) mended.push({ run_id: runId, what });
    jobs.engine.forget(runId);
    if (isJobId(runId)) await jobs.directories.rebuild(runId);
  }
  if (only === undefined) await forgetSettled(jobs);
  return { ...(await checkHealth(jobs, only)), mended };
}

async function* reports(
  { engine: { store, blobs } }: Jobs,
  only: string | undefined,
): AsyncIterable<{ runId?: string; events: number; findings: readonly Finding[] }> {
  if (only === undefined) yield* checkStore(store, blobs, TOOLS);
  else yield checkRun(store, blobs, only, TOOLS);
}

function shown({ runId, kind, seq, message }: Finding): HealthFinding {
  return {
    ...(runId === undefined ? {} : { run_id: runId }),
    kind,
    ...(seq === undefined ? {} : { seq }),
    message,
  };
}
