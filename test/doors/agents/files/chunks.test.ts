// Uploads in chunks, which go on after a crash of either side (contract agents §2.2; J14, J19).
import { randomBytes } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { test } from './fixtures.ts';
import { DAY_MS, FilesRig, sha256 } from './rig.ts';

const KEY = 'AKIAABCDEFGHIJKLMNOP';
const PATH = 'artifacts/large.bin';

test('J14 chunks in order make one file, and each may be sent again', async ({ rig }) => {
  const whole = randomBytes(300_001);
  const first = await rig.chunk(PATH, whole, 0, 99_999);
  expect([first.status, first.headers.get('upload-offset')]).toEqual([204, '100000']);
  expect((await rig.get(`/runs/r1/files/${PATH}`)).status).toBe(404);
  const again = await rig.chunk(PATH, whole, 0, 99_999);
  expect([again.status, again.headers.get('upload-offset')]).toEqual([204, '100000']);
  const asked = await rig.put(PATH, '', { headers: { 'content-range': `bytes */${whole.length}` } });
  expect([asked.status, asked.headers.get('upload-offset')]).toEqual([204, '100000']);
  const gap = await rig.chunk(PATH, whole, 200_000, 300_000);
  expect([gap.status, gap.code, JSON.parse(gap.text).error.details]).toEqual([
    409,
    'chunk_out_of_order',
    { expected: 100_000, from: 200_000 },
  ]);
  expect((await rig.chunk(PATH, whole, 100_000, 199_999)).status).toBe(204);
  expect((await rig.chunk(PATH, whole, 200_000, 300_000)).status).toBe(201);
  expect((await rig.chunk(PATH, whole, 200_000, 300_000)).status).toBe(204);
  expect(Buffer.compare((await rig.get(`/runs/r1/files/${PATH}`)).bytes, whole)).toBe(0);
  expect(await rig.names()).toEqual([sha256(whole)]);
  expect(rig.audit).toHaveLength(1);
});

test('J14 bytes that do not fit the range, or the digest in the end, are refused, and the upload begins anew', async ({
  rig,
}) => {
  const whole = randomBytes(1000);
  for (const range of ['bytes 0-9/1000', 'bytes 0-999/1000']) {
    const answer = await rig.put(PATH, whole.subarray(0, 11), { headers: { 'content-range': range } });
    expect([range, answer.status]).toEqual([range, range.startsWith('bytes 0-9/') ? 413 : 422]);
  }
  for (const range of [
    'bytes 5-4/1000',
    'bytes 0-1000/1000',
    'bytes 0-9',
    'bytes 0-9/*',
    'items 0-9/10',
    'bytes -5/10',
  ]) {
    const answer = await rig.put(PATH, 'x', { headers: { 'content-range': range } });
    expect([range, answer.code]).toEqual([range, 'invalid_field']);
  }
  const digest = { headers: { digest: `sha-256=${sha256('something else')}` } };
  expect((await rig.chunk(PATH, whole, 0, 499, digest)).status).toBe(204);
  expect((await rig.chunk(PATH, whole, 500, 999, digest)).code).toBe('digest_mismatch');
  expect(await rig.names()).toEqual([]);
  const late = await rig.chunk(PATH, whole, 500, 999);
  expect([late.code, JSON.parse(late.text).error.details.expected]).toEqual(['chunk_out_of_order', 0]);
  expect((await rig.chunk(PATH, whole, 0, 499)).status).toBe(204);
  expect((await rig.chunk(PATH, whole, 500, 999)).status).toBe(201);
});

test('J11 the next attempt begins its own upload where a lost one left half of it', async ({ rig }) => {
  const [lost, won] = [randomBytes(1000), randomBytes(1000)];
  expect((await rig.chunk(PATH, lost, 0, 499)).status).toBe(204);
  rig.runs.lend('default', 'r1', 'a2', 'l2');
  expect((await rig.chunk(PATH, lost, 500, 999)).code).toBe('lease_lost');
  const winner = { as: 'agent:default:a2' };
  const headers = { 'x-lease-id': 'l2' };
  expect((await rig.chunk(PATH, won, 0, 499, { ...winner, headers })).status).toBe(204);
  expect((await rig.chunk(PATH, won, 500, 999, { ...winner, headers })).status).toBe(201);
  expect(await rig.names()).toEqual([sha256(won)]);
});

test('J19 a secret across two chunks is replaced, and never lies on disk as it is', async ({ rig }) => {
  const text = Buffer.from(`${'clean '.repeat(5000)}${KEY}${' clean'.repeat(5000)}\n`);
  const cut = text.indexOf(KEY) + 7;
  expect((await rig.chunk('artifacts/output.raw', text, 0, cut - 1)).status).toBe(204);
  expect(await rig.everything()).not.toContain('clean clean');
  expect((await rig.chunk('artifacts/output.raw', text, cut, text.length - 1)).status).toBe(201);
  const { bytes } = await rig.get('/runs/r1/files/artifacts/output.raw');
  expect(bytes.toString()).toBe(text.toString().replace(KEY, '[REDACTED:AWS_KEY]'));
  const { json } = await rig.get('/runs/r1');
  expect(json.files[0].redacted.sent_sha256).toBe(sha256(text));
  expect(await rig.everything()).not.toContain(KEY);
});

test('J14 an upload goes on where it was when the server starts again', async ({ rig }) => {
  const whole = randomBytes(100_000);
  expect((await rig.chunk(PATH, whole, 0, 59_999)).status).toBe(204);
  await rig.stop();
  await rig.start();
  const asked = await rig.put(PATH, '', { headers: { 'content-range': 'bytes */100000' } });
  expect(asked.headers.get('upload-offset')).toBe('60000');
  expect((await rig.chunk(PATH, whole, 60_000, 99_999)).status).toBe(201);
  expect(Buffer.compare((await rig.get(`/runs/r1/files/${PATH}`)).bytes, whole)).toBe(0);
});

test('uploads that are given up go after the grace period, with their chunks; one that goes on stays', async ({
  rig,
}) => {
  const whole = randomBytes(1000);
  rig.clock.jump(Date.now() - rig.clock.nowMs()); // files have times of the real clock
  await rig.chunk('artifacts/given-up', whole, 0, 499);
  rig.clock.jump(DAY_MS);
  await rig.chunk('artifacts/goes-on', whole, 0, 499);
  expect(await rig.part.removeOrphans()).toBe(0);
  rig.clock.jump(1.5 * DAY_MS);
  expect(await rig.part.removeOrphans()).toBeGreaterThan(0);
  expect(await rig.names()).toHaveLength(1);
  expect((await rig.chunk('artifacts/goes-on', whole, 500, 999)).status).toBe(201);
  expect((await rig.chunk('artifacts/given-up', whole, 500, 999)).code).toBe('chunk_out_of_order');
});

const PROCESS = fileURLToPath(new URL('process.ts', import.meta.url));

async function serve(dir: string, children: ChildProcess[]): Promise<string> {
  const child = spawn(process.execPath, [PROCESS, dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [address] = (await once(createInterface(child.stdout), 'line')) as [string];
  return address;
}

test('J14 after kill -9 between chunks, and in the middle of one, the upload goes on and ends right', async ({
  dir,
}) => {
  const whole = randomBytes(3_000_000);
  const children: ChildProcess[] = [];
  const headers = {
    authorization: 'Bearer agent:default:a1',
    'x-lease-id': 'l1',
    digest: `sha-256=${sha256(whole)}`,
  };
  const send = (
    address: string,
    from: number,
    to: number,
    body: Uint8Array<ArrayBuffer> | ReadableStream,
  ): Promise<Response> =>
    fetch(`http://${address}/runs/r1/files/${PATH}`, {
      method: 'PUT',
      headers: { ...headers, 'content-range': `bytes ${from}-${to}/${whole.length}` },
      body,
      duplex: 'half',
    });
  try {
    const first = await serve(dir, children);
    expect((await send(first, 0, 999_999, whole.subarray(0, 1_000_000))).status).toBe(204);
    // The second chunk never ends: the server is killed while it arrives.
    const arriving = Promise.withResolvers<void>();
    const endless = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(100_000));
        arriving.resolve();
        return new Promise(() => undefined);
      },
    });
    const broken = send(first, 1_000_000, 1_999_999, endless).catch(() => undefined);
    await arriving.promise;
    children[0]?.kill('SIGKILL');
    await broken;
    const second = await serve(dir, children);
    const asked = await fetch(`http://${second}/runs/r1/files/${PATH}`, {
      method: 'PUT',
      headers: { ...headers, 'content-range': `bytes */${whole.length}` },
    });
    expect(asked.headers.get('upload-offset')).toBe('1000000');
    expect((await send(second, 1_000_000, 1_999_999, whole.subarray(1_000_000, 2_000_000))).status).toBe(204);
    children[1]?.kill('SIGKILL');
    await once(children[1] as ChildProcess, 'exit');
    const third = await serve(dir, children);
    expect((await send(third, 2_000_000, 2_999_999, whole.subarray(2_000_000))).status).toBe(201);
    const got = await fetch(`http://${third}/runs/r1/files/${PATH}`, {
      headers: { authorization: 'Bearer operator:default:o' },
    });
    expect(sha256(new Uint8Array(await got.arrayBuffer()))).toBe(sha256(whole));
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
});

test('a crash right after the last chunk leaves an upload that the next request ends', async ({ dir }) => {
  const whole = randomBytes(1000);
  const rig = await FilesRig.open(dir);
  rig.runs.lend('default', 'r1', 'a1', 'l1');
  const { blobs } = rig;
  expect((await rig.chunk(PATH, whole, 0, 499)).status).toBe(204);
  // Putting the parts together fails, as it would for a process that is killed there.
  const read = blobs.read.bind(blobs);
  blobs.read = () => {
    throw new Error('killed');
  };
  expect((await rig.chunk(PATH, whole, 500, 999)).status).toBe(500);
  await rig.stop();
  blobs.read = read;
  await rig.start();
  expect((await rig.chunk(PATH, whole, 500, 999)).status).toBe(201);
  expect(await rig.names()).toEqual([sha256(whole)]);
  await rig.stop();
});
