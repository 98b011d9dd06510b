import { appendFile, cp, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  importDirectory,
  type ImportedDirectory,
  type ImportOptions,
} from '../../../src/doors/jobs/import-dir.ts';
import {
  applyLine,
  emptyJobState,
  runtimeConfigJson,
  stateObject,
} from '../../../src/doors/jobs/fold-lines.ts';
import { lineOf, lineText, nextStepIndex, projectionOf } from '../../../src/doors/jobs/lines.ts';
import { statusOf } from '../../../src/doors/jobs/map.ts';
import { Driven, expectCode, WHERE } from './support.ts';

const STORE = fileURLToPath(new URL('../../fixtures/reference-store/jobs/', import.meta.url));
const OPTIONS: ImportOptions = { ...WHERE, lockWaitMs: 0 };

let temp = '';
beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'reeve-import-'));
});
afterAll(async () => {
  await rm(temp, { recursive: true });
});

async function load(job: string): Promise<ImportedDirectory> {
  const imported = await importDirectory(join(STORE, job), job, OPTIONS);
  if (imported === undefined) throw new Error(`nothing was imported from ${job}`);
  return imported;
}

let copies = 0;
async function copyOf(job: string): Promise<string> {
  copies += 1;
  const dir = join(temp, `${job}_${copies}`);
  await cp(join(STORE, job), dir, { recursive: true });
  return dir;
}

function driven(imported: ImportedDirectory): Driven {
  const run = new Driven(imported.job.job_id);
  const { lines, timesMs, spec, state } = imported;
  expect(run.do({ type: 'import', lines, timesMs, spec, state })).toBeUndefined();
  return run;
}

describe('W34: a store that the reference wrote', () => {
  test('a job that waits for an approval is resumed after it', async () => {
    const imported = await load('demo_blocked');
    expect(imported.state).toMatchObject({
      standing: { phase: 'held', hold: 'decision' },
      succeeded: ['0:collect', '1:judge'],
      interrupted: [],
      decisions: [{ checkpoint: 11, approved: false, node: '1:judge' }],
      usage: { steps: 2, toolCalls: 1, retries: 0 },
      startedAtMs: Date.UTC(2025, 2, 1, 9),
    });
    const run = driven(imported);
    expect(run.claim(true)).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
    expect(run.do({ type: 'approve', checkpoint: 11, by: 'lead', reason: 'ok' })).toBeUndefined();
    expect(run.claim(true)).toBeUndefined();
    run.work();
    expect(run.state.standing).toEqual({ phase: 'succeeded' });
    expect(run.state.used).toMatchObject({ steps: 3, toolCalls: 2, retries: 0 });
  });

  test('its lines stay what they were, and ours go on from them', async () => {
    const imported = await load('demo_blocked');
    const run = driven(imported);
    run.do({ type: 'approve', checkpoint: 11, by: 'lead', reason: 'ok' });
    run.claim(true);
    run.work();
    const projection = projectionOf('demo_blocked', imported.spec, '0.1.0');
    const lines = run.events.map((event) => lineOf(event, projection));
    const original = await readFile(join(STORE, 'demo_blocked/events.jsonl'), 'utf8');
    expect(lines.slice(0, 13).map(lineText).join('')).toBe(original);
    expect(lines.slice(13).map(({ type }) => type)).toEqual([
      'reeve.run_imported',
      'approval_recorded',
      'status_changed',
      'lease_set',
      'adapter_step',
      'counters_updated',
      'checkpoint_emitted',
      'idempotency_recorded',
      'checkpoint_emitted',
      'reeve.node_settled',
      'status_changed',
    ]);
    expect(lines.find(({ seq }) => seq === 18)?.payload).toMatchObject({
      adapter: 'reference',
      step_index: 2,
      step_id: 'publish',
    });
    const folded = lines.reduce((state, line) => applyLine(state, line), emptyJobState('demo_blocked'));
    expect(folded).toMatchObject({
      status: 'completed',
      step_count: 3,
      tool_call_count: 2,
      lease: undefined,
    });
    expect(nextStepIndex(projection, (id) => run.state.settled.get(id)?.state === 'succeeded')).toBe(3);
  });

  test('its snapshot is the fold of its lines', async () => {
    const { job } = await load('demo_blocked');
    const snapshot = JSON.parse(await readFile(join(STORE, 'demo_blocked/snapshot.json'), 'utf8')) as {
      state: object;
    };
    expect(stateObject(job)).toEqual(snapshot.state);
  });

  test('its runtime config is written again as it was, but for the cursor and its time', async () => {
    const { spec } = await load('demo_blocked');
    const original = await readFile(join(STORE, 'demo_blocked/runtime_config.json'), 'utf8');
    const { updated_at: updatedAt } = JSON.parse(original) as { updated_at: string };
    const progress = { createdAt: 'unused', updatedAt, nextStepIndex: 2 };
    expect(runtimeConfigJson(spec.document, spec.limits, progress)).toBe(original);
  });

  test('a completed job is completed; its waiting cost no time', async () => {
    const imported = await load('demo_completed');
    const run = driven(imported);
    expect(statusOf(run.state.standing)).toBe('completed');
    expect(imported.state.decisions).toEqual([{ checkpoint: 11, approved: true, node: '1:judge' }]);
    expect(imported.state.usage.wallMs).toBeLessThan(2000);
    expect(run.claim(true)).toBe('E_INVALID_STATE_TRANSITION');
  });

  test('W12: after a killed worker the interrupted step runs again, as a retry', async () => {
    const imported = await load('demo_torn');
    expect(imported.state).toMatchObject({
      standing: { phase: 'running' },
      succeeded: ['0:collect'],
      interrupted: ['1:sort'],
    });
    expect(imported.job.lease).toMatchObject({ worker_id: 'dispatch-3071' });
    const run = driven(imported);
    expect(run.claim()).toBeUndefined();
    run.work();
    expect(run.state.standing).toEqual({ phase: 'succeeded' });
    expect(run.state.used).toMatchObject({ steps: 3, retries: 1 });
  });

  test('W25: a decision whose checkpoint was never written is asked for again, its command not run again', async () => {
    const imported = await load('demo_mute');
    const run = driven(imported);
    expect(imported.state.succeeded).toEqual(['0:collect']);
    expect(run.claim(true)).toBeUndefined();
    run.work();
    expect(statusOf(run.state.standing)).toBe('blocked_decision');
    const asked = run.events.findLast(({ event }) => event.type === 'checkpoint_emitted');
    expect(asked?.event).toMatchObject({ checkpoint: 'decision-needed', node: '1:judge' });
    expect(run.events.every(({ event }) => event.type !== 'attempt_started' || event.executor === null)).toBe(
      true,
    );
    expect(run.state.used.steps).toBe(2);
    run.do({ type: 'approve', checkpoint: asked!.seq, by: 'lead', reason: 'ok' });
    run.claim(true);
    run.work();
    expect(run.state.standing).toEqual({ phase: 'succeeded' });
  });

  test('W26: a decision that was passed over needs its approval still', async () => {
    const imported = await load('demo_bypassed');
    expect(imported.state.decisions).toEqual([
      { checkpoint: 8, approved: false, node: '0:judge' },
      { checkpoint: 11, approved: true },
      { checkpoint: 17, approved: true, node: '1:judge_again' },
    ]);
    const run = driven(imported);
    expect(run.claim(true)).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
    run.do({ type: 'approve', checkpoint: 8, by: 'lead', reason: 'ok' });
    expect(run.claim(true)).toBeUndefined();
    run.work();
    expect(run.state.standing).toEqual({ phase: 'succeeded' });
  });

  test('a decision emitted by hand while a step runs is nobody’s; a step that asked twice needs both answers', async () => {
    const dir = await copyOf('demo_blocked');
    const log = join(dir, 'events.jsonl');
    const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
    const [step = '', counters = '', asked = ''] = lines.slice(8, 11);
    const byHand = asked.replace('"status":"blocked_decision"', '"status":"running"');
    const all = [...lines.slice(0, 9), byHand, counters, asked, step, counters, asked, ...lines.slice(11)];
    const numbered = all.map((line, index) => line.replace(/^\{"seq":\d+/, `{"seq":${index + 1}`));
    await writeFile(log, `${numbered.join('\n')}\n`);
    const imported = await importDirectory(dir, 'demo_blocked', OPTIONS);
    expect(imported?.state.decisions).toEqual([
      { checkpoint: 10, approved: false },
      { checkpoint: 12, approved: false, node: '1:judge' },
      { checkpoint: 15, approved: false, node: '1:judge' },
    ]);
    const run = driven(imported!);
    for (const checkpoint of [10, 12, 15]) {
      expect(run.claim(true)).toBe('E_CHECKPOINT_APPROVAL_REQUIRED');
      run.do({ type: 'approve', checkpoint, by: 'lead', reason: 'ok' });
    }
    expect(run.claim(true)).toBeUndefined();
    run.work();
    expect(run.state.standing).toEqual({ phase: 'succeeded' });
  });

  test('a job without runtime config keeps its state and is never concluded by itself', async () => {
    const imported = await load('demo_wrapped');
    const run = driven(imported);
    expect(statusOf(run.state.standing)).toBe('blocked_error');
    expect(imported.state.reasonCodes).toEqual(['E_ADAPTER_FAIL']);
    expect(run.claim(true)).toBeUndefined();
    expect(run.state.standing).toEqual({ phase: 'running' });
  });
});

describe('W8: a torn last line', () => {
  test('is left out and reported', async () => {
    const imported = await load('demo_torn');
    expect(imported.lines).toHaveLength(9);
    expect(imported.tornBytes).toBeGreaterThan(50);
    expect((await load('demo_blocked')).tornBytes).toBe(0);
  });

  test('alone, or no log at all, is no job', async () => {
    const dir = await copyOf('demo_blocked');
    await writeFile(join(dir, 'events.jsonl'), '{"seq":1');
    expect(await importDirectory(dir, 'x', OPTIONS)).toBeUndefined();
    await rm(join(dir, 'events.jsonl'));
    expect(await importDirectory(dir, 'x', OPTIONS)).toBeUndefined();
    expect(await importDirectory(join(temp, 'nowhere'), 'x', OPTIONS)).toBeUndefined();
  });

  test('wherever a log is cut, it reads as its whole lines', async () => {
    const dir = await copyOf('demo_torn');
    const log = await readFile(join(STORE, 'demo_torn/events.jsonl'));
    for (let size = log.length; size > 150; size -= 37) {
      const part = log.subarray(0, size);
      await writeFile(join(dir, 'events.jsonl'), part);
      const imported = await importDirectory(dir, 'x', OPTIONS);
      expect(imported?.lines.length).toBe(part.toString().split('\n').length - 1);
    }
  });
});

describe('W9: corruption is named by file, line and reason', () => {
  test.each([
    ['corrupt_gap', 5],
    ['corrupt_duplicate', 5],
    ['corrupt_line', 3],
    ['corrupt_type', 4],
  ])('%s', async (job, line) => {
    const error = await expectCode('E_STORE_CORRUPT', () => load(job));
    expect(error.exitCode).toBe(1);
    expect(error.details).toEqual({
      file: join(STORE, job, 'events.jsonl'),
      line,
      reason: expect.any(String),
    });
  });

  test.each([
    ['no object', '[]'],
    ['no time', '{"seq":14,"created_at":"yesterday","type":"lease_released","payload":{}}'],
    [
      'a payload that is none',
      '{"seq":14,"created_at":"2025-03-01T09:00:00Z","type":"lease_released","payload":5}',
    ],
    ['no type', '{"seq":14,"created_at":"2025-03-01T09:00:00Z","payload":{}}'],
    [
      'a sequence number as text',
      '{"seq":"14","created_at":"2025-03-01T09:00:00Z","type":"lease_released","payload":{}}',
    ],
  ])('%s', async (_name, line) => {
    const dir = await copyOf('demo_blocked');
    await appendFile(join(dir, 'events.jsonl'), `${line}\n`);
    const error = await expectCode('E_STORE_CORRUPT', () => importDirectory(dir, 'x', OPTIONS));
    expect(error.details).toMatchObject({ line: 14 });
  });

  test('a log that begins in the middle, and a config that is no JSON', async () => {
    const dir = await copyOf('demo_blocked');
    await writeFile(join(dir, 'runtime_config.json'), '{"schema_id"');
    const error = await expectCode('E_STORE_CORRUPT', () => importDirectory(dir, 'x', OPTIONS));
    expect(error.details).toMatchObject({ file: join(dir, 'runtime_config.json') });
    await rm(join(dir, 'runtime_config.json'));
    await writeFile(
      join(dir, 'events.jsonl'),
      '{"seq":1,"created_at":"2025-03-01T09:00:00Z","type":"lease_released"}\n',
    );
    await expectCode('E_STORE_CORRUPT', () => importDirectory(dir, 'x', OPTIONS));
  });
});

test('any JSON spelling is read, blank lines are passed over, types of ours are kept', async () => {
  const dir = await copyOf('demo_blocked');
  await appendFile(
    join(dir, 'events.jsonl'),
    '\n  \r\n { "payload": null, "type":"reeve.note","created_at":"2025-03-01T10:00:00+01:00", "seq":14.0 } \n',
  );
  expect((await importDirectory(dir, 'x', OPTIONS))?.lines).toHaveLength(14);
});

test('W7, W10: a snapshot that is gone, broken or ahead changes nothing', async () => {
  const whole = await load('demo_completed'); // its snapshot is ahead
  const dir = await copyOf('demo_completed');
  for (const snapshot of [
    undefined,
    '',
    '{"last_seq":3,"created_at":"2025-03-01T09:00:00Z","state":{"status":"paused"}}',
    '[]',
  ]) {
    await (snapshot === undefined
      ? rm(join(dir, 'snapshot.json'))
      : writeFile(join(dir, 'snapshot.json'), snapshot));
    const imported = await importDirectory(dir, 'demo_completed', OPTIONS);
    expect(imported?.state).toEqual(whole.state);
    expect(imported?.lines).toEqual(whole.lines);
  }
});

describe('append.lock', () => {
  test('of a living process is honoured', async () => {
    const dir = await copyOf('demo_blocked');
    await writeFile(join(dir, 'append.lock'), `pid=${process.pid};ts=1740819600000000000\n`);
    const error = await expectCode('E_STORE_BUSY', () => importDirectory(dir, 'x', OPTIONS));
    expect(error.message).toContain(String(process.pid));
  });

  test('is waited for', async () => {
    const dir = await copyOf('demo_blocked');
    const lock = join(dir, 'append.lock');
    await writeFile(lock, `pid=${process.pid};ts=1\n`);
    const importing = importDirectory(dir, 'x', { ...OPTIONS, lockWaitMs: 20_000 });
    setTimeout(() => void rm(lock), 50);
    expect((await importing)?.lines).toHaveLength(13);
  });

  test('of a dead process is not', async () => {
    const dir = await copyOf('demo_blocked');
    await writeFile(join(dir, 'append.lock'), 'pid=999999999;ts=1740819600000000000\n');
    expect((await importDirectory(dir, 'x', OPTIONS))?.lines).toHaveLength(13);
  });

  test('without a pid counts while it is young', async () => {
    const dir = await copyOf('demo_blocked');
    const lock = join(dir, 'append.lock');
    await writeFile(lock, '');
    await expectCode('E_STORE_BUSY', () => importDirectory(dir, 'x', OPTIONS));
    await utimes(lock, new Date(), new Date(Date.now() - 130_000));
    expect((await importDirectory(dir, 'x', OPTIONS))?.lines).toHaveLength(13);
  });
});

test('a log of 30 MB with lines across every boundary is read in seconds', async () => {
  const dir = await copyOf('demo_blocked');
  const pad = 'ä'.repeat(100_000);
  const parts = [await readFile(join(dir, 'events.jsonl'), 'utf8')];
  let seq = 13;
  for (let bytes = 0; bytes < 30_000_000; seq += 1) {
    const text = pad.slice(0, seq % 100 === 0 ? 100_000 : seq % 997);
    const line = `{"seq":${seq + 1},"created_at":"2025-03-01T09:00:01Z","type":"idempotency_recorded","payload":{"key":"${seq}${text}"}}\n`;
    bytes += Buffer.byteLength(line);
    parts.push(line);
  }
  await writeFile(join(dir, 'events.jsonl'), parts.join(''));
  const from = performance.now();
  const imported = await importDirectory(dir, 'x', OPTIONS);
  expect(imported?.lines).toHaveLength(seq);
  expect(performance.now() - from).toBeLessThan(10_000);
});
