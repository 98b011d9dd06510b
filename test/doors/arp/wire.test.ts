// The data types of ARP: what they take, what they refuse, and that they are the standard's.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { trimmedTime } from '../../../src/evidence/time.ts';
import { namespacedOnly } from '../../../src/doors/arp/wire/common.ts';
import { cursorPlace, cursorText } from '../../../src/doors/arp/wire/cursor.ts';
import { WIRE_SCHEMAS } from '../../../src/doors/arp/wire/names.ts';
import { INTERNAL_COMPOSITE_BEGIN_REQUEST } from '../../../src/doors/arp/wire/requests.ts';
import { INTERNAL_NODE_RUN, INTERNAL_RUN } from '../../../src/doors/arp/wire/runs.ts';
import { TIME, URI } from '../../../src/doors/wire-schema.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { fitting, spoiled } from './documents.ts';
import { hasNull } from './support.ts';

/** The standard's own schemas, where somebody has them. */
const STANDARD = process.env['ARP_SCHEMAS'] ?? '';

const fits = async (schema: object, value: unknown): Promise<boolean> =>
  (await fieldErrors(schema, value)).length === 0;

describe.each(Object.entries(WIRE_SCHEMAS))('%s', (_name, schema) => {
  test('takes what fits, also after a round trip', async () => {
    await fc.assert(
      fc.asyncProperty(fitting(schema), async (document) => {
        expect(await fieldErrors(schema, JSON.parse(JSON.stringify(document)))).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});

test('is, type by type, what the standard says', async ({ skip }) => {
  if (!existsSync(STANDARD))
    skip('set ARP_SCHEMAS to the folder of the standard schemas to compare with them');
  const ajv = new Ajv2020({ allErrors: true });
  ajv.addFormat('date-time', (text: string) => trimmedTime(text) !== undefined);
  ajv.addFormat('uri', isUri);
  const files = readdirSync(STANDARD, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.json'),
  );
  const titles = new Map<string, string>();
  for (const file of files) {
    const schema: { title: string } = JSON.parse(readFileSync(join(STANDARD, file), 'utf8'));
    ajv.addSchema(schema, `http://standard/${file}`);
    titles.set(schema.title, `http://standard/${file}`);
  }
  expect([...titles.keys()].toSorted()).toEqual(Object.keys(WIRE_SCHEMAS).toSorted());
  let refused = 0;
  for (const [title, schema] of Object.entries(WIRE_SCHEMAS)) {
    const standard = ajv.getSchema(titles.get(title) ?? '')!;
    const documents = fitting(schema).chain((document) => fc.oneof(fc.constant(document), spoiled(document)));
    await fc.assert(
      fc.asyncProperty(documents, async (document) => {
        const said = await fits(schema, document);
        if (!said) refused += 1;
        if (said !== standard(document))
          throw new Error(`${title}: ${JSON.stringify(document)} fits only ${said ? 'here' : 'there'}`);
      }),
      { numRuns: 150 },
    );
  }
  expect(refused).toBeGreaterThan(500); // or the documents show nothing
});

/** Formats are ours in both, so that only the schemas are compared. */
function isUri(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[0-9a-f]{2})*$/i.test(text);
}

test('D2 the six bare keys pass between services of the stack, and nowhere else', async () => {
  const run = { run_id: 'r', state: 'running', root_node_run_id: 'n' };
  const node = {
    node_run_id: 'n',
    run_id: 'r',
    node_type_ref: { node_type_id: 't', version: '1' },
    state: 'queued',
  };
  const begin = { ...node, inputs: {}, coordinator_endpoint: 'http://127.0.0.1:8081', state: undefined };
  const { state: _, ...beginRequest } = begin;
  const bare = {
    constraints: {},
    decomposition_rounds: 1,
    completion_error: {},
    candidate_set_id: 'c',
    binding_decision: {},
    idempotency_key: 'k',
  };
  const pairs = [
    [INTERNAL_RUN, WIRE_SCHEMAS.Run, run],
    [INTERNAL_NODE_RUN, WIRE_SCHEMAS.NodeRun, node],
    [INTERNAL_COMPOSITE_BEGIN_REQUEST, WIRE_SCHEMAS.CompositeBeginRequest, beginRequest],
  ] as const;
  for (const [internal, standard, document] of pairs) {
    const extensions = { ...bare, 'org.key': null };
    expect(await fieldErrors(internal, { ...document, extensions })).toEqual([]);
    expect(await fits(internal, { ...document, extensions: { other: 1 } })).toBe(false);
    expect(await fits(standard, { ...document, extensions })).toBe(false);
    expect(await fits(standard, { ...document, extensions: namespacedOnly(extensions) })).toBe(true);
  }
  expect(namespacedOnly({ ...bare, 'org.key': 1 })).toEqual({ 'org.key': 1 });
});

test('D3 refuses null wherever a field could just be absent', async () => {
  for (const [name, schema] of Object.entries(WIRE_SCHEMAS)) {
    if (!('properties' in schema)) continue;
    const [document = {}] = fc.sample(fitting({ ...schema, properties: {}, required: [] }), 1);
    for (const key of Object.keys(schema.properties)) {
      const errors = await fieldErrors(schema, { ...(document as object), [key]: null });
      expect(
        errors.some(({ loc }) => loc.at(-1) === key),
        `${name}.${key}`,
      ).toBe(true);
    }
  }
  expect(hasNull({ a: [{ b: null }] })).toBe(true);
});

test.each([
  ['2026-01-02T03:04:05Z', true],
  ['2026-01-02t03:04:05.1+05:30', true],
  ['2026-02-30T00:00:00Z', false],
  ['2026-01-02 03:04:05Z', false],
  ['2026-01-02T03:04:05', false],
])('takes %s for a time: %s', async (text, expected) => {
  expect(await fits(TIME, text)).toBe(expected);
});

test.each([
  ['http://127.0.0.1:43120', true],
  ['unix:///run/x.sock', true],
  ['urn:isbn:1', true],
  ['127.0.0.1:8080', false],
  ['/v1/runs', false],
  ['http://a b', false],
  ['http://ü', false],
  ['http://a/%2', false],
])('takes %s for a URI: %s', async (text, expected) => {
  expect(await fits(URI, text)).toBe(expected);
});

test('cursors are padded base64 of a number, and nothing else is one', () => {
  expect(cursorText(1)).toBe('MQ==');
  fc.assert(
    fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (place) => {
      expect(cursorPlace(cursorText(place), 'cursor')).toBe(place);
      expect(cursorPlace(cursorText(place).replaceAll('=', ''), 'cursor')).toBe(place);
    }),
  );
  for (const text of ['', 'MQ===', 'M Q==', 'LTE=', 'MDE=', 'eA==', 'MS41', '!!', 'MQ==MQ=='])
    expect(() => cursorPlace(text, 'cursor'), text).toThrow(/validation/);
});
