import assert from 'node:assert/strict';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { canonicalJson } from '../../src/model/canonical.ts';

describe('I10: canonical JSON', () => {
  test('is what the reference library writes, for any JSON value', () => {
    const indexLike = fc.oneof(fc.nat().map(String), fc.string({ unit: 'binary', maxLength: 4 }));
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.constant(null),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer(),
        fc.string({ unit: 'binary' }),
        fc.constant('\\ud800'),
        fc.constant('\u2028</script>&'),
        fc.array(tie('any'), { maxLength: 5 }),
        fc.dictionary(indexLike, tie('any'), { maxKeys: 6 }),
        fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 3 }), tie('any'), { maxKeys: 6 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (each) => assert.equal(canonicalJson(each), canonicalize(each))),
      { numRuns: 2000 },
    );
  });

  test('sorts keys by UTF-16 units, index-like ones too', () => {
    assert.equal(
      canonicalJson({ b: 1, a: { 9: 1, 10: 2 }, '€': 1, '\u{1f600}': 2 }),
      '{"a":{"10":2,"9":1},"b":1,"€":1,"\u{1f600}":2}',
    );
  });

  test('leaves its argument alone and drops undefined', () => {
    const value = { b: [{ d: 1, c: undefined }], a: 1 };
    assert.equal(canonicalJson(value), '{"a":1,"b":[{"d":1}]}');
    assert.deepEqual(Object.keys(value), ['b', 'a']);
  });

  test('refuses what JSON cannot say', () => {
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '\ud800',
      { a: ['\udc00'] },
      undefined,
      () => 1,
    ]) {
      assert.throws(() => canonicalJson(value));
    }
  });
});
