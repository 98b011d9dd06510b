import { submit as submitJob, type Ran } from '../../doors/jobs/submit.ts';
import { statusOf } from '../../doors/jobs/map.ts';
import type { CommandHandler, CommandResult } from '../command.ts';
import type { CliContext } from '../command.ts';
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
    const status = statusOf(done.state.standing);
    return finished(ctx, done, {
      json: {
        job_id: done.jobId,
        status,
        adapter: done.adapter,
        spec_name: done.name,
        objective: done.objective,
        spec_path: done.specPath,
      },
      text: [`job_id=${done.jobId} status=${status} adapter=${done.adapter}`],
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
  return { ...result, exitCode: ctx.signal.reason === 'SIGINT' ? 130 : 143 };
}
