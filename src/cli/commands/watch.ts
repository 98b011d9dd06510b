import { requireJob } from '../../doors/jobs/jobs.ts';
import type { CommandHandler } from '../command.ts';
import { interruptedBy } from '../interrupt.ts';
import { watchJob } from '../ui/watch.ts';

export const watch: CommandHandler = async (ctx, { args }) => {
  const jobs = await ctx.jobs();
  const { id } = await requireJob(jobs, args[0] ?? '');
  await watchJob(ctx, jobs, id);
  return interruptedBy(ctx.signal);
};
