// Durable steps, in process, on the embedded store, with sync on; beside a bare fdatasync loop and a bare SQLite insert
// loop on the same disk in the same run. `npm run bench -- --write` puts the figures into docs/benchmarks.md.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { Engine } from '../src/engine/engine.ts';
import { systemChance, systemClock } from '../src/engine/system.ts';
import { Worker } from '../src/engine/worker.ts';
import type { RunSpec } from '../src/model/run-spec.ts';
import { openStore } from '../src/store/open-store.ts';
import { publish } from './page.ts';
import { machine, quantile, showSpread, spread } from './measure.ts';

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    steps: { type: 'string', default: '2000' },
    dir: { type: 'string', default: '.' },
    write: { type: 'boolean', default: false },
  },
});
const REPETITIONS = Number(flags.repetitions);
const STEPS = Number(flags.steps);
const root = mkdtempSync(join(flags.dir, '.bench-'));

const SPEC: RunSpec = {
  tenant: 'bench',
  actor: 'bench',
  name: 'bench',
  limits: {},
  labels: {},
  root: { id: 'root', kind: 'composite' },
  nodes: [],
};

interface Result {
  /** Milliseconds for one operation, sorted. */
  readonly latencies: readonly number[];
  readonly perSecond: number;
}

function timed(count: number, operation: (n: number) => void): Result {
  const latencies: number[] = [];
  const begun = performance.now();
  for (let n = 0; n < count; n += 1) {
    const before = performance.now();
    operation(n);
    latencies.push(performance.now() - before);
  }
  return {
    latencies: latencies.toSorted((a, b) => a - b),
    perSecond: count / ((performance.now() - begun) / 1000),
  };
}

function bareSync(dir: string): Result {
  const file = openSync(join(dir, 'sync'), 'a');
  const line = Buffer.alloc(300, 'x');
  const result = timed(STEPS, () => {
    writeSync(file, line);
    fdatasyncSync(file);
  });
  closeSync(file);
  return result;
}

function bareInsert(dir: string): Result {
  const db = new Database(join(dir, 'bare.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('create table rows (id integer primary key, a integer, b integer, c text, d text) strict');
  const insert = db.prepare('insert into rows (a, b, c, d) values (?, ?, ?, ?)');
  const text = 'x'.repeat(280);
  const result = timed(STEPS, (n) => insert.run(n, n, 'row', text));
  db.close();
  return result;
}

/** One step: its node and its intent are recorded and synced, then its end. Nothing else happens in it. */
async function steps(dir: string, clients: number): Promise<Result> {
  const store = await openStore(join(dir, `steps-${clients}`), { create: true });
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  const latencies: number[] = [];
  const each = Math.ceil((STEPS * Math.min(clients, 8)) / clients);
  const claimant = { worker: 'bench', leaseId: 'bench', ttlMs: 600_000 };
  const client = async (run: string): Promise<void> => {
    await engine.execute(run, { type: 'create', spec: SPEC });
    await engine.execute(run, { type: 'claim', node: 'root', claimant });
    for (let n = 0; n < each; n += 1) {
      const node = `n${n}`;
      const before = performance.now();
      await Promise.all([
        engine.execute(run, {
          type: 'add_nodes',
          parent: 'root',
          nodes: [{ id: node, kind: 'atomic', executor: 'bench' }],
        }),
        engine.execute(run, { type: 'start', node, epoch: 0, claimant }),
      ]);
      await engine.execute(run, {
        type: 'finish',
        node,
        attempt: 1,
        epoch: 1,
        outcome: 'succeeded',
        usage: {},
        outputs: { n },
      });
      latencies.push(performance.now() - before);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: clients }, (_, at) => client(`run-${at}`)));
  const perSecond = (each * clients) / ((performance.now() - begun) / 1000);
  await store.close();
  return { latencies: latencies.toSorted((a, b) => a - b), perSecond };
}

/** A job of dry steps, driven by a worker: what `submit` does without commands. Seconds. */
async function dryJob(dir: string, count: number): Promise<number> {
  const store = await openStore(join(dir, `dry-${count}`), { create: true });
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  const nodes = Array.from({ length: count }, (_, at) => ({
    id: `${at}:s`,
    kind: 'atomic' as const,
    key: `step:${at}:s`,
    after: { type: 'progress' as const, summary: `step ${at} done` },
    ...(at > 0 ? { needs: [`${at - 1}:s`] } : {}),
  }));
  const begun = performance.now();
  await engine.execute('job', {
    type: 'create',
    spec: { ...SPEC, nodes, root: { id: 'job', kind: 'composite', drive: 'plan' } },
  });
  const worker = new Worker({ engine, executors: new Map(), worker: 'bench' });
  const claimed = await worker.claim('job');
  if (claimed === undefined) throw new Error('the job was not claimed');
  await worker.drive(claimed.lease, new AbortController().signal);
  const seconds = (performance.now() - begun) / 1000;
  await store.close();
  return seconds;
}

interface Row {
  readonly what: string;
  readonly p50: number[];
  readonly p99: number[];
  readonly rate: number[];
}

const rows = new Map<string, Row>();
const dry = { thousand: [] as number[], twoThousand: [] as number[] };

function note(what: string, { latencies, perSecond }: Result): void {
  const row = rows.get(what) ?? { what, p50: [], p99: [], rate: [] };
  row.p50.push(quantile(latencies, 0.5));
  row.p99.push(quantile(latencies, 0.99));
  row.rate.push(perSecond);
  rows.set(what, row);
}

try {
  for (let n = 0; n < REPETITIONS; n += 1) {
    const dir = mkdtempSync(join(root, 'r-'));
    note('bare fdatasync of 300 bytes', bareSync(dir));
    note('bare SQLite insert, one row a transaction', bareInsert(dir));
    for (const clients of [1, 8, 32])
      note(`durable step, ${clients} client${clients === 1 ? '' : 's'}`, await steps(dir, clients));
    dry.thousand.push(await dryJob(dir, 1000));
    dry.twoThousand.push(await dryJob(dir, 2000));
    rmSync(dir, { recursive: true });
    process.stderr.write(`repetition ${n + 1} of ${REPETITIONS}\n`);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}

const table = [
  '| what | p50, ms | p99, ms | per second |',
  '| --- | --- | --- | --- |',
  ...[...rows.values()].map(
    ({ what, p50, p99, rate }) =>
      `| ${what} | ${showSpread(spread(p50), 2)} | ${showSpread(spread(p99), 2)} | ${showSpread(spread(rate), 0)} |`,
  ),
  '',
  '| what | seconds |',
  '| --- | --- |',
  `| a job of 1,000 dry steps | ${showSpread(spread(dry.thousand), 2)} |`,
  `| a job of 2,000 dry steps | ${showSpread(spread(dry.twoThousand), 2)} |`,
].join('\n');

const page = `${machine()}; ${REPETITIONS} repetitions, interleaved; median (least–most).\n\n${table}\n`;
publish('steps', page, flags.write);
