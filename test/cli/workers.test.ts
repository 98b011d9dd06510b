// Workers that die, sleep or meet (contract wrkr §c, "Lease").
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { isAlive, ledger, test, until, type Any, type Home, type Running } from './rig.ts';

/** Long enough for a renewal on a busy machine, short enough to wait for. */
const SHORT = { env: { REEVE_LEASE_TTL_MS: '4000' } };
const UNTIL_GO = 'until [ -e go ]; do sleep 0.05; done';

interface Ends {
  readonly then?: string;
  readonly step?: object;
  readonly env?: Record<string, string>;
}

/** A job whose second step runs until the file `go` is there; its worker, once that step runs. */
async function working(home: Home, { then = UNTIL_GO, step = {}, env = {} }: Ends = {}): Promise<Running> {
  const slow = {
    id: 'two',
    command: `echo $$ >> pids; echo two >> ledger; ${then}; echo end >> ledger`,
    ...step,
  };
  const worker = await home.submitting('j', [ledger('one'), slow, ledger('three')], {}, { env });
  await worker.until('the second step', async () => (await home.lines('ledger')).includes('two'));
  return worker;
}

/** Ends everything at once: nobody sees another's end. */
async function powerOff(home: Home, worker: Running): Promise<void> {
  const pids = home.processes().map(({ pid }) => pid);
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, signal);
  }
  await worker.ended;
}

async function leaseEnded(home: Home): Promise<boolean> {
  return Date.parse((await home.status('j')).lease.expires_at) < Date.now();
}

function count(events: readonly Any[], type: string): number {
  return events.filter((event) => event.type === type).length;
}

describe.concurrent('a worker that is killed', () => {
  test('W12 within the lease: resume is E_LEASE_CONFLICT; --takeover goes on at the cursor, the command not repeated', async ({
    home,
  }) => {
    const worker = await working(home);
    worker.kill('SIGKILL');
    await worker.ended;
    await home.status('j'); // a killed worker may leave its directory behind; whoever comes next brings it up to date
    const before = await home.bytes('j');
    const error = await home.fails(['resume', 'j']);
    expect(error).toMatchObject({
      code: 'E_LEASE_CONFLICT',
      exit_code: 1,
      details: { existing_worker_id: `dispatch-${worker.pid}`, worker_alive: false },
    });
    expect(error.details.existing_lease_id).toMatch(new RegExp(`^lease-${worker.pid}-\\d+$`));
    expect(await home.bytes('j')).toBe(before);

    const resumed = home.start(['resume', 'j', '--takeover', '--json']);
    await resumed.until(
      'the new lease',
      async () => (await home.status('j')).lease?.worker_id === `dispatch-${resumed.pid}`,
    );
    await home.write('go', '');
    const { code, json, stderr } = await resumed.ended;
    expect([code, json?.status], stderr).toEqual([0, 'completed']);
    expect(await home.lines('ledger'), 'the command outlived its worker and was found again').toEqual([
      'one',
      'two',
      'end',
      'three',
    ]);
    for (const pid of await home.lines('pids')) expect(isAlive(Number(pid))).toBe(false);
    const steps = (await home.events('j'))
      .filter(({ type }) => type === 'adapter_step')
      .map(({ payload }) => payload.step_id);
    expect(steps).toEqual(['one', 'two', 'three']);
  });

  test('W12 once its lease has ended a plain resume goes on, and no child is left', async ({ home }) => {
    const worker = await working(home, SHORT);
    worker.kill('SIGKILL');
    await worker.ended;
    expect(await home.fails(['resume', 'j'], SHORT)).toMatchObject({ code: 'E_LEASE_CONFLICT' });
    await home.write('go', '');
    await until(() => leaseEnded(home), 'the end of the lease');
    expect(await home.json(['resume', 'j'], SHORT)).toMatchObject({
      status: 'completed',
      next_step_index: 3,
    });
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'end', 'three']);
    expect(home.processes()).toEqual([]);
  });

  test('W12 when the command dies with the worker it is started again once, and a retry is counted', async ({
    home,
  }) => {
    const worker = await working(home);
    await powerOff(home, worker);
    await home.write('go', '');
    expect(await home.json(['resume', 'j', '--takeover'])).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'two', 'end', 'three']);
    const counters = (await home.events('j')).filter(({ type }) => type === 'counters_updated').at(-1);
    expect(counters.payload).toMatchObject({ retry_count: 1 });
  });

  test('W12 with on_interrupt: block a person decides: --mark-done does not run it again', async ({
    home,
  }) => {
    const worker = await working(home, { step: { on_interrupt: 'block' } });
    await powerOff(home, worker);
    await home.write('go', '');
    const error = await home.fails(['resume', 'j', '--takeover']);
    expect(error).toMatchObject({ code: 'E_OUTCOME_UNKNOWN', details: { step_id: 'two' } });
    expect(await home.status('j')).toMatchObject({ status: 'blocked_error' });
    expect(await home.fails(['resume', 'j', '--mark-done', 'two'])).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
    });
    expect(await home.fails(['resume', 'j', '--mark-done', 'nine', '--reason', 'x'])).toMatchObject({
      exit_code: 6,
    });
    const done = await home.json(['resume', 'j', '--mark-done', 'two', '--reason', 'I looked']);
    expect(done).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'three']);
  });

  test('--takeover takes nothing from a worker that lives', async ({ home }) => {
    const worker = await working(home);
    const error = await home.fails(['resume', 'j', '--takeover']);
    expect(error).toMatchObject({ code: 'E_LEASE_CONFLICT', details: { worker_alive: true } });
    await home.write('go', '');
    expect((await worker.ended).json).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'end', 'three']);
  });
});

describe.concurrent('workers that meet', () => {
  test('W14 of two resumes at once one runs and the other is E_LEASE_CONFLICT', async ({ home }) => {
    await home.submit('j', [{ id: 'one', command: 'test -e repaired' }, ledger('two', 'sleep 1')]);
    await home.write('repaired', '');
    const both = await Promise.all([
      home.run(['resume', 'j', '--json']),
      home.run(['resume', 'j', '--json']),
    ]);
    const [winner, loser] = both.toSorted((a, b) => (a.code ?? 0) - (b.code ?? 0));
    expect(winner).toMatchObject({ code: 0, json: { status: 'completed' } });
    expect(loser).toMatchObject({ code: 1, error: { code: 'E_LEASE_CONFLICT' } });
    expect(await home.lines('ledger')).toEqual(['two']);
  });

  test('W15 a worker stopped past its lease and overtaken writes nothing more, and leaves the command alone', async ({
    home,
  }) => {
    const worker = await working(home, SHORT);
    worker.kill('SIGSTOP');
    await until(() => leaseEnded(home), 'the end of the lease');
    // With a lease of ordinary length: a short one may run out on a busy machine, and its holder rightly stops the command.
    const second = home.start(['resume', 'j', '--json']);
    await second.until(
      'the second worker',
      async () => (await home.status('j')).lease?.worker_id === `dispatch-${second.pid}`,
    );
    worker.kill('SIGCONT');
    const { code, error, stderr } = await worker.ended;
    expect([code, error?.code], stderr).toEqual([1, 'E_LEASE_CONFLICT']);
    const [pid] = await home.lines('pids');
    expect(isAlive(Number(pid)), 'the command runs on, under the second worker').toBe(true);
    expect(await home.status('j')).toMatchObject({
      status: 'running',
      lease: { worker_id: `dispatch-${second.pid}` },
    });

    await home.write('go', '');
    const end = await second.ended;
    expect([end.code, end.json?.status], end.stderr).toEqual([0, 'completed']);
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'end', 'three']);
    const events = await home.events('j');
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
    expect(count(events, 'lease_set')).toBe(2);
    // The lines for people may lag behind the store, so what is late is told by the lines themselves.
    const taken = events.findIndex(({ payload }) => payload?.worker_id === `dispatch-${second.pid}`);
    expect(taken).toBeGreaterThan(0);
    const late = JSON.stringify(events.slice(taken));
    expect(late).not.toContain(`dispatch-${worker.pid}`);
  });

  test('W16 a lease is renewed while a step runs, and its end moves on', async ({ home }) => {
    const worker = await working(home, SHORT);
    const ends = new Set<string>();
    await worker.until('three renewals', async () => {
      const askedAtMs = Date.now();
      const { lease } = await home.status('j');
      expect(Date.parse(lease.expires_at), 'it never runs out').toBeGreaterThan(askedAtMs);
      ends.add(lease.expires_at);
      return ends.size >= 3;
    });
    expect(await home.fails(['resume', 'j'], SHORT)).toMatchObject({ code: 'E_LEASE_CONFLICT' });
    await home.write('go', '');
    expect((await worker.ended).json).toMatchObject({ status: 'completed' });
    expect(await home.status('j')).not.toHaveProperty('lease');
  });

  test('two stores with jobs of the same id: cancel in one touches nothing of the other', async ({
    home,
  }) => {
    const worker = await working(home);
    const elsewhere = await mkdtemp(join(tmpdir(), 'reeve-cli-other-'));
    try {
      const other = home.start(['submit', 'j.json', '--job-id', 'j', '--json', '--store', elsewhere]);
      await other.until('the other second step', async () => (await home.lines('pids')).length === 2);
      const [mine, theirs] = (await home.lines('pids')).map(Number);
      await home.json(['cancel', 'j', '--store', elsewhere]);
      expect((await other.ended).json).toMatchObject({ status: 'canceled' });
      expect(isAlive(theirs!)).toBe(false);
      expect(isAlive(mine!)).toBe(true);
      await home.write('go', '');
      expect((await worker.ended).json).toMatchObject({ status: 'completed' });
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });
});
