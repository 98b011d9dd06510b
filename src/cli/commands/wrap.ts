import type { Jobs } from '../../doors/jobs/jobs.ts';
import { exportJob, type ExportedPack, type ExportOptions } from '../../doors/jobs/pack.ts';
import type { Ran } from '../../doors/jobs/submit.ts';
import { wrap as wrapCommand } from '../../doors/jobs/wrap.ts';
import { footerText } from '../../evidence/receipt.ts';
import { limitsFrom } from '../jobs/limits.ts';
import type { CommandHandler } from '../command.ts';
import { escapeLines } from '../output.ts';
import { startProgress } from '../ui/progress.ts';
import { packSigningKey } from '../signing.ts';
import { signatureFields } from '../../doors/jobs/results.ts';
import { packLines } from './export.ts';
import { finished } from './submit.ts';
import { outDirOf } from './verify.ts';

export const wrap: CommandHandler = async (ctx, { flags, rest }) => {
  const jobId = flags.text('job-id');
  const usage = flags.text('usage');
  const usageModel = flags.text('usage-model');
  const limits = limitsFrom(flags);
  const outDir = outDirOf(ctx, flags);
  const key = await packSigningKey(ctx, flags);
  const jobs = await ctx.jobs();
  const progress = startProgress(ctx, jobs);
  try {
    const done = await wrapCommand(jobs, {
      argv: rest,
      artifacts: flags.texts('artifact'),
      redact: flags.texts('redact'),
      signal: ctx.signal,
      onChange: progress.onChange,
      ...(jobId === undefined ? {} : { jobId }),
      ...(usage === undefined ? {} : { usageSource: usage }),
      ...(usageModel === undefined ? {} : { usageModel }),
      ...(limits === undefined ? {} : { limits }),
    });
    await progress.stop();
    const { error, result } = done;
    if (!ctx.json) {
      // What the command printed, for whoever ran it; results stay alone on stdout.
      for (const text of [result.stdout, result.stderr]) {
        if (text !== undefined) ctx.stderr.write(`${escapeLines(text).join('\n')}\n`);
      }
    }
    const pack = await exportIfPossible(jobs, done, { outDir, ...(key === undefined ? {} : { key }) });
    const printed =
      pack === undefined
        ? { json: { job_id: done.jobId, adapter_result: result }, text: [`job_id=${done.jobId}`] }
        : {
            json: {
              job_id: done.jobId,
              adapter_result: result,
              jobpack_path: pack.path,
              manifest_sha256: pack.manifestSha256,
              footer: footerText(pack),
              ...signatureFields(pack),
            },
            text: packLines(pack),
          };
    // The result is printed even when the command failed; the error follows.
    return error === undefined ? finished(ctx, done, printed) : { ...printed, error };
  } finally {
    await progress.stop();
  }
};

/** The evidence is written whether the command succeeded or not; a failure of the command weighs more than one of this. */
async function exportIfPossible(
  jobs: Jobs,
  { jobId, error }: Ran,
  options: ExportOptions,
): Promise<ExportedPack | undefined> {
  try {
    return await exportJob(jobs, jobId, options);
  } catch (failure) {
    if (error === undefined) throw failure;
    jobs.note(`${jobId}: its jobpack was not written: ${(failure as Error).message}`);
    return undefined;
  }
}
