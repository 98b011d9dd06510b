// Whole commands, as processes: what a person waits for. A job of 2,500 dry steps has 10,000 events.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine, showSpread, spread } from './measure.ts';
import { publish } from './page.ts';

const { values: flags } = parseArgs({
  options: { repetitions: { type: 'string', default: '15' }, write: { type: 'boolean', default: false } },
});
const BIN = fileURLToPath(new URL('../bin/reeve.js', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'reeve-bench-'));
const env = { ...process.env, REEVE_HOME: join(root, 'store') };

function run(program: string, args: readonly string[]): number {
  const begun = performance.now();
  const { status, stderr } = spawnSync(program, args, { cwd: root, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${status}: ${stderr}`);
  return performance.now() - begun;
}

/** So many shells one after the other: what a step's command costs by itself. */
function shells(count: number): number {
  let sum = 0;
  for (let n = 0; n < count; n += 1) sum += run('sh', ['-lc', 'true']);
  return sum;
}

const reeve = (...args: readonly string[]): number => run(process.execPath, [BIN, ...args]);

function spec(steps: number, command?: string): string {
  return JSON.stringify({
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: '2026-01-01T00:00:00Z',
    producer_version: 'bench',
    name: 'bench',
    objective: 'bench',
    inputs: {
      steps: Array.from({ length: steps }, (_, at) => ({
        id: `s${at}`,
        ...(command === undefined ? {} : { command }),
      })),
    },
    expected_artifacts: [],
    adapter: { name: 'reference' },
    budgets: {
      max_wall_time_seconds: 3600,
      max_retries: 1,
      max_step_count: 1_000_000,
      max_tool_calls: 1_000_000,
    },
    checkpoint_policy: { min_interval_seconds: 1, required_types: [] },
  });
}

try {
  writeFileSync(join(root, 'true.json'), spec(100, 'true'));
  for (const steps of [1000, 2000, 2500]) writeFileSync(join(root, `${steps}.json`), spec(steps));
  const rows: [string, number[]][] = [
    ['bare `node -e 0`', []],
    ['`reeve version`', []],
    ['`reeve status` of a job of 10,000 events', []],
    ['`reeve status --json` of the same', []],
    ['`reeve submit` of 1,000 dry steps', []],
    ['`reeve submit` of 2,000 dry steps', []],
    ['`reeve submit` of 100 steps with the command `true`', []],
    ['bare `sh -lc true`, 100 times', []],
    ['`reeve demo`', []],
  ];
  reeve('submit', '2500.json', '--job-id', 'long');
  for (let n = 0; n < Number(flags.repetitions); n += 1) {
    const times = [
      run(process.execPath, ['-e', '0']),
      reeve('version'),
      reeve('status', 'long'),
      reeve('status', 'long', '--json'),
      ...(n < 5
        ? [
            reeve('submit', '1000.json'),
            reeve('submit', '2000.json'),
            reeve('submit', 'true.json'),
            shells(100),
            reeve('demo'),
          ]
        : []),
    ];
    for (const [at, time] of times.entries()) rows[at]?.[1].push(time);
    process.stderr.write(`repetition ${n + 1} of ${flags.repetitions}\n`);
  }
  const table = rows.map(([what, times]) => `| ${what} | ${showSpread(spread(times), 0)} |`).join('\n');
  publish(
    'commands',
    `${machine()}; whole processes; median (least–most).\n\n| what | ms |\n| --- | --- |\n${table}\n`,
    flags.write,
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
