// Packs: a job of 10,000 events, exported from its store and verified, in process, beside the same bytes zipped and hashed
// with nothing checked. `npm run bench -- --write` puts the figures into docs/benchmarks.md.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';
import { openJobs } from '../src/cli/jobs/open-jobs.ts';
import { exportJob } from '../src/doors/jobs/pack.ts';
import { verifyJobpack } from '../src/evidence/verify.ts';
import { ZipReader } from '../src/evidence/zip-reader.ts';
import { machine, showSpread, spread } from './measure.ts';
import { publish } from './page.ts';

const { values: flags } = parseArgs({
  options: { repetitions: { type: 'string', default: '15' }, write: { type: 'boolean', default: false } },
});
const BIN = fileURLToPath(new URL('../bin/reeve.js', import.meta.url));
const SECOND_VERIFIER = new URL('../verify.mjs', import.meta.url);
const root = mkdtempSync(join(tmpdir(), 'reeve-bench-'));
const store = join(root, 'store');
const outDir = join(root, 'out');

function submitLong(): void {
  const spec = {
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: '2026-01-01T00:00:00Z',
    producer_version: 'bench',
    name: 'bench',
    objective: 'bench',
    inputs: { steps: Array.from({ length: 2500 }, (_, at) => ({ id: `s${at}` })) },
    expected_artifacts: [],
    adapter: { name: 'reference' },
    budgets: { max_wall_time_seconds: 3600, max_retries: 1, max_step_count: 1_000_000, max_tool_calls: 1 },
    checkpoint_policy: { min_interval_seconds: 1, required_types: [] },
  };
  writeFileSync(join(root, 'job.json'), JSON.stringify(spec));
  const args = [BIN, '--store', store, 'submit', 'job.json', '--job-id', 'long'];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`submit: exit ${status}: ${stderr}`);
}

/** The entries of a pack as they are, outside of the time that is measured. */
async function entriesOf(path: string): Promise<readonly (readonly [name: string, data: Buffer])[]> {
  const reader = await ZipReader.open(path);
  const entries: [string, Buffer][] = [];
  for (const entry of reader.entries.values()) entries.push([entry.name, await reader.read(entry, 2 ** 30)]);
  await reader.close();
  return entries;
}

/** What any zip and SHA-256 cost: both sums over each entry, and all bytes to the disk. */
function plainWrite(entries: Awaited<ReturnType<typeof entriesOf>>): void {
  const file = openSync(join(root, 'plain.zip'), 'w');
  for (const [name, data] of entries) {
    createHash('sha256').update(data).digest();
    const header = Buffer.alloc(46);
    header.writeUInt32LE(crc32(data), 16);
    writeSync(file, Buffer.concat([header, Buffer.from(name)]));
    writeSync(file, data);
  }
  fsyncSync(file);
  closeSync(file);
}

function plainRead(path: string): void {
  const bytes = readFileSync(path);
  crc32(bytes);
  createHash('sha256').update(bytes).digest();
}

async function timed(work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

try {
  submitLong();
  const jobs = await openJobs({
    place: { storeRoot: store },
    cwd: root,
    env: {},
    version: 'bench',
    create: false,
    stderr: process.stderr,
  });
  const { path } = await exportJob(jobs, 'long', { outDir });
  const entries = await entriesOf(path);
  const events =
    entries
      .find(([name]) => name === 'events.jsonl')?.[1]
      .toString()
      .split('\n').length ?? 0;
  const { verify } = (await import(SECOND_VERIFIER.href)) as { verify(path: string): Promise<unknown> };
  const rows: [string, () => unknown, number[]][] = [
    ['the same bytes: SHA-256, CRC, write, sync', () => plainWrite(entries), []],
    ['**write the pack** from the store', () => exportJob(jobs, 'long', { outDir }), []],
    ['the same bytes: read, SHA-256, CRC', () => plainRead(path), []],
    ['**verify the pack**', () => verifyJobpack(path), []],
    ['verify it with `verify.mjs`', () => verify(path), []],
  ];
  for (const [, work] of rows) await work(); // compiled and cached
  for (let n = 0; n < Number(flags.repetitions); n += 1) {
    for (const [, work, times] of rows) times.push(await timed(work));
  }
  await jobs.close();
  const size = (statSync(path).size / 1e6).toFixed(1);
  const table = rows.map(([what, , times]) => `| ${what} | ${showSpread(spread(times), 0)} |`).join('\n');
  publish(
    'evidence',
    `${machine()}; ${(events - 1).toLocaleString('en')} events, ${size} MB; ${flags.repetitions} repetitions, interleaved; median (least–most).\n\n| what | ms |\n| --- | --- |\n${table}\n`,
    flags.write,
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
