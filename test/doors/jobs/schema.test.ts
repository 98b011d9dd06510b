import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseJobSpec } from '../../../src/doors/jobs/load-spec.ts';
import * as responses from '../../../src/doors/jobs/response-schemas.ts';
import { JOBSPEC_SCHEMA, USAGE_SOURCES } from '../../../src/doors/jobs/schema.ts';
import { problemsOf } from '../../../src/doors/validate.ts';
import { USAGE_SOURCES as KNOWN_SOURCES } from '../../../src/executors/process/usage/index.ts';
import type { Json, JsonObject } from '../../../src/model/json.ts';
import { errorOf, specOf, STEPS } from './support.ts';

const SHARED = new URL('../../../../shared/wrkr/schemas/', import.meta.url);
const BOUNDS = new Set(['maxLength', 'maxItems', 'maximum', 'maxProperties']);
const PROSE = new Set(['$schema', '$id', 'title', 'description']);

/** What a schema means, without words and without the upper bounds that only we have; lists as sets. */
function meaning(schema: unknown, keepBounds: boolean): unknown {
  if (Array.isArray(schema)) return new Set(schema.map((item) => meaning(item, keepBounds)));
  if (typeof schema !== 'object' || schema === null) return schema;
  const kept = Object.entries(schema).filter(([key]) => !PROSE.has(key) && (keepBounds || !BOUNDS.has(key)));
  return Object.fromEntries(kept.map(([key, value]) => [key, meaning(value, keepBounds)]));
}

function shared(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, SHARED), 'utf8'));
}

describe.skipIf(!existsSync(SHARED))('schemas mean what the reference publishes', () => {
  test('jobspec, apart from upper bounds and what we read in adapter.config', () => {
    const ours = meaning(JOBSPEC_SCHEMA, false) as {
      properties: { adapter: { properties: { config: JsonObject } } };
    };
    const { properties: _, ...config } = ours.properties.adapter.properties.config;
    ours.properties.adapter.properties.config = config;
    expect(ours).toEqual(meaning(shared('jobspec/jobspec.schema.json'), false));
  });

  test.each([
    ['status/status_response.schema.json', responses.STATUS_RESPONSE_SCHEMA],
    ['checkpoint/checkpoint.schema.json', responses.CHECKPOINT_SCHEMA],
    ['checkpoint/approval_record.schema.json', responses.APPROVAL_RECORD_SCHEMA],
    ['serve/error_envelope.schema.json', responses.ERROR_ENVELOPE_SCHEMA],
    ['lease/lease.schema.json', responses.LEASE_SCHEMA],
    ['accept/accept_result.schema.json', responses.ACCEPT_RESULT_SCHEMA],
    ['report/github_summary.schema.json', responses.GITHUB_SUMMARY_SCHEMA],
    ['bridge/work_item.schema.json', responses.WORK_ITEM_SCHEMA],
  ])('%s', (path, ours) => {
    expect(meaning(ours, true)).toEqual(meaning(shared(path), true));
  });
});

test('usage sources are those that the executor has', () => {
  expect(USAGE_SOURCES).toEqual(KNOWN_SOURCES);
});

test('a whole spec is accepted', async () => {
  expect(await parseJobSpec(specOf() as unknown as Json)).toEqual(specOf());
});

const refuse = async (change: Record<string, unknown>) => {
  const error = await errorOf(() => parseJobSpec({ ...specOf(), ...change } as unknown as Json));
  expect(error.exitCode).toBe(6);
  return error;
};

describe('W35: what is wrong is refused, and the field named', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['unknown field', { objectve: 'x' }, '/objectve'],
    ['unknown field with odd characters', { 'a/b~c': 1 }, '/a~1b~0c'],
    ['missing created_at', { created_at: undefined }, '/created_at'],
    ['missing expected_artifacts', { expected_artifacts: undefined }, '/expected_artifacts'],
    ['no date', { created_at: '2026-02-30T00:00:00Z' }, '/created_at'],
    ['wrong schema_id', { schema_id: 'wrkr.job' }, '/schema_id'],
    ['empty name', { name: '' }, '/name'],
    ['long name', { name: 'x'.repeat(201) }, '/name'],
    ['unknown adapter', { adapter: { name: 'magic' } }, '/adapter/name'],
    [
      'adapter config',
      { adapter: { name: 'reference', config: { max_parallel: 0 } } },
      '/adapter/config/max_parallel',
    ],
    [
      'strict_policy',
      { adapter: { name: 'noop', config: { strict_policy: 'yes' } } },
      '/adapter/config/strict_policy',
    ],
    ['budget of 0', { budgets: { ...specOf().budgets, max_step_count: 0 } }, '/budgets/max_step_count'],
    ['unknown rule', { environment_fingerprint: { rules: ['kernel'] } }, '/environment_fingerprint/rules'],
    ['no steps', { inputs: {} }, '/inputs/steps'],
    ['empty steps', { inputs: { steps: [] } }, '/inputs/steps'],
    ['steps no list', { inputs: { steps: { a: 1 } } }, '/inputs/steps'],
    ['executed as text', { inputs: { steps: [{ executed: 'false' }] } }, '/inputs/steps/0/executed'],
    ['command as a list', { inputs: { steps: [{}, { command: ['ls'] }] } }, '/inputs/steps/1/command'],
    ['command with NUL', { inputs: { steps: [{ command: 'a\0b' }] } }, '/inputs/steps/0/command'],
    ['env with values', { inputs: { steps: [{ env: ['A=b'] }] } }, '/inputs/steps/0/env/0'],
    ['unknown step field', { inputs: { steps: [{ timeout: 3 }] } }, '/inputs/steps/0/timeout'],
    ['timeout of 0', { inputs: { steps: [{ timeout_seconds: 0 }] } }, '/inputs/steps/0/timeout_seconds'],
    ['usage source', { inputs: { steps: [{ usage: { source: 'gpt' } }] } }, '/inputs/steps/0/usage/source'],
  ])('%s', async (_name, change, field) => {
    const { details } = await refuse(change);
    expect(details).toMatchObject({ field, problem: expect.any(String) });
  });

  test('several problems come together, the most useful first, no more than 20', async () => {
    const steps = Array.from({ length: 50 }, () => ({ executed: 'yes' }));
    const { details, message } = await refuse({ objective: undefined, objectives: 'x', inputs: { steps } });
    const problems = details?.['problems'] as { field: string }[];
    expect(problems).toHaveLength(20);
    expect(problems.slice(0, 2).map(({ field }) => field)).toEqual(['/objectives', '/objective']);
    expect(details?.['problem_count']).toBe(52);
    expect(message).toContain('51 more problems');
  });

  test('the wrong value is shown when it is short', async () => {
    expect((await refuse({ name: 5 })).details).toMatchObject({ value: 5 });
    expect((await refuse({ created_at: 'x'.repeat(101) })).details).not.toHaveProperty('value');
  });

  test.each([null, [], 'text', 5])('%j is no spec', async (value) => {
    expect((await errorOf(() => parseJobSpec(value))).code).toBe('E_INVALID_INPUT_SCHEMA');
  });

  test('keys of the prototype are plain unknown fields', async () => {
    const value = JSON.parse('{"__proto__": {"name": "x"}, "constructor": 1}') as Json;
    const { details } = await errorOf(() => parseJobSpec(value));
    const fields = (details?.['problems'] as { field: string }[] | undefined)?.map(({ field }) => field);
    expect(fields).toContain('/__proto__');
    expect(fields).toContain('/name');
    expect(({} as Record<string, unknown>)['name']).toBeUndefined();
  });
});

test('all our step fields are accepted, a checkpoint key is ignored', async () => {
  const price = { input: 1, output: 2, cacheWrite: 1, cacheRead: 0.1 };
  const steps = [
    { ...STEPS[0], checkpoint: 'progress' },
    {
      id: 'b',
      timeout_seconds: 0.5,
      env: ['FOO'],
      retries: 2,
      on_interrupt: 'block',
      usage_file: 'usage.json',
      usage: { source: 'codex', prices: { '*': { ...price, longPrompt: { overTokens: 1, ...price } } } },
      needs: ['collect'],
      capture: 'full',
    },
  ];
  const whole = { ...specOf(), inputs: { steps } } as unknown as Json;
  expect(await parseJobSpec(whole)).toEqual(whole);
  const noop = { ...specOf(), inputs: { steps: 'not read' }, adapter: { name: ' NOOP ' } } as unknown as Json;
  expect(await parseJobSpec(noop)).toEqual(noop);
});

test('100,000 small steps are allowed, one more is not', async () => {
  const steps = Array.from({ length: 100_000 }, () => ({}));
  await parseJobSpec({ ...specOf(), inputs: { steps } } as unknown as Json);
  expect((await refuse({ inputs: { steps: [...steps, {}] } })).details).toMatchObject({
    field: '/inputs/steps',
  });
});

test('a runtime config as we write it fits its schema', async () => {
  const config = {
    schema_id: 'wrkr.runtime_config',
    schema_version: 'v1',
    created_at: '2025-03-01T00:00:00Z',
    updated_at: '2025-03-01T00:00:00.5Z',
    producer_version: 'dev',
    adapter: 'reference',
    inputs: {},
    budgets: {
      MaxWallTimeSeconds: 1,
      MaxRetries: 0,
      MaxStepCount: 1,
      MaxToolCalls: 1,
      MaxEstimatedCost: null,
      MaxTokens: 5,
    },
    next_step_index: 0,
  };
  expect(await problemsOf(responses.RUNTIME_CONFIG_SCHEMA, config)).toEqual([]);
  expect(await problemsOf(responses.RUNTIME_CONFIG_SCHEMA, { ...config, next_step_index: -1 })).toHaveLength(
    1,
  );
});
