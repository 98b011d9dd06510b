import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isJobId } from '../../doors/jobs/job-id.ts';
import { importJob, requireJob } from '../../doors/jobs/jobs.ts';
import { prune } from '../../doors/jobs/prune.ts';
import { parsePruneFlags, type PruneFlags } from '../../doors/jobs/prune-plan.ts';
import { checkHealth, repairHealth } from '../../doors/jobs/store-health.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler, Flags } from '../command.ts';
import { escapeControls } from '../output.ts';

export const storePrune: CommandHandler = async (ctx, { flags }) => {
  const criteria = parsePruneFlags(pruneFlags(flags));
  const outDir = flags.text('out-dir');
  const report = await prune(await ctx.jobs(), {
    criteria,
    outDir: outDir === undefined ? ctx.outDir : resolve(ctx.cwd, outDir),
    dryRun: flags.on('dry-run'),
  });
  const { dry_run, checked, matched, removed, freed_bytes } = report;
  return {
    json: report,
    text: [
      `store prune dry_run=${dry_run} checked=${checked} matched=${matched} removed=${removed} freed_bytes=${freed_bytes}`,
      ...report.entries.map(
        ({ kind, reason, path, size_bytes }) =>
          `- kind=${kind} reason=${reason} path=${escapeControls(path)} size=${size_bytes}`,
      ),
      ...report.skipped.map(
        ({ kind, path }) => `- skipped kind=${kind} path=${escapeControls(path)} (active)`,
      ),
      ...report.errors.map(
        ({ path, message }) => `- failed path=${escapeControls(path)} ${escapeControls(message)}`,
      ),
    ],
  };
};

function pruneFlags(flags: Flags): PruneFlags {
  const names = {
    jobMaxAge: 'job-max-age',
    jobpackMaxAge: 'jobpack-max-age',
    reportMaxAge: 'report-max-age',
    integrationMaxAge: 'integration-max-age',
    maxJobpacks: 'max-jobpacks',
    maxReports: 'max-reports',
  } as const;
  const given = Object.entries(names).flatMap(([key, flag]) => {
    const value = flags.text(flag);
    return value === undefined ? [] : [[key, value] as const];
  });
  return { ...Object.fromEntries(given), includeActive: flags.on('include-active') };
}

export const storeCheck: CommandHandler = async (ctx, { args }) => {
  const jobs = await ctx.jobs({ create: false });
  const only = args[0] === undefined ? undefined : (await requireJob(jobs, args[0])).id;
  const report = await checkHealth(jobs, only);
  return {
    json: report,
    text: [
      `store check ok=${report.ok} runs=${report.runs} events=${report.events} findings=${report.findings.length}`,
      ...report.findings.map(
        ({ run_id, kind, seq, message }) =>
          `- ${run_id ?? 'store'} ${kind}${seq === undefined ? '' : ` seq=${seq}`}: ${escapeControls(message)}`,
      ),
    ],
    ...(report.ok
      ? {}
      : {
          error: new ReeveError('E_STORE_CORRUPT', `the store has ${report.findings.length} finding(s)`, {
            findings: report.findings.length,
          }),
        }),
  };
};

export const storeRepair: CommandHandler = async (ctx, { args }) => {
  const jobs = await ctx.jobs();
  const only = args[0] === undefined ? undefined : (await requireJob(jobs, args[0])).id;
  const report = await repairHealth(jobs, only);
  return {
    json: report,
    text: [
      `store repair ok=${report.ok} runs=${report.runs} mended=${report.mended.length} left=${report.findings.length}`,
      ...report.mended.map(({ run_id, what }) => `- ${run_id}: ${what}`),
      ...report.findings.map(
        ({ run_id, message }) => `- left ${run_id ?? 'store'}: ${escapeControls(message)}`,
      ),
    ],
    ...(report.ok
      ? {}
      : {
          error: new ReeveError(
            'E_STORE_CORRUPT',
            'some findings cannot be mended without losing events',
            {},
          ),
        }),
  };
};

export const storeImport: CommandHandler = async (ctx, { args }) => {
  const jobs = await ctx.jobs();
  const [only] = args;
  const entries = await readdir(join(ctx.storeRoot, 'jobs'), { withFileTypes: true }).catch(() => []);
  const names =
    only === undefined
      ? entries.filter((entry) => entry.isDirectory() && isJobId(entry.name)).map(({ name }) => name)
      : [only];
  const imported: string[] = [];
  const failed: { job_id: string; code: string; message: string }[] = [];
  for (const name of names) {
    if (only !== undefined) {
      await requireJob(jobs, name);
      imported.push(name);
      continue;
    }
    if ((await jobs.engine.store.head(name)) !== undefined) continue;
    try {
      if (await importJob(jobs, name)) imported.push(name);
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      failed.push({ job_id: name, code: error.code, message: error.message });
    }
  }
  const [first] = failed;
  return {
    json: { imported, failed },
    text: [
      `store import imported=${imported.length} failed=${failed.length}`,
      ...imported.map((name) => `- ${name}`),
      ...failed.map(({ job_id, code, message }) => `- failed ${job_id} ${code}: ${escapeControls(message)}`),
    ],
    ...(first === undefined
      ? {}
      : {
          error: new ReeveError('E_STORE_CORRUPT', `${failed.length} director(ies) could not be imported`, {
            failed,
          }),
        }),
  };
};
