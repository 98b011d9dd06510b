import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  applyLine,
  emptyJobState,
  runtimeConfigJson,
  snapshotJson,
  stateObject,
} from '../../../src/doors/jobs/fold-lines.ts';
import { goJson } from '../../../src/doors/jobs/go-json.ts';
import {
  approvalRecord,
  checkpointRecord,
  lineOf,
  lineText,
  nextStepIndex,
  projectionOf,
  type Line,
} from '../../../src/doors/jobs/lines.ts';
import * as responses from '../../../src/doors/jobs/response-schemas.ts';
import { standingOf, statusOf } from '../../../src/doors/jobs/map.ts';
import { parseTime } from '../../../src/doors/jobs/time.ts';
import { toRun, wrapRun } from '../../../src/doors/jobs/to-run.ts';
import { problemsOf } from '../../../src/doors/validate.ts';
import type { RunSpec } from '../../../src/model/run-spec.ts';
import { captureFingerprint, thisProcess } from '../../../src/doors/jobs/fingerprint.ts';
import { Driven, errorOf, specOf, STEPS, WHERE } from './support.ts';

const ENVIRONMENT = captureFingerprint(['os', 'cwd'], { ...thisProcess(), platform: 'linux', cwd: '/a&b' });

function created(spec: RunSpec): Driven {
  const driven = new Driven();
  driven.do({ type: 'create', spec, environment: ENVIRONMENT });
  return driven;
}

function linesOf(driven: Driven, spec: RunSpec): readonly Line[] {
  const projection = projectionOf('demo', spec, 'dev');
  return driven.events.map((event) => lineOf(event, projection));
}

function blocked(): { driven: Driven; spec: RunSpec; lines: readonly Line[] } {
  const spec = toRun(specOf(), WHERE);
  const driven = created(spec);
  driven.claim();
  driven.work();
  return { driven, spec, lines: linesOf(driven, spec) };
}

test('W1: a submitted job leaves its lines in the order of contract §e', () => {
  const { driven, lines } = blocked();
  expect(statusOf(driven.state.standing)).toBe('blocked_decision');
  expect(lines.map(({ type }) => type)).toEqual([
    'job_initialized',
    'env_fingerprint_set',
    'status_changed',
    'checkpoint_emitted',
    'lease_set',
    'adapter_step',
    'counters_updated',
    'checkpoint_emitted',
    'idempotency_recorded',
    'adapter_step',
    'counters_updated',
    'checkpoint_emitted',
    'idempotency_recorded',
    'status_changed',
    'lease_released',
  ]);
  expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
});

test('payloads have the contract’s keys in its order', () => {
  const { lines } = blocked();
  const texts = lines.map(lineText);
  expect(texts[0]).toBe(
    '{"seq":1,"created_at":"2025-03-01T09:00:01Z","type":"job_initialized","payload":{"started_at":"2025-03-01T09:00:01Z","status":"queued"}}\n',
  );
  expect(texts[1]).toContain(
    `"payload":{"rules":["cwd","os"],"values":{"cwd":"/a\\u0026b","os":"linux"},"hash":"${ENVIRONMENT.hash}","captured_at":"2025-03-01T09:00:01Z"}}`,
  );
  expect(texts[2]).toContain('"payload":{"from":"queued","to":"running"}}');
  expect(texts[4]).toContain(
    '"payload":{"worker_id":"dispatch-1","lease_id":"lease-1-1","acquired_at":"2025-03-01T09:00:02Z","heartbeat_at":"2025-03-01T09:00:02Z","expires_at":"2025-03-01T09:00:32Z"}}',
  );
  expect(texts[5]).toContain(
    '"payload":{"adapter":"reference","artifacts":["notes/collected.txt"],"command":"true","executed":true,"step_id":"collect","step_index":0,"summary":"notes collected"}}',
  );
  expect(texts[6]).toContain('"payload":{"retry_count":0,"step_count":1,"tool_call_count":1}}');
  expect(texts[7]).toContain(
    '"payload":{"artifacts_delta":{"added":["notes/collected.txt"],"changed":[],"removed":[]},"budget_state":{"wall_time_seconds":2,"retry_count":0,"step_count":1,"tool_call_count":1},"reason_codes":[],"required_action":null,"status":"running","summary":"notes collected","type":"progress"}}',
  );
  expect(texts[8]).toContain('"payload":{"key":"step:0:collect"}}');
  expect(texts[9]).toContain('"command":"","executed":false,"step_id":"judge","step_index":1');
  expect(texts[11]).toContain(
    '"required_action":{"kind":"sign","instructions":"decide about step judge"},"status":"blocked_decision"',
  );
  expect(texts[14]).toContain('"payload":{"lease_id":"lease-1-1","worker_id":"dispatch-1"}}');
});

test('an approval is a whole record, and an override the new baseline', async () => {
  const { driven, spec } = blocked();
  driven.do({ type: 'approve', checkpoint: 12, by: 'lead', reason: ' fine ' });
  const other = captureFingerprint(['os', 'cwd'], { ...thisProcess(), platform: 'linux', cwd: '/elsewhere' });
  driven.do({
    type: 'claim',
    node: 'job',
    claimant: { worker: 'w', leaseId: 'l', ttlMs: 1 },
    environment: other,
    resume: { by: 'lead', reason: 'moved', force: true },
  });
  const lines = linesOf(driven, spec);
  const approval = lines.find(({ type }) => type === 'approval_recorded');
  expect(approvalRecord(approval!)).toEqual({
    schema_id: 'wrkr.approval_record',
    schema_version: 'v1',
    created_at: approval!.created_at,
    producer_version: '0.1.0',
    job_id: 'demo',
    checkpoint_id: 'cp_12',
    reason: 'fine',
    approved_by: 'lead',
  });
  expect(await problemsOf(responses.APPROVAL_RECORD_SCHEMA, approval!.payload)).toEqual([]);
  const override = lines.find(({ type }) => type === 'env_override_recorded');
  expect(Object.keys(override!.payload)).toEqual([
    'actual_hash',
    'approved_by',
    'captured_at',
    'expected_hash',
    'reason',
    'rules',
    'values',
  ]);
  const state = lines.reduce((folded, line) => applyLine(folded, line), emptyJobState('demo'));
  expect(state.env_fingerprint_hash).toBe(other.hash);
});

test('W74: checkpoints fit their schema and carry the real version', async () => {
  const { lines } = blocked();
  const records = lines
    .map((line) => checkpointRecord(line, 'demo', '0.1.0'))
    .filter((record) => record !== undefined);
  expect(records.map(({ checkpoint_id: id, type }) => [id, type])).toEqual([
    ['cp_4', 'plan'],
    ['cp_8', 'progress'],
    ['cp_12', 'decision-needed'],
  ]);
  for (const record of records) {
    expect(await problemsOf(responses.CHECKPOINT_SCHEMA, record)).toEqual([]);
    expect(record['producer_version']).toBe('0.1.0');
  }
  expect(records[0]).not.toHaveProperty('required_action');
});

test('what wrkr has no type for keeps every field', () => {
  const { driven, spec } = blocked();
  const record = { type: 'record', name: 'acceptance', data: { ok: true } } as const;
  driven.do(record);
  driven.do({ type: 'approve', checkpoint: 12, by: 'lead', reason: 'fine' });
  driven.do({
    type: 'claim',
    node: 'job',
    claimant: { worker: 'w', leaseId: 'l', ttlMs: 1 },
    resume: { by: 'lead', reason: 'more', limits: { steps: 50 } },
  });
  const lines = linesOf(driven, spec);
  expect(lines.find(({ type }) => type === 'reeve.fact_recorded')?.payload).toEqual({
    name: 'acceptance',
    data: { ok: true },
  });
  expect(lines.find(({ type }) => type === 'reeve.limits_raised')?.payload).toEqual({
    limits: { steps: 50 },
    by: 'lead',
    reason: 'more',
  });
});

test('a wrapped command shows its redacted line and nothing else of it', () => {
  const spec = wrapRun(['tool', 'hunter2'], { redact: ['hunter2'] }, WHERE);
  const driven = created(spec);
  driven.claim();
  driven.work();
  const text = linesOf(driven, spec).map(lineText).join('');
  expect(text).toContain('"adapter":"wrap"');
  expect(text).toContain('"command":"tool [REDACTED]"');
  expect(text).not.toContain('hunter2');
  expect(driven.state.standing).toEqual({ phase: 'succeeded' });
});

describe('the fold of the lines says what the run says', () => {
  const step = fc.record(
    { command: fc.constantFrom('', 'true'), decision_needed: fc.boolean(), executed: fc.boolean() },
    { requiredKeys: [] },
  );
  const act = fc.constantFrom('work', 'fail', 'approve', 'resume', 'pause', 'cancel', 'emit');

  test('for any steps and any acts', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 5 }),
        fc.array(act, { maxLength: 12 }),
        (steps, acts) => {
          const spec = toRun(specOf(steps), WHERE);
          const driven = created(spec);
          driven.claim();
          for (const name of acts) perform(driven, name);
          const { state } = driven;
          const lines = linesOf(driven, spec);
          const folded = lines.reduce(
            (at, line) => applyLine(at, JSON.parse(lineText(line)) as Line),
            emptyJobState('demo'),
          );
          expect(standingOf(folded.status)).toEqual(state.standing);
          expect(folded.last_applied_seq).toBe(state.version);
          expect(folded.step_count).toBe(state.used.steps);
          expect(folded.tool_call_count).toBe(state.used.toolCalls);
          expect(folded.retry_count).toBe(state.used.retries);
          expect(folded.last_reason_codes).toEqual(state.reasonCodes);
          expect(folded.env_fingerprint_hash).toBe(ENVIRONMENT.hash);
          const cursor = nextStepIndex(
            projectionOf('demo', spec, 'dev'),
            (id) => state.settled.get(id)?.state === 'succeeded',
          );
          expect(Object.keys(folded.idempotency_keys)).toHaveLength(cursor);
        },
      ),
    );
  });
});

function perform(driven: Driven, name: string): void {
  const { state } = driven;
  if (name === 'work') driven.work();
  else if (name === 'fail') driven.work([...state.ready.keys()]);
  else if (name === 'resume') driven.claim(true);
  else if (name === 'pause' || name === 'cancel') driven.do({ type: name, by: 'tester' });
  else if (name === 'emit')
    driven.do({ type: 'emit_checkpoint', checkpoint: 'progress', summary: 'by hand', reasonCodes: ['X'] });
  else
    for (const checkpoint of state.decisions.keys())
      driven.do({ type: 'approve', checkpoint, by: 'lead', reason: 'ok' });
}

describe('how lines are written', () => {
  test('the escapes of contract §d', () => {
    expect(goJson('<a & b>\u2028\u2029"\\\n\u0001\u007f/é')).toBe(
      String.raw`"\u003ca \u0026 b\u003e\u2028\u2029\"\\\n\u0001` + '\u007f/é"',
    );
  });

  test('half a surrogate pair becomes U+FFFD, an escaped backslash before it stays', () => {
    expect(goJson({ '\ud800': String.raw`\ud800` + '\udfff' })).toBe(String.raw`{"�":"\\ud800�"}`);
  });

  test('any text comes back, well formed and without raw angle brackets', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const written = goJson(text);
        expect(JSON.parse(written)).toBe(text.toWellFormed());
        expect(written).not.toMatch(/[<>&\u2028\u2029\n]/);
        expect(written.isWellFormed()).toBe(true);
      }),
    );
  });
});

describe('the snapshot', () => {
  test('has its keys in order, two spaces, and no final newline', () => {
    const { lines } = blocked();
    const state = lines.reduce((folded, line) => applyLine(folded, line), emptyJobState('demo'));
    const text = snapshotJson(state, lines.at(-1)!.created_at);
    expect(
      text.startsWith(
        '{\n  "last_seq": 15,\n  "created_at": "2025-03-01T09:00:07Z",\n  "state": {\n    "job_id": "demo",',
      ),
    ).toBe(true);
    expect(text.endsWith('}\n  }\n}')).toBe(true);
    expect(Object.keys(stateObject(state))).toEqual([
      'job_id',
      'status',
      'retry_count',
      'step_count',
      'tool_call_count',
      'idempotency_keys',
      'last_applied_seq',
      'started_at',
      'env_fingerprint_hash',
      'env_fingerprint_rules',
      'env_fingerprint_values',
    ]);
    expect(stateObject(state)).toMatchObject({
      idempotency_keys: { 'step:0:collect': true, 'step:1:judge': true },
    });
  });

  test('a lease is in it while held', () => {
    const { lines } = blocked();
    const state = lines.slice(0, 5).reduce((folded, line) => applyLine(folded, line), emptyJobState('demo'));
    expect(parseTime((stateObject(state)['lease'] as { expires_at: string }).expires_at)).toBe(
      Date.UTC(2025, 2, 1, 9, 0, 32),
    );
  });

  test('keys of the prototype are plain keys', () => {
    const state = emptyJobState('demo');
    applyLine(state, {
      seq: 1,
      created_at: '2026-01-01T00:00:00Z',
      type: 'idempotency_recorded',
      payload: { key: '__proto__' },
    });
    expect(Object.keys(stateObject(state)['idempotency_keys'] as object)).toEqual(['__proto__']);
  });
});

test('the runtime config fits its schema, with limits as they are now', async () => {
  const spec = toRun(specOf(STEPS, { budgets: { ...specOf().budgets, max_estimated_cost: 0 } }), WHERE);
  const progress = {
    createdAt: '2025-03-01T09:00:01Z',
    updatedAt: '2025-03-01T09:00:09.5Z',
    nextStepIndex: 2,
  };
  const text = runtimeConfigJson(spec.document, { ...spec.limits, steps: 99, tokens: 5 }, progress);
  const config = JSON.parse(text ?? '') as Record<string, unknown>;
  expect(await problemsOf(responses.RUNTIME_CONFIG_SCHEMA, config)).toEqual([]);
  expect(config).toMatchObject({
    producer_version: 'dev',
    adapter: 'reference',
    next_step_index: 2,
    budgets: { MaxWallTimeSeconds: 900, MaxStepCount: 99, MaxEstimatedCost: null, MaxTokens: 5 },
  });
  expect(
    text?.startsWith('{\n  "schema_id": "wrkr.runtime_config",\n  "schema_version": "v1",\n  "created_at"'),
  ).toBe(true);
  expect(runtimeConfigJson(undefined, {}, progress)).toBeUndefined();
});

test.each<[string, Pick<Line, 'type' | 'payload'>]>([
  ['unknown type', { type: 'status_exploded', payload: {} }],
  ['unknown status', { type: 'status_changed', payload: { to: 'done' } }],
  ['counter', { type: 'counters_updated', payload: { retry_count: -1 } }],
  ['key', { type: 'idempotency_recorded', payload: {} }],
  ['lease', { type: 'lease_set', payload: { worker_id: 'w' } }],
  ['reason codes', { type: 'checkpoint_emitted', payload: { reason_codes: 'X' } }],
  ['fingerprint', { type: 'env_fingerprint_set', payload: { hash: 1 } }],
  ['start', { type: 'job_initialized', payload: { started_at: 'now' } }],
])('W9: a line with a bad %s is corruption', async (_name, line) => {
  const error = await errorOf(() =>
    applyLine(emptyJobState('x'), { seq: 3, created_at: '2026-01-01T00:00:00Z', ...line }),
  );
  expect(error.code).toBe('E_STORE_CORRUPT');
  expect(error.details).toMatchObject({ file: 'events.jsonl', line: 3, reason: expect.any(String) });
});

test('types of ours change nothing', () => {
  const state = emptyJobState('x');
  applyLine(state, {
    seq: 7,
    created_at: '2026-01-01T00:00:00Z',
    type: 'reeve.anything',
    payload: { to: 'done' },
  });
  expect(state).toEqual({ ...emptyJobState('x'), last_applied_seq: 7 });
});
