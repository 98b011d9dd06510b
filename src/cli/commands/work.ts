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
  const jobs = await ctx.jobs({ waits: true });
  const seen = new Map<string, string>();
  // From the store, one after the other: what the engine has in memory may not be durable yet.
  let looking: Promise<void> = Promise.resolve();
  const look = async (jobId: string): Promise<void> => {
    const head = await jobs.engine.store.head(jobId);
    if (head === undefined) return;
    const { phase, hold } = head;
    const status = statusOf(phase === 'held' ? { phase, hold: hold ?? 'error' } : { phase });
    if (seen.get(jobId) === status) return;
    seen.set(jobId, status);
    if (!ctx.json) jobs.note(`${jobId} ${status}`);
  };
  const worker = workerOf(jobs, 'work', {
    onChange: (jobId) => {
      looking = looking.then(() => look(jobId)).catch(() => undefined); // the worker itself says what is wrong
    },
  });
  if (!ctx.json)
    jobs.note(
      `${ctx.program} work: queue=${DEFAULT_QUEUE} concurrency=${concurrency} store=${ctx.postgres?.shown ?? ctx.storeRoot}`,
    );
  await worker.run({ queues: [DEFAULT_QUEUE], concurrency, untilIdle: flags.on('once') }, ctx.signal);
  await looking;
  const results = [...seen].map(([job_id, status]) => ({ job_id, status }));
  return { json: { jobs: results }, text: [`worked on ${results.length} job(s)`] };
};
