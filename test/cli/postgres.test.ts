// The basics of the command line on a store in PostgreSQL (contract wrkr §l), and what is particular to it.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { PASSWORD } from '../support/postgres.ts';
import { describePostgres } from '../store/postgres/rig.ts';
import { DECISION, ledger, test, until, type Any, type Home, type Result, type Running } from './rig.ts';

vi.setConfig({ testTimeout: 120_000 });

const UNTIL_GO = 'until [ -e go ]; do sleep 0.05; done';
/** Long enough for a renewal on a busy machine, short enough to wait for. */
const SHORT = { REEVE_LEASE_TTL_MS: '4000' };

describePostgres('commands on PostgreSQL', (server) => {
  let stores = 0;

  /** The commands of one machine on a store of its own, or of another one. */
  class Machine {
    readonly home: Home;
    readonly env: Record<string, string>;

    constructor(home: Home, more: Record<string, string> = {}, url = server().url(`cli${(stores += 1)}`)) {
      this.home = home;
      this.env = { REEVE_STORE_URL: url, ...more };
    }

    get url(): string {
      return this.env['REEVE_STORE_URL']!;
    }

    json(...args: string[]): Promise<Any> {
      return this.home.json(args, { env: this.env });
    }
    fails(...args: string[]): Promise<Any> {
      return this.home.fails(args, { env: this.env });
    }
    run(...args: string[]): Promise<Result> {
      return this.home.run(args, { env: this.env });
    }
    start(...args: string[]): Running {
      return this.home.start(args, { env: this.env });
    }
    async submit(jobId: string, steps: readonly object[], ...more: string[]): Promise<Result> {
      const file = await this.home.spec(steps, { file: jobId });
      return this.run('submit', file, '--job-id', jobId, '--json', ...more);
    }
    /** A job whose second step runs until the file `go` is there; its worker, once that step runs. */
    async working(step: object = {}): Promise<Running> {
      const slow = { id: 'two', command: `echo two >> ledger; ${UNTIL_GO}; echo end >> ledger`, ...step };
      const file = await this.home.spec([ledger('one'), slow, ledger('three')], { file: 'j' });
      const worker = this.start('submit', file, '--job-id', 'j', '--json');
      await worker.until('the second step', async () => (await this.home.lines('ledger')).includes('two'));
      return worker;
    }
    async leaseEnded(): Promise<boolean> {
      return Date.parse((await this.json('status', 'j')).lease.expires_at) < Date.now();
    }
  }

  describe.concurrent('a job', () => {
    test('W1 W2 W3 init, submit, refused resume, approve, resume: each step once', async ({ home }) => {
      const at = new Machine(home);
      await at.json('init');
      expect(await at.json('submit', 'jobspec.yaml', '--job-id', 'first')).toMatchObject({
        status: 'blocked_decision',
      });
      expect(await at.fails('resume', 'first')).toMatchObject({
        code: 'E_CHECKPOINT_APPROVAL_REQUIRED',
        exit_code: 4,
      });
      const checkpoints = await at.json('checkpoint', 'list', 'first');
      expect(checkpoints.map(({ type }: Any) => type)).toEqual(['plan', 'progress', 'decision-needed']);
      await at.json('approve', 'first', '--checkpoint', checkpoints[2].checkpoint_id, '--reason', 'fine');
      expect(await at.json('resume', 'first')).toMatchObject({ status: 'completed', next_step_index: 3 });
      expect(await home.read('reports/published.md')).toBe(await home.read('reports/first.md'));
      expect(await at.json('store', 'check')).toMatchObject({ ok: true, runs: 1 });
      expect(await at.json('list')).toMatchObject({ jobs: [{ job_id: 'first', status: 'completed' }] });
      expect(await at.json('export', 'first')).toMatchObject({ job_id: 'first' });
      expect(await at.json('verify', 'first')).toMatchObject({ job_id: 'first' });
    });

    test('W12 a worker killed with -9: --takeover by another process goes on, the command not repeated', async ({
      home,
    }) => {
      const at = new Machine(home);
      const worker = await at.working();
      worker.kill('SIGKILL');
      await worker.ended;
      const error = await at.fails('resume', 'j');
      expect(error).toMatchObject({ code: 'E_LEASE_CONFLICT', details: { worker_alive: false } });
      expect(error.details.existing_worker_id).toMatch(new RegExp(`^dispatch-${worker.pid}@`));
      const resumed = at.start('resume', 'j', '--takeover', '--json');
      await home.write('go', '');
      expect((await resumed.ended).json).toMatchObject({ status: 'completed' });
      expect(await home.lines('ledger')).toEqual(['one', 'two', 'end', 'three']);
    });

    test('W12 once its lease has ended a plain resume goes on, and no child is left', async ({ home }) => {
      const at = new Machine(home, SHORT);
      const worker = await at.working();
      worker.kill('SIGKILL');
      await worker.ended;
      await home.write('go', '');
      await until(() => at.leaseEnded(), 'the end of the lease');
      expect(await at.json('resume', 'j')).toMatchObject({ status: 'completed', next_step_index: 3 });
      expect(await home.lines('ledger')).toEqual(['one', 'two', 'end', 'three']);
      expect(home.processes()).toEqual([]);
    });

    test('W14 two workers at once: one runs the job, the other is refused', async ({ home }) => {
      const at = new Machine(home);
      await at.submit('j', [ledger('one'), ledger('two', UNTIL_GO), ledger('three')], '--queue');
      const both = [at.start('resume', 'j', '--json'), at.start('resume', 'j', '--json')];
      await until(async () => (await home.lines('ledger')).includes('two'), 'the second step');
      await until(() => both.some(({ isOver }) => isOver), 'the refusal');
      await home.write('go', '');
      const results = await Promise.all(both.map(({ ended }) => ended));
      expect(new Set(results.map(({ code }) => code))).toEqual(new Set([0, 1]));
      expect(results.find(({ code }) => code === 1)?.error).toMatchObject({ code: 'E_LEASE_CONFLICT' });
      expect(await home.lines('ledger')).toEqual(['one', 'two', 'three']);
    });

    test('W16 cancel and pause from another process stop the worker and its command', async ({ home }) => {
      const at = new Machine(home);
      const worker = await at.working();
      expect(await at.json('cancel', 'j')).toMatchObject({ job_id: 'j', status: 'canceled' });
      await worker.ended;
      expect(await at.json('status', 'j')).toMatchObject({ status: 'canceled' });
      expect(await home.lines('ledger')).toEqual(['one', 'two']);
      expect(home.processes()).toEqual([]);
    });

    test('work serves a queue that other processes fill; prune and repair do as elsewhere', async ({
      home,
    }) => {
      const at = new Machine(home);
      const worker = at.start('work', '--json');
      const ids = ['a', 'b', 'c'];
      for (const id of ids) await at.submit(id, [{ id: 's', command: `echo ${id} >> ledger` }], '--queue');
      await until(async () => (await home.lines('ledger')).length === 3, 'the three jobs');
      await until(
        async () => (await at.json('list')).jobs.every(({ status }: Any) => status === 'completed'),
        'their ends',
      );
      worker.kill('SIGTERM');
      await worker.ended;
      await server().query(
        `update cli_schema.runs set name = 'wrong'`.replace('cli_schema', schemaOf(at.url)),
      );
      expect((await at.run('store', 'check', '--json')).code).toBe(1);
      expect(await at.json('store', 'repair')).toMatchObject({ ok: true });
      expect(await at.json('store', 'prune', '--job-max-age', '1ms')).toMatchObject({
        matched: 3,
        removed: 3,
      });
      expect(await at.json('list')).toMatchObject({ jobs: [] });
    });
  });

  describe.concurrent('several machines', () => {
    test('I5: a step that was started on another machine is unknown here, and is not run again by itself', async ({
      home,
    }) => {
      const one = new Machine(home, { ...SHORT, REEVE_HOME: join(home.dir, 'one') });
      const two = new Machine(home, { ...SHORT, REEVE_HOME: join(home.dir, 'two') }, one.url);
      const worker = await one.working({ on_interrupt: 'block' });
      expect(await two.fails('resume', 'j', '--takeover')).toMatchObject({
        code: 'E_LEASE_CONFLICT',
        details: { worker_alive: true },
      });
      worker.kill('SIGKILL');
      await worker.ended;
      await until(() => two.leaseEnded(), 'the end of the lease');
      expect(await two.fails('resume', 'j')).toMatchObject({ code: 'E_OUTCOME_UNKNOWN' });
      await home.write('go', '');
      await until(async () => (await home.lines('ledger')).includes('end'), 'the end of the command');
      expect(await two.json('resume', 'j', '--mark-done', 'two', '--reason', 'I looked')).toMatchObject({
        status: 'completed',
      });
      expect(await home.lines('ledger')).toEqual(['one', 'two', 'end', 'three']);
    });

    test('what one decides the other sees', async ({ home }) => {
      const one = new Machine(home, { REEVE_HOME: join(home.dir, 'one') });
      const two = new Machine(home, { REEVE_HOME: join(home.dir, 'two') }, one.url);
      const big = 'x'.repeat(60_000);
      await one.submit('j', [ledger('one'), { ...DECISION, summary: big }, ledger('two')]);
      const { checkpoint_id: decision } = (await two.json('checkpoint', 'list', 'j')).at(-1);
      await two.json('approve', 'j', '--checkpoint', decision, '--reason', 'fine');
      expect(await one.json('resume', 'j')).toMatchObject({ status: 'completed' });
      expect(await two.json('store', 'check')).toMatchObject({ ok: true });
    });
  });

  describe.concurrent('store copy', () => {
    test('from a directory to PostgreSQL and on to another: packs are byte for byte the same', async ({
      home,
    }) => {
      await home.submit('j', [ledger('one'), { ...DECISION, summary: 'x'.repeat(40_000) }, ledger('two')]);
      await home.submit('k', [ledger('three')]);
      const at = new Machine(home);
      const report = await at.json('store', 'copy', '--from', home.store);
      expect(report).toMatchObject({ copied: ['j', 'k'], same: [], failed: [] });
      expect(JSON.stringify(report)).not.toContain(PASSWORD);
      expect(await at.json('store', 'copy', '--from', home.store)).toMatchObject({
        copied: [],
        same: ['j', 'k'],
      });
      expect(await at.json('store', 'check')).toMatchObject({ ok: true, runs: 2 });
      await at.json('store', 'copy', '--to', 'again', '--job', 'j');

      const packOf = async (name: string, ...where: string[]): Promise<Buffer> => {
        const { path } = await home.json(['export', 'j', '--out-dir', name, ...where]);
        return readFile(path);
      };
      const first = await packOf('one');
      expect(first.equals(await packOf('two', '--store', at.url))).toBe(true);
      expect(first.equals(await packOf('three', '--store', 'again'))).toBe(true);
      const { checkpoint_id: decision } = (await at.json('checkpoint', 'list', 'j')).at(-1);
      await at.json('approve', 'j', '--checkpoint', decision, '--reason', 'fine');
      expect(await at.json('resume', 'j')).toMatchObject({ status: 'completed' });

      const moved = await at.run('store', 'copy', '--from', home.store, '--job', 'j', '--json');
      expect(moved.error).toMatchObject({ code: 'E_INVALID_STATE_TRANSITION' });
    });

    test('a job with a step in flight, and a damaged one, are refused; the others are copied', async ({
      home,
    }) => {
      const worker = await home.submitting('busy', [ledger('one', UNTIL_GO)]);
      await worker.until('its step', async () => (await home.lines('ledger')).includes('one'));
      await home.submit('good', [ledger('two')]);
      const at = new Machine(home);
      const result = await at.run('store', 'copy', '--from', home.store, '--json');
      expect(result.json).toMatchObject({
        copied: ['good'],
        failed: [{ job_id: 'busy', code: 'E_LEASE_CONFLICT' }],
      });
      expect(result.code).toBe(1);
      await home.write('go', '');
      await worker.ended;
      await at.json('store', 'copy', '--from', home.store);
      const schema = schemaOf(at.url);
      await server().query(
        `update ${schema}.events set body = replace(body, 'two', 'owt') where body like '%two%'`,
      );
      const damaged = await at.run('store', 'copy', '--to', 'elsewhere', '--json');
      expect(damaged.json).toMatchObject({
        copied: ['busy'],
        failed: [{ job_id: 'good', code: 'E_STORE_CORRUPT' }],
      });
      expect(await home.json(['list', '--store', 'elsewhere'])).toMatchObject({ jobs: [{ job_id: 'busy' }] });
    });
  });

  describe.concurrent('the URL', () => {
    test('I9: its password is in no output, file or event, and no directory is named after it', async ({
      home,
    }) => {
      const at = new Machine(home);
      const said: string[] = [];
      for (const args of [
        ['doctor'],
        ['doctor', '--json'],
        ['demo'],
        ['list'],
        ['work', '--once'],
        ['store', 'check'],
        ['status', 'absent'],
        ['export', 'absent', '--json'],
      ]) {
        const { stdout, stderr } = await at.run(...args);
        said.push(stdout, stderr);
      }
      const wrong = new Machine(home, {}, at.url.replace(PASSWORD, 'not-the-password'));
      const refused = await wrong.run('list');
      expect(refused.stderr).toContain('E_STORE_UNAVAILABLE');
      const down = new Machine(home, {}, `postgres://u:${PASSWORD}@127.0.0.1:1/db`);
      said.push(
        refused.stdout,
        refused.stderr,
        (await down.run('doctor')).stdout,
        (await down.run('list')).stderr,
      );
      expect(said.join('\n')).not.toMatch(new RegExp(`${PASSWORD}|not-the-password`));
      const files = await readdir(home.dir, { recursive: true, withFileTypes: true });
      for (const file of files) {
        expect(file.name).not.toContain(PASSWORD);
        if (file.isFile())
          expect(await readFile(join(file.parentPath, file.name), 'latin1')).not.toContain(PASSWORD);
      }
      expect(await readdir(home.cwd)).not.toContain('postgres:');
    });

    test('--store comes before REEVE_STORE_URL, and a URL that is not for PostgreSQL is refused', async ({
      home,
    }) => {
      const at = new Machine(home);
      await at.submit('here', [{}]);
      expect(await at.json('list', '--store', join(home.dir, 'dir'))).toMatchObject({ jobs: [] });
      expect(await home.json(['list', '--store', at.url])).toMatchObject({ jobs: [{ job_id: 'here' }] });
      for (const url of ['mysql://a:b@c/d', 'sqlite:///x', 'https://example.com/x'])
        expect(await home.fails(['list', '--store', url])).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA' });
      expect(await home.fails(['list'], { env: { REEVE_HOME: at.url } })).toMatchObject({ exit_code: 6 });
    });

    test('doctor and store check make nothing', async ({ home }) => {
      const at = new Machine(home);
      expect((await at.run('doctor')).code).toBe(1);
      expect(await at.fails('store', 'check')).toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
      expect(
        await server().query(`select 1 from pg_namespace where nspname = $1`, [schemaOf(at.url)]),
      ).toEqual([]);
      expect(await readdir(home.dir)).toEqual(['work']);
    });
  });
});

function schemaOf(url: string): string {
  return new URL(url).searchParams.get('schema') ?? '';
}
