// Bytes of files of runs: ranges, conditions, and how a browser is kept from running them (contract agents §2.2).
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { rangeOf } from '../../../../src/doors/agents/control/files/conditions.ts';
import { test } from './fixtures.ts';
import { sha256 } from './rig.ts';

const TEXT = 'abcdefghijklmnopqrstuvwxyz';
const URL = '/runs/r1/files/logs/step_check.log';
const ETAG = `"${sha256(TEXT)}"`;

test('a file comes with its hash, as an attachment that no browser runs', async ({ rig }) => {
  await rig.put('logs/step_check.log', TEXT);
  for (const method of ['GET', 'HEAD']) {
    const answer = await rig.get(URL, {}, 'default', method);
    expect([answer.status, answer.text]).toEqual([200, method === 'GET' ? TEXT : '']);
    expect(answer.headers).toMatchObject({
      etag: ETAG,
      'content-length': '26',
      'content-type': 'text/plain; charset=utf-8',
      'content-disposition': `attachment; filename="step_check.log"; filename*=UTF-8''step_check.log`,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
      'accept-ranges': 'bytes',
    });
  }
});

test('ranges: first and last bytes, a suffix, beyond the end, and what is no range', async ({ rig }) => {
  await rig.put('logs/step_check.log', TEXT);
  const cases: readonly (readonly [range: string, status: number, body: string])[] = [
    ['bytes=0-0', 206, 'a'],
    ['bytes=25-25', 206, 'z'],
    ['bytes=5-', 206, TEXT.slice(5)],
    ['bytes=-3', 206, 'xyz'],
    ['bytes=-100', 206, TEXT],
    ['bytes=20-100', 206, 'uvwxyz'],
    ['bytes=0-1,5-6', 200, TEXT],
    ['bytes=5-2', 200, TEXT],
    ['items=0-1', 200, TEXT],
    ['bytes=-', 200, TEXT],
  ];
  for (const [range, status, body] of cases) {
    const answer = await rig.get(URL, { range });
    expect([range, answer.status, answer.text]).toEqual([range, status, body]);
    expect(answer.headers['content-length']).toBe(String(body.length));
    if (status === 206) expect(answer.headers['content-range']).toMatch(/^bytes \d+-\d+\/26$/);
  }
  for (const range of ['bytes=26-', 'bytes=100-200', 'bytes=-0']) {
    const answer = await rig.get(URL, { range });
    expect([range, answer.status, answer.headers['content-range'], answer.json.error.code]).toEqual([
      range,
      416,
      'bytes */26',
      'range_not_satisfiable',
    ]);
  }
  expect((await rig.get(URL, { range: 'bytes=0-1' }, 'default', 'HEAD')).headers['content-length']).toBe(
    '26',
  );
});

test('conditions: If-None-Match spares the bytes, If-Range gives a part of exactly this file only', async ({
  rig,
}) => {
  await rig.put('logs/step_check.log', TEXT);
  for (const tag of [ETAG, `"other", W/${ETAG}`, '*']) {
    const answer = await rig.get(URL, { 'if-none-match': tag, range: 'bytes=0-0' });
    expect([answer.status, answer.text, answer.headers['etag']]).toEqual([304, '', ETAG]);
  }
  expect((await rig.get(URL, { 'if-none-match': '"other"' })).status).toBe(200);
  expect((await rig.get(URL, { 'if-range': ETAG, range: 'bytes=0-0' })).status).toBe(206);
  for (const other of ['"other"', `W/${ETAG}`, 'Sun, 01 Mar 2026 00:00:00 GMT'])
    expect((await rig.get(URL, { 'if-range': other, range: 'bytes=0-0' })).text).toBe(TEXT);
});

test('an empty file has no part', async ({ rig }) => {
  await rig.put('artifacts/none', '');
  expect((await rig.get('/runs/r1/files/artifacts/none')).headers['content-length']).toBe('0');
  for (const range of ['bytes=0-', 'bytes=-1', 'bytes=0-0'])
    expect((await rig.get('/runs/r1/files/artifacts/none', { range })).status).toBe(416);
});

test('any range of any file is exactly what a slice is', async ({ rig }) => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) >> 3));
  await rig.put('artifacts/x.bin', bytes);
  const edge = fc.oneof(
    fc.nat(bytes.length + 10),
    fc.constantFrom(0, 65_535, 65_536, bytes.length - 1, bytes.length),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.option(edge, { nil: undefined }),
      fc.option(edge, { nil: undefined }),
      async (first, last) => {
        const range = `bytes=${first ?? ''}-${last ?? ''}`;
        const answer = await rig.get('/runs/r1/files/artifacts/x.bin', { range });
        const isNone = (first === undefined && last === undefined) || (first ?? 0) > (last ?? Infinity);
        if (isNone) {
          expect(answer.status).toBe(200);
          return;
        }
        const from = first ?? Math.max(0, bytes.length - (last ?? 0));
        const part = bytes.subarray(from, first === undefined ? undefined : (last ?? Infinity) + 1);
        expect(answer.status).toBe(part.length === 0 ? 416 : 206);
        if (part.length === 0) return;
        expect(Buffer.compare(answer.bytes, part)).toBe(0);
        expect(answer.headers['content-range']).toBe(
          `bytes ${from}-${from + part.length - 1}/${bytes.length}`,
        );
      },
    ),
    { numRuns: 60 },
  );
});

test('whatever a Range header says, the part lies within the file', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,16}-\d{0,16}$/)),
      fc.nat(),
      (text, size) => {
        const wanted = rangeOf(text, size);
        if (wanted.what !== 'part') return;
        const { from, to } = wanted.range;
        expect(from >= 0 && from <= to && to < size).toBe(true);
      },
    ),
  );
});

test('a file whose bytes are damaged is an error, and never a file', async ({ rig }) => {
  await rig.put('logs/step_check.log', TEXT);
  const path = join(rig.dir, 'files', sha256(TEXT).slice(0, 2), sha256(TEXT));
  await writeFile(path, 'short');
  expect((await rig.get(URL)).status).toBe(500);
  await writeFile(path, TEXT.toUpperCase());
  expect((await rig.get(URL)).status).toBe(500);
  const large = Buffer.alloc(300_000, 'a');
  await rig.put('artifacts/large', large);
  large[7] = 0;
  await writeFile(
    join(
      rig.dir,
      'files',
      sha256(Buffer.alloc(300_000, 'a')).slice(0, 2),
      sha256(Buffer.alloc(300_000, 'a')),
    ),
    large,
  );
  await expect(rig.get('/runs/r1/files/artifacts/large')).rejects.toThrow(/aborted|hang up/);
});

test('J27 only operators of the tenant read files', async ({ rig }) => {
  await rig.put('logs/step_check.log', TEXT);
  expect((await rig.get(URL, {}, 'other')).status).toBe(404);
  expect((await rig.get(URL, { authorization: 'Bearer agent:default:a1' })).status).toBe(403);
  expect((await rig.get(URL, { authorization: 'nothing' })).status).toBe(401);
  expect((await rig.get('/runs/r1/files/artifacts/%2e%2e/x')).status).toBe(422);
});
