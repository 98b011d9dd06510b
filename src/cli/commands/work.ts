import { DEFAULT_QUEUE } from '../../doors/jobs/submit.ts';
import { workerOf } from '../../doors/jobs/jobs.ts';
import { statusOf } from '../../doors/jobs/map.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';

export const work: CommandHandler = async (ctx, { flags }) => {
  const concurrency = flags.number('concurrency') ?? 1;
  if (concurrency < 1 || concurrency > 256) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--concurrency must be 1 to 256, not ${concurrency}`, {
      flag: '--concurrency',
      value: concurrency,
    });
  }
  const jobs = await ctx.jobs();
  const seen = new Map<string, string>();
  const onChange = (jobId: string): void => {
    const state = jobs.engine.peek(jobId);
    if (state === undefined) return;
    const status = statusOf(state.standing);
    if (seen.get(jobId) === status) return;
    seen.set(jobId, status);
    if (!ctx.json) jobs.note(`${jobId} ${status}`);
  };
  const worker = workerOf(jobs, 'work', { onChange });
  if (!ctx.json)
    jobs.note(
      `${ctx.program} work: queue=${DEFAULT_QUEUE} concurrency=${concurrency} store=${ctx.postgres?.shown ?? ctx.storeRoot}`,
    );
  await worker.run({ queues: [DEFAULT_QUEUE], concurrency, untilIdle: flags.on('once') }, ctx.signal);
  const results = [...seen].map(([job_id, status]) => ({ job_id, status }));
  return { json: { jobs: results }, text: [`worked on ${results.length} job(s)`] };
};
