import { resume as resumeJob } from '../../doors/jobs/resume.ts';
import { jobState } from '../../doors/jobs/jobs.ts';
import { resumeResult } from '../../doors/jobs/results.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { actorOf } from '../context.ts';
import { limitsFrom } from '../jobs/limits.ts';
import { startProgress } from '../ui/progress.ts';
import { finished } from './submit.ts';

export const resume: CommandHandler = async (ctx, { args, flags }) => {
  const [id = ''] = args;
  const reason = flags.text('reason');
  const needsReason = ['force-env', 'mark-done'].find((flag) => flags.on(flag));
  if (needsReason !== undefined && (reason ?? '').trim() === '') {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--${needsReason} needs a --reason`, { flag: '--reason' });
  }
  const jobs = await ctx.jobs();
  const limits = limitsFrom(flags);
  await jobState(jobs, id);
  const progress = startProgress(ctx, jobs);
  try {
    const done = await resumeJob(jobs, {
      jobId: id,
      resume: {
        by: actorOf(ctx, flags.text('approved-by')),
        force: flags.on('force-env'),
        ...(reason === undefined ? {} : { reason }),
        ...(limits === undefined ? {} : { limits }),
      },
      // wrkr's program waits for the end of the lease (W12), unless it is told not to.
      takeover: flags.on('takeover') ? 'told' : ctx.program === 'reeve' ? 'proven' : undefined,
      markDone: flags.texts('mark-done'),
      queue: flags.on('queue'),
      signal: ctx.signal,
      onChange: progress.onChange,
    });
    await progress.stop();
    const result = await resumeResult(jobs, done.state);
    return finished(ctx, done, {
      json: result,
      text: [`job=${result.job_id} status=${result.status}`],
    });
  } finally {
    await progress.stop();
  }
};
