// Plans and arguments by fixed rules (contract arp §7.3): schema-valid, and equal for equal sources.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Fields } from '../../../src/doors/arp/composite/assignment.ts';
import { fill, type Sources } from '../../../src/doors/arp/composite/fill.ts';
import { inputSchemaOf } from '../../../src/doors/arp/composite/input-schema.ts';
import { stepsIn } from '../../../src/doors/arp/composite/split.ts';
import { deterministicStrategy } from '../../../src/doors/arp/composite/strategy.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import { Scene } from './composite-support.ts';
import { fitting } from './documents.ts';

describe('steps in the words of a goal', () => {
  test.each<[string, readonly string[]]>([
    ['Do it', ['Do it']],
    ['Fetch the page, then hash it. Echo the hash!', ['Fetch the page', 'hash it', 'Echo the hash!']],
    ['First fetch a; next, fetch b\nand finally echo both', ['fetch a', 'fetch b', 'echo both']],
    ['1. one thing\n2) another, then more', ['one thing', 'another, then more']],
    ['Please:\n- a b\n* c d\n• e f', ['a b', 'c d', 'e f']],
    ['Echo "a, then b; c. D" and then hash it', ['Echo "a, then b; c. D"', 'hash it']],
    ["Don't stop. It's fine", ["Don't stop", "It's fine"]],
    ['Echo  "a  b" ,\tthen  echo "\t"', ['Echo "a  b"', 'echo "\t"']],
    ['Use v1.2.3 of http://a.b/c?d=e;f=g', ['Use v1.2.3 of http://a.b/c?d=e', 'f=g']],
    ['Strengthen the authentication', ['Strengthen the authentication']],
    ['; . then', ['; . then']],
    ['Das erste. Émile danach', ['Das erste', 'Émile danach']],
  ])('%j', (goal, steps) => {
    expect(stepsIn(goal)).toEqual(steps);
  });
});

const object = (properties: Fields, more: Fields = {}): Fields => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties),
  properties,
  ...more,
});
const typed = (input_schema: Fields): NodeType => ({
  node_type_id: 'mine',
  version: '1',
  kind: 'atomic',
  input_schema,
});
const from = (sources: Partial<Sources>): Sources => ({
  goal: 'a goal',
  context: {},
  earlier: [],
  nodeTypeId: 'mine',
  given: {},
  ...sources,
});
const after = (outputs: Fields, action = 'other') => ({ earlier: [{ action, outputs }] });

async function filled(schema: Fields, sources: Partial<Sources>): Promise<Fields> {
  return fill(await inputSchemaOf(typed(schema)), from(sources));
}

const TEXT = { type: 'string' };
const WHOLE = { type: 'integer' };
const maybe = (schema: Fields): Fields => ({ anyOf: [schema, { type: 'null' }] });

describe('arguments', () => {
  test.each<[string, Fields, Partial<Sources>, Fields]>([
    [
      'what is given wins',
      object({ text: TEXT }),
      { given: { text: 'x' }, context: { text: 'y' } },
      { text: 'x' },
    ],
    [
      'by name in the goal',
      object({ max_bytes: WHOLE, to: TEXT }),
      { goal: "Max bytes: 20, to='Ann B.'" },
      { max_bytes: 20, to: 'Ann B.' },
    ],
    [
      'by name in the context',
      object({ userName: TEXT, n: WHOLE }),
      { context: { user_name: 'a', n: '7' } },
      { userName: 'a', n: 7 },
    ],
    [
      'by name in outputs',
      object({ text: TEXT, at: TEXT }),
      after({ text: 't', at: 'x' }),
      { text: 't', at: 'x' },
    ],
    [
      'context before outputs',
      object({ a: TEXT, b: TEXT }),
      { context: { a: 'c' }, ...after({ a: 'o', b: 'o' }) },
      { a: 'c', b: 'o' },
    ],
    [
      'a number for a text, a text for a number',
      object({ a: TEXT, b: WHOLE }),
      { context: { a: 5, b: '6' } },
      { a: '5', b: 6 },
    ],
    [
      'a value that does not fit is passed over',
      object({ a: { ...WHOLE, maximum: 3 } }),
      { goal: 'take 2', context: { a: 9 } },
      { a: 2 },
    ],
    [
      'a goal is the goal',
      object({ prompt: TEXT, other: maybe(TEXT) }),
      {},
      { prompt: 'a goal', other: null },
    ],
    ['URLs', object({ url: TEXT }), { goal: 'Get (https://a.b/c?d=1).' }, { url: 'https://a.b/c?d=1' }],
    [
      'URLs by format, in order',
      object({ one: { ...TEXT, format: 'uri' }, two_url: TEXT }),
      { goal: 'http://a http://b' },
      { one: 'http://a', two_url: 'http://b' },
    ],
    [
      'quotes, in order',
      object({ find: TEXT, replace: TEXT }),
      { goal: "Replace \"it's\" by 'x'" },
      { find: "it's", replace: 'x' },
    ],
    [
      'numbers, in order',
      object({ low: WHOLE, high: { type: 'number' } }),
      { goal: 'from 2 to 3.5 of v1.2' },
      { low: 2, high: 3.5 },
    ],
    ['words of an enum', object({ how: { enum: ['slow', 'fast'] } }), { goal: 'go fast' }, { how: 'fast' }],
    ['truths', object({ deep: { type: 'boolean' } }), { goal: 'deep: yes' }, { deep: true }],
    [
      'a default, a constant',
      object({ a: { ...WHOLE, default: 3 }, b: { const: 'c' } }),
      {},
      { a: 3, b: 'c' },
    ],
    [
      'nullable: null',
      object({ a: maybe(TEXT), b: { type: ['integer', 'null'] } }),
      { goal: 'take 5' },
      { a: null, b: null },
    ],
    ['the only one is not left null', object({ a: { type: ['string', 'null'] } }), {}, { a: 'a goal' }],
    ['not required, nothing known', object({ a: { type: 'array' } }, { required: [] }), {}, {}],
    [
      'it: what the step before gave',
      object({ text: TEXT, n: maybe(WHOLE) }),
      { goal: 'hash it', ...after({ said: 's', n: 1 }) },
      { text: 's', n: 1 },
    ],
    [
      'two of them would be a guess',
      object({ text: TEXT, n: maybe(WHOLE) }),
      { goal: 'hash it', ...after({ a: 's', b: 't' }) },
      { text: 'hash it', n: null },
    ],
    [
      'the same type gives the same names',
      object({ text: TEXT }),
      { goal: 'say b', ...after({ text: 'a' }, 'mine') },
      { text: 'say b' },
    ],
    [
      'objects below',
      object({ at: object({ x: WHOLE, y: WHOLE }) }),
      { goal: 'go to x=1 y=2' },
      { at: { x: 1, y: 2 } },
    ],
    [
      'references',
      object({ a: { $ref: '#/$defs/n' } }, { $defs: { n: maybe(WHOLE) } }),
      { context: { a: 4 } },
      { a: 4 },
    ],
    [
      'odd names',
      object({ ['a/b~c']: WHOLE, ['x.y']: maybe(TEXT) }),
      { context: { 'a/b~c': 1 } },
      { 'a/b~c': 1, 'x.y': null },
    ],
    ['given beyond the schema', { type: 'object' }, { given: { any: 1 } }, { any: 1 }],
  ])('%s', async (_, schema, sources, expected) => {
    expect(await filled(schema, sources)).toEqual(expected);
  });

  test('a type that asks for many is filled like one that asks for few', async () => {
    const names = Array.from({ length: 30 }, (_, at) => `n${at}`);
    const schema = object(Object.fromEntries(names.map((name) => [name, { ...WHOLE, maximum: 9 }])));
    const context = Object.fromEntries(names.map((name) => [name, 10]));
    const found = await filled(schema, {
      context,
      ...after(Object.fromEntries(names.map((name) => [name, 5]))),
    });
    expect(Object.values(found)).toEqual(names.map(() => 5));
  });

  test('words are no URL', async () => {
    const url = object({ url: TEXT });
    expect(await filled(url, { goal: 'fetch the page' })).toEqual({});
    expect(await filled(url, { goal: 'fetch it', ...after({ found: 'http://a/b' }) })).toEqual({
      url: 'http://a/b',
    });
  });

  test('a schema of draft 7 is read as such', async () => {
    const $schema = 'http://json-schema.org/draft-07/schema#';
    expect(await filled(object({ a: WHOLE }, { $schema, $id: 'same' }), { goal: 'take 2' })).toEqual({
      a: 2,
    });
    expect(await filled(object({ b: WHOLE }, { $schema, $id: 'same' }), { goal: 'take 2' })).toEqual({
      b: 2,
    });
  });

  test('names of objects are no trap', async () => {
    const properties = JSON.parse(
      '{"__proto__":{"type":["string","null"]},"constructor":{"type":["object","null"]}}',
    );
    const found = await filled(object(properties), {});
    expect(Object.keys(found)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
  });
});

test.each([' ', '\n', '.', '“', "'", '"', 'then ', 'http://', '1', '- \n', 'text ', 'text: .', '; '])(
  'a text of many %j takes no time that matters',
  async (piece) => {
    const goal = `do x${piece.repeat(200_000)}x`;
    expect(stepsIn(goal).length).toBeGreaterThan(0);
    await filled(object({ text: TEXT, url: maybe(TEXT), n: maybe(WHOLE) }), { goal });
  },
);

const NAME = fc.constantFrom('text', 'url', 'count', 'goal', 'how', 'deep', 'at', 'max_bytes');
const LEAF = fc.constantFrom<Fields>(
  TEXT,
  WHOLE,
  { type: 'number', minimum: 2 },
  { type: 'boolean' },
  { enum: ['fast', 'slow'] },
  maybe(TEXT),
  { type: ['integer', 'null'] },
  { type: 'array', items: TEXT },
  { ...TEXT, minLength: 3, pattern: '^[a-z ]+$' },
);
const SCHEMA = fc
  .dictionary(
    NAME,
    fc.oneof(
      LEAF,
      fc.dictionary(NAME, LEAF, { maxKeys: 2 }).map((below) => object(below)),
    ),
    { maxKeys: 4 },
  )
  .map((properties) => object(properties));
const GOAL = fc
  .array(
    fc.constantFrom(
      'hash',
      'it',
      "'quoted text'",
      'http://a.b/c',
      '7',
      'then',
      'fast.',
      'Text: abc',
      'deep=true',
      '\n- ',
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((words) => words.join(' '));
const VALUES = fc.dictionary(NAME, fc.jsonValue({ maxDepth: 1 }), { maxKeys: 4 });

test('G42 whatever the schema: arguments fit it, or say what does not; equal sources give equal ones', async () => {
  await fc.assert(
    fc.asyncProperty(SCHEMA, GOAL, VALUES, VALUES, async (schema, goal, context, outputs) => {
      const nodeType = typed(schema);
      const find = async (): Promise<unknown> => {
        const inputs = await inputSchemaOf(structuredClone(nodeType));
        const sources = structuredClone(from({ goal, context, ...after(outputs) }));
        const request = { nodeType, inputs, sources, rootGoal: goal, priorSteps: [] };
        const never = new AbortController().signal;
        try {
          const found = await deterministicStrategy.arguments(request, never);
          expect(inputs.misfits(found)).toEqual([]);
          return found;
        } catch (error) {
          if (!(error instanceof ArpError)) throw error;
          expect(error.wireCode).toBe('arggen_validation_failed');
          return error.details;
        }
      };
      expect(await find()).toEqual(await find());
    }),
    { numRuns: 300 },
  );
});

test('what a nullable or unused property leaves open never keeps arguments from fitting', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        NAME.filter((name) => name !== 'url'),
        fc.constantFrom(TEXT, maybe(WHOLE), maybe(TEXT)),
        { maxKeys: 5 },
      ),
      GOAL,
      async (properties, goal) => {
        const inputs = await inputSchemaOf(typed(object(properties)));
        expect(inputs.misfits(fill(inputs, from({ goal })))).toEqual([]);
      },
    ),
    { numRuns: 200 },
  );
});

test('G42 equal inputs give equal plans, bindings, arguments and keys', async () => {
  const steps = fc.array(
    fc.constantFrom('Echo "a"', 'then hash it by sha256', 'echo x;', 'Sleep 3 seconds.', 'uuid4'),
    {
      minLength: 1,
      maxLength: 6,
    },
  );
  const context = fitting({
    type: 'object',
    properties: { echo: { type: 'string' }, text: { type: 'string' } },
    additionalProperties: false,
  });
  await fc.assert(
    fc.asyncProperty(steps, context, async (words, known) => {
      const inputs = { goal: words.join(' '), context: known };
      const [one, other] = [new Scene(), new Scene()];
      await one.drive(inputs);
      await other.drive(structuredClone(inputs));
      expect(other.coordinator.specs).toEqual(one.coordinator.specs);
      expect(other.coordinator.completions).toEqual(one.coordinator.completions);
    }),
    { numRuns: 60 },
  );
});
