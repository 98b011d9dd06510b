// Workers that are killed, with a lease of ordinary length: whoever comes next need not wait for its end (I4, I5, I7).
import { describe, expect, vi } from 'vitest';
import { describePostgres } from '../store/postgres/rig.ts';
import { ledger, test, until, type Any, type Home, type Running } from './rig.ts';

vi.setConfig({ testTimeout: 120_000 });

const UNTIL_GO = 'until [ -e go ]; do sleep 0.05; done';
const STEPS = [ledger('one'), ledger('two', `${UNTIL_GO}; echo end >> ledger`), ledger('three')];
const ONCE = ['one', 'two', 'end', 'three'];

/** The commands of one machine on one store. */
class Machine {
  readonly home: Home;
  readonly #env: Record<string, string>;

  constructor(home: Home, url?: string) {
    this.home = home;
    this.#env = { REEVE_HOME: home.store, ...(url === undefined ? {} : { REEVE_STORE_URL: url }) };
  }

  start(...args: string[]): Running {
    return this.home.start(args, { env: this.#env, program: 'reeve' });
  }
  json(...args: string[]): Promise<Any> {
    return this.home.json(args, { env: this.#env, program: 'reeve' });
  }
  async queue(job: string, steps: readonly object[]): Promise<void> {
    const file = await this.home.spec(steps, { file: job });
    await this.json('submit', file, '--job-id', job, '--queue');
  }
  async isHeldBy(job: string, { pid }: Running, kind = 'work'): Promise<boolean> {
    const { lease } = await this.json('status', job);
    return String(lease?.worker_id).split('@')[0] === `${kind}-${pid}`;
  }
  /** A worker, once it is at the second step of a job. */
  async working(job: string): Promise<Running> {
    await this.queue(job, STEPS);
    const worker = this.start('work');
    await worker.until('the second step', async () => (await this.home.lines('ledger')).includes('two'));
    return worker;
  }
  async kill(worker: Running): Promise<void> {
    worker.kill('SIGKILL');
    await worker.ended;
  }
  async finish(job: string): Promise<void> {
    await this.home.write('go', '');
    await until(async () => (await this.json('status', job)).status === 'completed', 'the end of the job');
    expect(await this.home.lines('ledger')).toEqual(ONCE);
  }
  async stop(...workers: readonly Running[]): Promise<void> {
    for (const worker of workers) worker.kill('SIGTERM');
    await Promise.all(workers.map(({ ended }) => ended));
  }
}

async function killed(at: Machine): Promise<void> {
  const first = await at.working('j');
  const second = at.start('work');
  await at.queue('k', [{ id: 's', command: 'echo awake > awake' }]);
  await second.until('another job', async () => (await at.json('status', 'k')).status === 'completed');
  const { lease } = await at.json('status', 'j');
  await at.kill(first);
  await second.until('the takeover', () => at.isHeldBy('j', second));
  expect(Date.now(), 'long before the lease would have ended').toBeLessThan(Date.parse(lease.expires_at));
  await at.finish('j');
  await at.stop(second);
}

async function frozen(at: Machine): Promise<void> {
  const first = await at.working('j');
  first.kill('SIGSTOP');
  // It looks for dead workers before it takes anything.
  const second = at.start('work');
  await at.queue('k', [{ id: 's', command: 'true' }]);
  await second.until('another job', async () => (await at.json('status', 'k')).status === 'completed');
  expect(await at.isHeldBy('j', first)).toBe(true);
  const { error } = await at.start('resume', 'j', '--json').ended;
  expect(error).toMatchObject({ code: 'E_LEASE_CONFLICT', details: { worker_alive: true } });
  first.kill('SIGCONT');
  await at.finish('j');
  await at.stop(first, second);
}

async function resumed(at: Machine): Promise<void> {
  const file = await at.home.spec(STEPS, { file: 'j' });
  const first = at.start('submit', file, '--job-id', 'j');
  await first.until('the second step', async () => (await at.home.lines('ledger')).includes('two'));
  await at.kill(first);
  const second = at.start('resume', 'j', '--json');
  await second.until('the takeover', () => at.isHeldBy('j', second, 'dispatch'));
  await at.finish('j');
  expect((await second.ended).json).toMatchObject({ status: 'completed' });
}

describe.skipIf(process.platform !== 'linux').concurrent('a worker that is provably dead, on SQLite', () => {
  test('W12 kill -9: another worker goes on at once, the command not repeated', ({ home }) =>
    killed(new Machine(home)));
  test('W15 SIGSTOP: nothing is taken from it before its lease ends', ({ home }) =>
    frozen(new Machine(home)));
  test('W12 kill -9: reeve resume goes on at once', ({ home }) => resumed(new Machine(home)));
});

describePostgres('a worker that is provably dead, on PostgreSQL', (server) => {
  test('W12 kill -9: another worker goes on at once, the command not repeated', ({ home }) =>
    killed(new Machine(home, server().url('killed'))));
  test('W15 SIGSTOP: nothing is taken from it before its lease ends', ({ home }) =>
    frozen(new Machine(home, server().url('frozen'))));
  test('W12 kill -9: reeve resume goes on at once', ({ home }) =>
    resumed(new Machine(home, server().url('resumed'))));
});
