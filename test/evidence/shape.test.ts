// The checker of the pack's documents says the same as a JSON Schema validator, and the schemas are the published ones.
import { existsSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SCHEMAS, type KnownEntry } from '../../src/evidence/schemas.ts';
import { compile } from '../../src/evidence/shape.ts';
import { trimmedTime } from '../../src/evidence/time.ts';
import { filesIn, referencePack, type Any } from './support.ts';

const SHARED = new URL('../../../shared/wrkr/schemas/', import.meta.url);
const PUBLISHED: Readonly<Record<KnownEntry, string>> = {
  'manifest.json': 'jobpack/manifest',
  'job.json': 'jobpack/job',
  'artifacts_manifest.json': 'jobpack/artifacts_manifest',
  'accept/accept_result.json': 'accept/accept_result',
  'events.jsonl': 'jobpack/event',
  'checkpoints.jsonl': 'checkpoint/checkpoint',
  'approvals.jsonl': 'checkpoint/approval_record',
};
const ENTRIES = Object.keys(SCHEMAS) as KnownEntry[];

/** What a schema means: without words, lists as sets. */
function meaning(schema: unknown): unknown {
  if (Array.isArray(schema)) return new Set(schema.map(meaning));
  if (typeof schema !== 'object' || schema === null) return schema;
  const kept = Object.entries(schema).filter(
    ([key]) => !['$schema', '$id', 'title', 'description'].includes(key),
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, meaning(value)]));
}

describe.skipIf(!existsSync(SHARED))('schemas mean what the reference publishes', () => {
  test.each(ENTRIES)('%s', (entry) => {
    const published = JSON.parse(readFileSync(new URL(`${PUBLISHED[entry]}.schema.json`, SHARED), 'utf8'));
    const ours = structuredClone(SCHEMAS[entry]) as Any;
    // An object without any required field says so in one of two ways.
    if (entry === 'checkpoints.jsonl') delete ours.properties.required_action.required;
    expect(meaning(ours)).toEqual(meaning(published));
  });
});

const ODD = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    '',
    'x',
    'v1',
    'v1.0',
    'v2',
    'a'.repeat(64),
    'A'.repeat(64),
    -1,
    0,
    1.5,
    1e300,
    null,
  ),
  fc.constantFrom('2026-01-02T03:04:05Z', '2026-02-30T00:00:00Z', '2026-01-02'),
  fc.constantFrom(
    'x'.repeat(2000),
    'x'.repeat(2001),
    '\u{1f600}'.repeat(2000),
    '\u{1f600}'.repeat(2001),
    '\ud800',
  ),
);

test.each(ENTRIES)(
  '%s: a document that was changed anywhere fits exactly when a validator says so',
  (entry) => {
    const ajv = new Ajv2020({ strict: false });
    ajv.addFormat('date-time', { type: 'string', validate: (text) => trimmedTime(text) !== undefined });
    const validate = ajv.compile(SCHEMAS[entry]);
    const check = compile(SCHEMAS[entry]);
    const [line = ''] = (filesIn(referencePack()).get(entry) ?? '').split('\n');
    expect([check(JSON.parse(line)), validate(JSON.parse(line))]).toEqual([undefined, true]);
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 3 }), fc.nat(5), ODD, (way, act, value) => {
        const root = { document: JSON.parse(line) };
        let at: Any = root;
        let key = 'document';
        for (const turn of way) {
          const inner = at[key];
          if (typeof inner !== 'object' || inner === null) break;
          const keys = Object.keys(inner);
          if (keys.length === 0) break;
          at = inner;
          key = keys[turn % keys.length] ?? '';
        }
        if (act === 0) delete at[key];
        else if (act === 1 && at !== root) at.note = value;
        else at[key] = value;
        const isValid = validate(root.document ?? null);
        expect(check(root.document ?? null) === undefined, JSON.stringify(root.document)).toBe(isValid);
      }),
      { numRuns: 400, seed: 11 },
    );
  },
);

test('a problem says where it is', () => {
  const check = compile(SCHEMAS['manifest.json']);
  const manifest = JSON.parse(filesIn(referencePack()).get('manifest.json') ?? '');
  manifest.files[1].sha256 = 'x';
  expect(check(manifest)).toEqual({
    field: '/files/1/sha256',
    problem: expect.stringContaining('must match'),
  });
  manifest['a/b~c'] = 1;
  delete manifest.files;
  expect(check(manifest)).toEqual({ field: '/files', problem: 'is missing' });
});
