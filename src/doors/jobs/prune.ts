/** `store prune`: gathers what is there, removes what the plan names (contract wrkr §d, W32). */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isTerminal } from '../../model/transitions.ts';
import { isOfAgents } from '../progress.ts';
import { isJobId, jobDir } from './job-id.ts';
import { PROJECTION_LOCK } from './directory.ts';
import type { Jobs } from './jobs.ts';
import {
  prunePlan,
  pruneReport,
  type PruneCriteria,
  type PruneEntry,
  type PruneFact,
  type PruneReport,
} from './prune-plan.ts';

export async function prune(
  jobs: Jobs,
  options: { readonly criteria: PruneCriteria; readonly outDir: string; readonly dryRun: boolean },
): Promise<PruneReport> {
  const { criteria, outDir, dryRun } = options;
  const nowMs = jobs.engine.clock.nowMs();
  const facts = [...(await jobFacts(jobs)), ...(await outFacts(outDir))];
  const plan = prunePlan(facts, criteria, nowMs);
  if (dryRun) return pruneReport(plan, nowMs, undefined);
  const failures = new Map<string, string>();
  for (const entry of plan.entries) {
    await remove(jobs, entry, criteria.includeActive).catch((error: unknown) => {
      failures.set(entry.path, (error as Error).message);
    });
  }
  await forgetSettled(jobs);
  return pruneReport(plan, nowMs, failures);
}

/**
 * Removes what executors still keep of attempts that are over: a worker that was killed between recording an end and
 * tidying up leaves it behind.
 */
export function forgetSettled(jobs: Jobs): Promise<void> {
  return forgetRecords(jobs, async (runId, effectKey) => {
    if ((await jobs.engine.store.head(runId)) === undefined) return true;
    const state = await jobs.engine.state(runId);
    return ![...state.live.keys()].some((id) => state.nodes.get(id)?.live?.effectKey === effectKey);
  });
}

async function forgetRecords(
  jobs: Jobs,
  isOver: (runId: string, effectKey: string) => boolean | Promise<boolean>,
): Promise<void> {
  const executor = jobs.executors.get('process');
  for (const effectKey of await readdir(join(jobs.root, 'attempts')).catch(() => [])) {
    const [, runId] = /^(.+)\.\d+\.\d+$/.exec(effectKey) ?? [];
    if (runId === undefined || executor === undefined || !(await isOver(runId, effectKey))) continue;
    await executor
      .forget({ executor: executor.name, effectKey })
      .catch((error: unknown) => jobs.note(`${effectKey}: ${(error as Error).message}`));
  }
}

async function remove(jobs: Jobs, entry: PruneEntry, includeActive: boolean): Promise<void> {
  if (entry.kind === 'job') {
    const jobId = entry.path.slice(entry.path.lastIndexOf('/') + 1);
    // It may have been resumed since it was listed.
    if (!includeActive && (await isActive(jobs, jobId))) throw new Error('the job has become active');
    // Before the job: a new one of this id must never find records of the old one.
    await forgetRecords(jobs, (runId) => runId === jobId);
    await jobs.engine.store.remove(jobId);
    jobs.engine.forget(jobId);
    jobs.directories.forget(jobId);
  }
  await rm(entry.path, { recursive: entry.kind === 'job', force: true });
  if (entry.kind === 'jobpack') await rm(`${entry.path}.sig.json`, { force: true });
}

async function isActive(jobs: Jobs, jobId: string): Promise<boolean> {
  const head = await jobs.engine.store.head(jobId);
  if (head === undefined) return false;
  const held = (await jobs.engine.store.work(jobId)).some(({ state }) => state === 'leased');
  return held || !isTerminal(head.phase === 'held' ? { phase: 'running' } : { phase: head.phase });
}

/** Jobs of the store and directories that only another implementation knows. A job's age is its newest file's. */
async function jobFacts(jobs: Jobs): Promise<PruneFact[]> {
  const names = new Set(await directoriesIn(join(jobs.root, 'jobs')));
  for (let after: { createdAtMs: number; no: number } | undefined; ; ) {
    const page = await jobs.engine.store.list({ limit: 500, ...(after === undefined ? {} : { after }) });
    // What the control plane of agents still tells of is its own to forget.
    for (const head of page.runs) if (isJobId(head.id) && !isOfAgents(head)) names.add(head.id);
    after = page.next;
    if (after === undefined) break;
  }
  const facts: PruneFact[] = [];
  for (const name of names) {
    const path = jobDir(jobs.root, name);
    const { sizeBytes, newestMs } = await measure(path);
    const head = await jobs.engine.store.head(name);
    facts.push({
      kind: 'job',
      path,
      sizeBytes,
      modTimeMs: newestMs > 0 ? newestMs : (head?.updatedAtMs ?? 0),
      active: await isActive(jobs, name),
    });
  }
  return facts;
}

async function outFacts(outDir: string): Promise<PruneFact[]> {
  const files = async (
    kind: PruneFact['kind'],
    folder: string,
    { suffix = '', recursive = false },
  ): Promise<PruneFact[]> => {
    const entries = await readdir(join(outDir, folder), { withFileTypes: true, recursive }).catch(() => []);
    const found: PruneFact[] = [];
    for (const entry of entries) {
      if (!entry.isFile() || !entry.name.endsWith(suffix)) continue;
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = await lstat(path);
      found.push({ kind, path, sizeBytes: size, modTimeMs: mtimeMs });
    }
    return found;
  };
  return [
    ...(await files('jobpack', 'jobpacks', { suffix: '.zip' })),
    ...(await files('report', 'reports', {})),
    ...(await files('integration', 'integrations', { recursive: true })),
  ];
}

async function measure(dir: string): Promise<{ sizeBytes: number; newestMs: number }> {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true }).catch(() => []);
  let sizeBytes = 0;
  let newestMs = 0;
  for (const entry of entries) {
    if (!entry.isFile() || entry.name === PROJECTION_LOCK) continue;
    const stat = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    sizeBytes += stat?.size ?? 0;
    newestMs = Math.max(newestMs, stat?.mtimeMs ?? 0);
  }
  return { sizeBytes, newestMs };
}

async function directoriesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory() && isJobId(entry.name)).map(({ name }) => name);
}
