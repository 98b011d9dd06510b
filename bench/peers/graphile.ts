// graphile-worker: a step is a job. It keeps no results: a job that is done is deleted. In this process its events say
// when that is; from a worker elsewhere the same events come over a pipe, since the library has no other way.
import { EventEmitter } from 'node:events';
import { makeWorkerUtils, run, Logger, type RunnerOptions, type WorkerEvents } from 'graphile-worker';
import pg from 'pg';
import {
  Inbox,
  nowMs,
  sequences,
  startWorker,
  type Place,
  type System,
  type Told,
} from '../systems/system.ts';

const options = ({ postgres, clientsMax }: Place): RunnerOptions => ({
  connectionString: postgres,
  concurrency: clientsMax,
  maxPoolSize: 20,
  noHandleSignals: true,
  logger: new Logger(() => () => undefined),
});

export async function work(place: Place, tell: (message: Told) => void): Promise<() => Promise<void>> {
  const events: WorkerEvents = new EventEmitter();
  events.on('job:complete', ({ job }) => tell({ kind: 'done', id: job.id, atMs: nowMs() }));
  const runner = await run({
    ...options(place),
    events,
    taskList: {
      step: async () => undefined,
      one: async (payload) => {
        tell({ kind: 'begun', id: (payload as { id: string }).id, atMs: nowMs() });
      },
    },
  });
  return () => runner.stop();
}

export async function open(place: Place): Promise<System> {
  const begun = new Inbox<number>();
  const done = new Inbox<number>();
  const tell = ({ kind, id, atMs }: Told): void => (kind === 'done' ? done : begun).put(id, atMs);
  const pgPool = new pg.Pool({ connectionString: place.postgres, max: 20 });
  const utils = await makeWorkerUtils({ pgPool, logger: new Logger(() => () => undefined) });
  await utils.migrate();
  const stop = place.elsewhere ? await startWorker(import.meta.url, place, tell) : await work(place, tell);
  let count = 0;
  return {
    steps: (clients, each) =>
      sequences(clients, each, async (_, n) => {
        const job = await utils.addJob('step', { n });
        await done.take(job.id);
      }),
    async dispatch() {
      count += 1;
      const id = `one-${count}`;
      const fromMs = nowMs();
      const job = await utils.addJob('one', { id });
      const acceptedMs = nowMs() - fromMs;
      const begunMs = (await begun.take(id)) - fromMs;
      await done.take(job.id);
      return { acceptedMs, begunMs };
    },
    async fanOut(children) {
      const jobs = await utils.addJobs(
        Array.from({ length: children }, (_, n) => ({ identifier: 'step', payload: { n } })),
      );
      await Promise.all(jobs.map(({ id }) => done.take(id)));
    },
    async close() {
      await stop();
      await utils.release();
      await pgPool.end();
    },
  };
}
