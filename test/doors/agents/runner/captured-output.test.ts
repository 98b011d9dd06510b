// Output on its way to the file: counted, cut and judged the same whatever the pieces it comes in (J6, J7).
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type ByteFilter,
  type CapturedSummary,
  CapturedOutput,
} from '../../../../src/doors/agents/runner/captured-output.ts';
import { SecretRedactor } from '../../../../src/policy/redaction/secret-redactor.ts';

const AS_IS: ByteFilter = { push: (chunk: Uint8Array) => Buffer.from(chunk), end: () => Buffer.alloc(0) };

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'reeve-capture-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function capture(
  chunks: readonly Uint8Array[],
  cap = 1_000,
  filter = AS_IS,
): Promise<CapturedSummary & { kept: Buffer }> {
  const path = join(dir, 'output.raw');
  await rm(path, { force: true });
  const output = await CapturedOutput.open(path, filter, cap);
  expect(existsSync(path)).toBe(false);
  await output.readAll(Readable.from(chunks.map((chunk) => Buffer.from(chunk))));
  return { ...(await output.finish()), kept: readFileSync(path) };
}

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

test('text is text and the rest is binary, whatever the pieces', async () => {
  const content = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 60 }),
  );
  await fc.assert(
    fc.asyncProperty(content, fc.array(fc.nat()), async (bytes, cuts) => {
      const whole = Buffer.from(bytes);
      const { kept, isBinary, sha256, bytes: count, dropped } = await capture(pieces(whole, cuts));
      expect(kept).toEqual(whole);
      expect([count, dropped]).toEqual([whole.length, 0]);
      const isText = !whole.includes(0) && Buffer.compare(Buffer.from(whole.toString()), whole) === 0;
      expect(isBinary).toBe(!isText);
      expect(sha256).toBe(createHash('sha256').update(whole).digest('hex'));
    }),
    { numRuns: 200 },
  );
});

test('the cap cuts no character in two, and what is behind it is counted', async () => {
  const text = Buffer.from('aüü€€');
  for (let cap = 1; cap < text.length; cap += 1) {
    const { kept, dropped, isBinary } = await capture([text, Buffer.from('more')], cap);
    expect(text.subarray(0, kept.length)).toEqual(kept);
    expect(kept.length).toBeGreaterThan(cap - 3);
    expect(kept.length).toBeLessThanOrEqual(cap);
    expect(kept.length + dropped).toBe(text.length + 4);
    expect(isBinary).toBe(false);
  }
});

test('output of exactly the cap is not truncated', async () => {
  const { dropped, bytes } = await capture([Buffer.from('12345')], 5);
  expect([bytes, dropped]).toEqual([5, 0]);
});

test('J19: a secret that arrives byte by byte does not reach the file', async () => {
  const text = `token=${'hunter2'.repeat(3)} and AKIA${'Q'.repeat(16)}\n`;
  const bytes = [...Buffer.from(text)].map((byte) => Uint8Array.of(byte));
  const { kept } = await capture(bytes, 1_000, new SecretRedactor());
  expect(kept.toString()).toBe('token=[REDACTED:PASSWORD] and [REDACTED:AWS_KEY]\n');
});
