// BullMQ: a step is a job. A client adds it and waits for its end, which the queue's events tell. Redis writes and syncs
// every command to its append-only file before it answers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FlowProducer, Queue, QueueEvents, Worker, type Job } from 'bullmq';
import { Redis } from 'ioredis';
import {
  freePort,
  Inbox,
  nowMs,
  sequences,
  startWorker,
  type Place,
  type System,
  type Told,
} from '../systems/system.ts';

const QUEUE = 'bench';

interface WithRedis extends Place {
  readonly redis: number;
}

const connectionTo = ({ redis }: WithRedis) => ({
  host: '127.0.0.1',
  port: redis,
  maxRetriesPerRequest: null,
});

export async function work(
  place: Place,
  tell: (message: Told) => void,
  onDone?: (id: string) => void,
): Promise<() => Promise<void>> {
  const { clientsMax } = place;
  const worker = new Worker(
    QUEUE,
    async (job) => {
      if (job.name === 'one') tell({ kind: 'begun', id: String(job.data), atMs: nowMs() });
      return job.data as unknown;
    },
    { connection: connectionTo(place as WithRedis), concurrency: clientsMax },
  );
  worker.on('error', (error) => console.error(error));
  if (onDone !== undefined) worker.on('completed', (job) => onDone(job.id ?? ''));
  await worker.waitUntilReady();
  return () => worker.close();
}

async function startRedis(dir: string): Promise<{ port: number; stop: () => Promise<void> }> {
  const port = await freePort();
  const files = join(dir, 'redis');
  mkdirSync(files);
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: files,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
  };
  const server = spawn(
    'redis-server',
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: 'ignore' },
  );
  const exited = once(server, 'exit');
  const probe = new Redis({ port, lazyConnect: true, retryStrategy: () => 20 });
  probe.on('error', () => undefined);
  while ((await probe.ping().catch(() => '')) !== 'PONG') await delay(20);
  probe.disconnect();
  return {
    port,
    async stop() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}

export async function open(given: Place): Promise<System> {
  const redis = await startRedis(given.dir);
  const place: WithRedis = { ...given, redis: redis.port };
  const connection = connectionTo(place);
  const begun = new Inbox<number>();
  const tell = ({ id, atMs }: Told): void => begun.put(id, atMs);
  const done = new Inbox<true>();
  const queue = new Queue(QUEUE, { connection });
  // Cheaper for BullMQ than `waitUntilFinished` of each job. Here the worker itself tells what is recorded.
  const events = place.elsewhere ? new QueueEvents(QUEUE, { connection }) : undefined;
  events?.on('completed', ({ jobId }) => done.put(jobId, true));
  await events?.waitUntilReady();
  const stop = place.elsewhere
    ? await startWorker(import.meta.url, place, tell)
    : await work(place, tell, (id) => done.put(id, true));
  const isOver = ({ id = '' }: Job): Promise<true> => done.take(id);
  let count = 0;
  return {
    steps: (clients, each) =>
      sequences(clients, each, async (_, n) => {
        await isOver(await queue.add('step', n));
      }),
    async dispatch() {
      count += 1;
      const id = `one-${count}`;
      const fromMs = nowMs();
      const job = await queue.add('one', id);
      const acceptedMs = nowMs() - fromMs;
      const begunMs = (await begun.take(id)) - fromMs;
      await isOver(job);
      return { acceptedMs, begunMs };
    },
    async fanOut(children) {
      const flow = new FlowProducer({ connection });
      const tree = await flow.add({
        name: 'parent',
        queueName: QUEUE,
        data: children,
        children: Array.from({ length: children }, (_, n) => ({ name: 'child', queueName: QUEUE, data: n })),
      });
      await isOver(tree.job);
      await flow.close();
    },
    async close() {
      await events?.close();
      await queue.close();
      await stop();
      await redis.stop();
    },
  };
}
