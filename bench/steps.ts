// Durable steps, in process, on the embedded store, with sync on; beside a bare fdatasync loop and a bare SQLite insert
// loop on the same disk in the same run. `npm run bench -- --write` puts the figures into docs/benchmarks.md.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { Engine } from '../src/engine/engine.ts';
import { systemChance, systemClock } from '../src/engine/system.ts';
import { Worker } from '../src/engine/worker.ts';
import { openStore } from '../src/store/open-store.ts';
import { publish } from './page.ts';
import { durableSteps, SPEC, Table, timed, type Result } from './durable-steps.ts';
import { machine, showSpread, spread } from './measure.ts';

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

const table = new Table();
const dry = { thousand: [] as number[], twoThousand: [] as number[] };

try {
  for (let n = 0; n < REPETITIONS; n += 1) {
    const dir = mkdtempSync(join(root, 'r-'));
    table.note('bare fdatasync of 300 bytes', bareSync(dir));
    table.note('bare SQLite insert, one row a transaction', bareInsert(dir));
    for (const clients of [1, 8, 32]) {
      const store = await openStore(join(dir, `steps-${clients}`), { create: true });
      const result = await durableSteps(store, clients, STEPS);
      table.note(`durable step, ${clients} client${clients === 1 ? '' : 's'}`, result);
      await store.close();
    }
    dry.thousand.push(await dryJob(dir, 1000));
    dry.twoThousand.push(await dryJob(dir, 2000));
    rmSync(dir, { recursive: true });
    process.stderr.write(`repetition ${n + 1} of ${REPETITIONS}\n`);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}

const text = [
  table.text(),
  '',
  '| what | seconds |',
  '| --- | --- |',
  `| a job of 1,000 dry steps | ${showSpread(spread(dry.thousand), 2)} |`,
  `| a job of 2,000 dry steps | ${showSpread(spread(dry.twoThousand), 2)} |`,
].join('\n');

const page = `${machine()}; ${REPETITIONS} repetitions, interleaved; median (least–most).\n\n${text}\n`;
publish('steps', page, flags.write);
