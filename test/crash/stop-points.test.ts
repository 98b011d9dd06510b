// Kills the real program with SIGKILL at every commit and around every effect, brings the job to its end, and looks at
// what the steps themselves wrote: each exactly once, nothing acknowledged lost (I1, I5, W11, W12).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, test } from 'vitest';

const BIN = fileURLToPath(new URL('../../bin/reeve.js', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'reeve-crash-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SPEC = {
  schema_id: 'wrkr.jobspec',
  schema_version: 'v1',
  created_at: '2026-01-01T00:00:00Z',
  producer_version: 'test',
  name: 'crash',
  objective: 'survive',
  inputs: {
    steps: [
      { id: 'one', command: 'echo one >> ledger' },
      { id: 'dry' },
      { id: 'two', command: 'echo two >> ledger' },
    ],
  },
  expected_artifacts: [],
  adapter: { name: 'reference' },
  budgets: { max_wall_time_seconds: 600, max_retries: 50, max_step_count: 50, max_tool_calls: 50 },
  checkpoint_policy: { min_interval_seconds: 1, required_types: [] },
};

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function reeve(cwd: string, args: readonly string[], stopAt?: string): Outcome {
  const env = {
    ...process.env,
    REEVE_HOME: join(cwd, 'store'),
    ...(stopAt === undefined ? {} : { REEVE_STOP_AT: stopAt }),
  };
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    cwd,
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: status, signal, stdout, stderr };
}

/** @returns false when the program reached its end before the n-th passing of the place. */
function survive(place: string, n: number): boolean {
  const cwd = mkdtempSync(join(root, 'job-'));
  writeFileSync(join(cwd, 'spec.json'), JSON.stringify(SPEC));
  const submit = (): Outcome => reeve(cwd, ['submit', 'spec.json', '--job-id', 'j'], `${place}#${n}`);
  const first = submit();
  const isKilled = first.signal === 'SIGKILL';
  if (!isKilled) assert.equal(first.code, 0, first.stderr);
  else finish(cwd);

  const ledger = readFileSync(join(cwd, 'ledger'), 'utf8').trim().split('\n');
  assert.deepEqual(ledger, ['one', 'two'], `${place}#${n}: every effect exactly once`);
  const { status } = JSON.parse(reeve(cwd, ['status', 'j', '--json']).stdout) as { status: string };
  assert.equal(status, 'completed');
  const check = reeve(cwd, ['store', 'check', '--json']);
  assert.equal(check.code, 0, check.stdout + check.stderr);
  const lines = readFileSync(join(cwd, 'store', 'jobs', 'j', 'events.jsonl'), 'utf8')
    .trim()
    .split('\n');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { seq: number }).seq),
    lines.map((_, at) => at + 1),
    'the job directory has caught up',
  );
  return isKilled;
}

/** What a person does after a crash: look whether the job is there, then resume it, or submit it again. */
function finish(cwd: string): void {
  if (reeve(cwd, ['status', 'j']).code !== 0) {
    const again = reeve(cwd, ['submit', 'spec.json', '--job-id', 'j']);
    assert.equal(again.code, 0, again.stderr);
    return;
  }
  const { status } = JSON.parse(reeve(cwd, ['status', 'j', '--json']).stdout) as { status: string };
  if (status === 'completed') return; // the end was on record; what remained was telling
  const resumed = reeve(cwd, ['resume', 'j', '--takeover']);
  assert.equal(resumed.code, 0, resumed.stderr);
}

const PLACES = [
  'commit:before',
  'commit:after',
  'effect:intended',
  'effect:submitted',
  'effect:ended',
  'effect:recorded',
  'directory:before',
  'directory:after',
];

describe('I1 I5 W11 W12: kill -9 at', () => {
  for (const place of PLACES) {
    test(`every ${place}`, { timeout: 180_000 }, () => {
      let reached = 0;
      while (survive(place, reached + 1)) reached += 1;
      assert.ok(reached > 0, `${place} is never reached: the place is gone, or its name is wrong`);
    });
  }
});
