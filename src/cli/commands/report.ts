import { reportGithub as reportJob, reportPack } from '../../doors/jobs/report-github.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { outDirOf, packNamed } from './verify.ts';

export const reportGithub: CommandHandler = async (ctx, { args, flags }) => {
  const options = { outDir: outDirOf(ctx, flags), env: ctx.env };
  const { path, jobId } = await packNamed(ctx, args[0] ?? '', options.outDir);
  // A pack speaks for itself: no store is opened for it.
  const report =
    jobId === undefined
      ? await reportPack(path, options, ctx.cwd)
      : await reportJob(await ctx.jobs(), { jobId }, options);
  const { summary_json_path: json, summary_markdown_path: markdown, step_summary_path: step } = report;
  return {
    json: report,
    text: [
      `summary_json=${escapeControls(json)}`,
      `summary_markdown=${escapeControls(markdown)}`,
      ...(step === undefined ? [] : [`step_summary=${escapeControls(step)}`]),
    ],
  };
};
