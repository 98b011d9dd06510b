// The policy language of ARP (contract arp §6): reading, matching, looking up, deciding, hashing.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PolicyRequest, Verdict } from '../../src/policy/arp-policy/engine.ts';
import { statementEngine } from '../../src/policy/arp-policy/evaluate.ts';
import { glob } from '../../src/policy/arp-policy/glob.ts';
import { policyHash } from '../../src/policy/arp-policy/hash.ts';
import { lookUp } from '../../src/policy/arp-policy/lookup.ts';

describe('globs', () => {
  test.each([
    ['node_type:*', 'node_type:a/b:c', true],
    ['*', '', true],
    ['run.start', 'run.start', true],
    ['run.start', 'Run.start', false],
    ['run.?tart', 'run.start', true],
    ['run.star', 'run.start', false],
    ['run.starts', 'run.start', false],
    ['a.b', 'axb', false],
    ['[abc]x', 'bx', true],
    ['[!abc]x', 'bx', false],
    ['[!abc]x', 'dx', true],
    ['[a-c]x', 'bx', true],
    ['[]]x', ']x', true],
    ['[!]]x', ']x', false],
    ['[abc', '[abc', true],
    ['?', '😀', true],
    ['a\nb*', 'a\nbc', true],
    ['(x|y)+', '(x|y)+', true],
    ['**a**', 'xay', true],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(glob(pattern)(text)).toBe(expected);
  });

  test('fit as the regular expression does that they stand for', () => {
    const char = fc.constantFrom('a', 'b', ':', '*', '?');
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 8 });
    fc.assert(
      fc.property(fc.string({ unit: char, maxLength: 6 }), text, (pattern, given) => {
        const source = pattern.replaceAll('*', '[^]*').replaceAll('?', '[^]');
        expect(glob(pattern)(given)).toBe(new RegExp(`^${source}$`).test(given));
      }),
      { numRuns: 2000 },
    );
  });

  test('come to an end for a nasty pattern, for which a backtracking one would take centuries', () => {
    expect(glob(`${'*a'.repeat(50)}b`)('a'.repeat(20_000))).toBe(false);
  });
});

describe('looking up a key', () => {
  test.each<[string, object, string, unknown]>([
    ['literal first', { 'a.b': 1, a: { b: 2 } }, 'a.b', 1],
    ['then by descent', { a: { b: { c: 3 } } }, 'a.b.c', 3],
    ['then by the longest prefix that is a key', { 'a.b': { c: 1 }, a: { x: 1 } }, 'a.b.c', 1],
    ['longest wins', { 'a.b.c': { d: 1 }, 'a.b': { 'c.d': 2 } }, 'a.b.c.d', 1],
    [
      'H28 metadata with dots below a level',
      { node_type: { jarvis: { 'a.b': 'x' } } },
      'node_type.jarvis.a.b',
      'x',
    ],
    ['H28 deeper still', { a: { 'b.c': { 'd.e': 1 } } }, 'a.b.c.d.e', 1],
    ['missing', { a: { b: 1 } }, 'a.c', undefined],
    ['not into lists', { a: [1] }, 'a.0', undefined],
    ['not into texts', { a: 'text' }, 'a.length', undefined],
    ['nothing inherited', {}, 'constructor.name', undefined],
    ['null is there', { a: null }, 'a', null],
  ])('%s', (_name, context, key, expected) => {
    expect(lookUp(context as Record<string, unknown>, key)).toEqual(expected);
  });
});

const REQUEST: PolicyRequest = {
  action: 'run.start',
  resource: 'node_type:a',
  context: { n: 7, flag: true, gone: null, tags: ['x', null, 'y'], object: { k: 'v' }, objects: [{}] },
};

function decide(statements: unknown, request: Partial<PolicyRequest> = {}): Verdict {
  return statementEngine(JSON.stringify({ Statement: statements })).decide({ ...REQUEST, ...request });
}
const allow = (more: object = {}) => ({ Sid: 'yes', Effect: 'Allow', Action: '*', Resource: '*', ...more });
const deny = (more: object = {}) => ({ Sid: 'no', Effect: ' DENY ', Action: '*', Resource: '*', ...more });

describe('deciding', () => {
  test('G39 denies by default', () => {
    expect(decide([])).toEqual({ decision: 'deny', reason: 'default_deny', statements: [] });
    expect(decide(allow({ Action: 'node.run.execute' })).reason).toBe('default_deny');
    expect(decide(allow({ Resource: 'run:*' })).reason).toBe('default_deny');
  });

  test('G39 allows by the first statement that applies, and names it', () => {
    expect(decide([allow({ Action: 'x' }), allow({ Sid: 'second' }), allow({ Sid: 'third' })])).toEqual({
      decision: 'allow',
      reason: 'explicit_allow',
      message: 'second',
      statements: [2],
    });
    expect(
      decide({ statement_id: 'other', Effect: 'allow', Action: ['x', 'run.*'], Resource: '*' }).message,
    ).toBe('other');
    expect(decide({ Effect: 'allow', Action: '*', Resource: '*' })).not.toHaveProperty('message');
  });

  test('G39 a deny wins wherever it stands', () => {
    const statements = [allow(), deny(), allow({ Sid: 'late' })];
    for (const order of [statements, statements.toReversed()])
      expect(decide(order)).toMatchObject({
        decision: 'deny',
        reason: 'explicit_deny',
        message: 'no',
        statements: [2],
      });
  });

  test.each<[string, object, boolean]>([
    ['numbers as decimals', { StringEquals: { n: '7' } }, true],
    ['numbers on both sides', { StringEquals: { n: 7 } }, true],
    ['true as a text', { StringEquals: { flag: 'true' } }, true],
    ['any of the expected', { StringEquals: { n: ['6', '7'] } }, true],
    ['any of the actual', { StringEquals: { tags: 'y' } }, true],
    ['none of them', { StringEquals: { tags: 'z' } }, false],
    ['nulls are skipped', { StringEquals: { gone: null } }, false],
    ['nulls are no text', { StringEquals: { tags: 'null' } }, false],
    ['a missing key', { StringLike: { nothing: '*' } }, false],
    ['like', { StringLike: { tags: '[xy]' } }, true],
    ['equals takes no patterns', { StringEquals: { tags: '*' } }, false],
    ['all keys must hold', { StringEquals: { n: '7', flag: 'false' } }, false],
    ['all operators must hold', { StringEquals: { n: '7' }, StringLike: { flag: 't*' } }, true],
    ['one operator does not', { StringEquals: { n: '7' }, StringLike: { flag: 'f*' } }, false],
    ['no condition', {}, true],
    ['an empty list of values', { StringEquals: { n: [] } }, false],
  ])('G39 conditions: %s', (_name, Condition, applies) => {
    expect(decide(allow({ Condition })).decision).toBe(applies ? 'allow' : 'deny');
    expect(decide([allow(), deny({ Condition })]).decision).toBe(applies ? 'deny' : 'allow');
  });

  test.each(['object', 'objects'])('denies as invalid what cannot be compared: %s', (key) => {
    const verdict = decide([allow(), deny({ Condition: { StringEquals: { [key]: 'v' } } })]);
    expect(verdict).toMatchObject({ decision: 'deny', reason: 'invalid_policy' });
    expect(verdict.message).toContain(key);
  });
});

describe('reading', () => {
  test.each<[string, unknown, string]>([
    ['no statement', {}, '/Statement'],
    ['no object', [], ''],
    ['a text as statement', { Statement: ['x'] }, '/Statement/0'],
    ['no effect', { Statement: allow({ Effect: undefined }) }, '/Statement/Effect'],
    ['another effect', { Statement: [allow({ Effect: 'Audit' })] }, '/Statement/0/Effect'],
    ['no action', { Statement: [allow({ Action: undefined })] }, '/Statement/0/Action'],
    ['an empty action', { Statement: [allow({ Action: '' })] }, '/Statement/0/Action'],
    ['no actions', { Statement: [allow({ Action: [] })] }, '/Statement/0/Action'],
    ['a number as resource', { Statement: [allow({ Resource: [1] })] }, '/Statement/0/Resource'],
    ['a field that would be misread', { Statement: [deny({ NotAction: 'x' })] }, '/Statement/0/NotAction'],
    [
      'an unknown operator',
      { Statement: [deny({ Condition: { Bool: { a: 1 } } })] },
      '/Statement/0/Condition/Bool',
    ],
    [
      'an inherited operator',
      { Statement: [deny({ Condition: { toString: {} } })] },
      '/Statement/0/Condition/toString',
    ],
    [
      'an operand that is no object',
      { Statement: [deny({ Condition: { StringEquals: 'a' } })] },
      '/Statement/0/Condition/StringEquals',
    ],
    [
      'an object as value',
      { Statement: [deny({ Condition: { StringEquals: { a: {} } } })] },
      '/Statement/0/Condition/StringEquals/a',
    ],
    [
      'a list in a list',
      { Statement: [deny({ Condition: { StringLike: { a: [['x']] } } })] },
      '/Statement/0/Condition/StringLike/a',
    ],
    ['a condition that is a list', { Statement: [deny({ Condition: [] })] }, '/Statement/0/Condition'],
  ])('refuses %s', (_name, document, field) => {
    expect(() => statementEngine(JSON.stringify(document))).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ field }) }),
    );
  });

  test('refuses what is no JSON', () => {
    expect(() => statementEngine('{')).toThrow(/no JSON/);
  });
});

// Made with another implementation of the same rule: sorted keys, no blanks, non-ASCII escaped.
test.each([
  ['{"Version":"1","Statement":[]}', 'e682aba6b61881de5f4df8e180b8eb08ed7ed1b7b7c59d96db06e7ef268d38c1'],
  [
    '{"b":1,"a":[1.0,1e5,1e16,1e-5,-0.0,0,12345678901234567890,0.1,2.5e-10,123456789012345680.0, -0]}',
    'f42cbb481a0f08fe710ea34a78183bc19d14a2990a095253e0636193c30ebada',
  ],
  [
    '{"\\uffff":1,"\\ud83d\\ude00":2,"é":"ü\\u007f\\n/\\"","\\u0001":null,"t":true}',
    '80ae3c18f5b328442074a9034197b9f061e0f0919de1a71ea1d4a271832175ba',
  ],
])('hashes %s', (text, hash) => {
  expect(policyHash(text)).toBe(hash);
});

test('the hash does not depend on blanks and the order of keys', () => {
  expect(policyHash('{ "a": 1,\n "b": [2, 3] }')).toBe(policyHash('{"b":[2,3],"a":1}'));
  expect(policyHash('{"a":[3,2]}')).not.toBe(policyHash('{"a":[2,3]}'));
});
