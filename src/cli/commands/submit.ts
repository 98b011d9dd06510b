import { submit as submitJob, type Ran } from '../../doors/jobs/submit.ts';
import { submitResult } from '../../doors/jobs/results.ts';
import type { CommandHandler, CommandResult } from '../command.ts';
import type { CliContext } from '../command.ts';
import { interruptedBy } from '../interrupt.ts';
import { startProgress } from '../ui/progress.ts';

export const submit: CommandHandler = async (ctx, { args, flags }) => {
  const [specPath = ''] = args;
  const jobId = flags.text('job-id');
  const jobs = await ctx.jobs();
  const progress = startProgress(ctx, jobs);
  try {
    const done = await submitJob(jobs, {
      specPath,
      ...(jobId === undefined ? {} : { jobId }),
      queue: flags.on('queue'),
      allowSecrets: flags.on('allow-secrets'),
      signal: ctx.signal,
      onChange: progress.onChange,
    });
    await progress.stop();
    const result = submitResult(done);
    return finished(ctx, done, {
      json: result,
      text: [`job_id=${result.job_id} status=${result.status} adapter=${result.adapter}`],
    });
  } finally {
    await progress.stop();
  }
};

/** A result that stopped short: stdout stays empty and the error says why. An interrupted one exits like the shell. */
export function finished(ctx: CliContext, done: Ran, result: CommandResult): CommandResult {
  if (done.error !== undefined) return { error: done.error };
  if (done.interrupted !== true) return result;
  ctx.stderr.write(`interrupted; go on with: ${ctx.program} resume ${done.jobId}\n`);
  return { ...result, ...interruptedBy(ctx.signal) };
}
