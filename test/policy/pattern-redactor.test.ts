import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compilePattern, PatternRedactor } from '../../src/policy/redaction/pattern-redactor.ts';

function redacted(patterns: readonly string[], chunks: readonly Buffer[]): Buffer {
  const redactor = new PatternRedactor(patterns.map(compilePattern));
  return Buffer.concat([...chunks.map((chunk) => redactor.push(chunk)), redactor.end()]);
}

test('redaction does not depend on how the stream is cut, and leaves other bytes alone', () => {
  const text = 'key=abc ünï\nplain \u0007\nkey=äöü;key=1\n';
  const bytes = Buffer.concat([Buffer.from(text), Buffer.from([0xff, 0x80, 0x0a]), Buffer.from('key=z')]);
  const whole = redacted(['key=\\p{L}+'], [bytes]);
  expect(whole.toString('latin1')).toContain('\xff\x80\n[REDACTED]');
  expect(whole.toString('utf8')).toContain('[REDACTED] ünï\nplain \u0007\n[REDACTED];key=1\n');
  for (let size = 1; size < 20; size += 1) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    expect(redacted(['key=\\p{L}+'], chunks).equals(whole)).toBe(true);
  }
});

test('a secret in a line of megabytes is found wherever it stands', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 1, max: 70_000 }), (at, size) => {
      const bytes = Buffer.from(`${'é'.repeat(at / 2)}sk-${'s'.repeat(400)} ${'-'.repeat(200_000)}`);
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      const kept = redacted(['sk-s+'], size < 1_000 ? [bytes] : chunks).toString();
      expect(kept).toBe(`${'é'.repeat(at / 2)}[REDACTED] ${'-'.repeat(200_000)}`);
    }),
    { numRuns: 40 },
  );
});

test('a match longer than any piece does not stop the stream', () => {
  const kept = redacted(['x+'], [Buffer.from('x'.repeat(300_000)), Buffer.from(' end')]);
  expect(kept.toString()).toMatch(/^(\[REDACTED\])+ end$/);
});

test('patterns that are none are refused', () => {
  expect(() => compilePattern('(')).toThrow(TypeError);
  expect(compilePattern('a\\-b').test('a-b')).toBe(true);
});
