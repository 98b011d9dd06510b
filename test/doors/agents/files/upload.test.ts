// Uploads of files of runs (contract agents §2.2; J14, J19, J27).
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';
import { describe, expect } from 'vitest';
import { ask } from '../../../server/client.ts';
import { test } from './fixtures.ts';
import { FilesRig, sha256 } from './rig.ts';

const KEY = 'AKIAABCDEFGHIJKLMNOP';

test('J14 a file is stored once, repeated without harm, and never replaced', async ({ rig }) => {
  expect((await rig.put('artifacts/output.raw', 'hello')).status).toBe(201);
  expect((await rig.put('artifacts/output.raw', 'hello')).status).toBe(204);
  const other = await rig.put('artifacts/output.raw', 'other');
  expect([other.status, other.code]).toEqual([409, 'file_exists']);
  const got = await rig.get('/runs/r1/files/artifacts/output.raw');
  expect([got.status, got.text]).toEqual([200, 'hello']);
  expect(rig.audit).toEqual([
    {
      actor: 'a1',
      tenant: 'default',
      action: 'file.put',
      object: 'run/r1/artifacts/output.raw',
      after: { size: 5, sha256: sha256('hello'), attempt: 1 },
    },
  ]);
  expect(rig.stored).toEqual([{ tenant: 'default', kind: 'raw', size: 5, redactions: {} }]);
});

test('J14 two uploads of one name at once: one wins, the other is told', async ({ rig }) => {
  const answers = await Promise.all(
    ['one', 'two', 'two', 'one'].map((text) => rig.put('artifacts/a.txt', text)),
  );
  const { text } = await rig.get('/runs/r1/files/artifacts/a.txt');
  const [won, lost] =
    text === 'one'
      ? [
          [0, 3],
          [1, 2],
        ]
      : [
          [1, 2],
          [0, 3],
        ];
  expect(new Set(won.map((at) => answers[at]?.status))).toEqual(new Set([201, 204]));
  expect(lost.map((at) => answers[at]?.status)).toEqual([409, 409]);
  expect(await rig.names()).toEqual([sha256(text)]);
});

test('J14 the digest is that of what is sent, in hex or base64; a wrong one stores nothing', async ({
  rig,
}) => {
  const base64 = Buffer.from(sha256('b'), 'hex').toString('base64');
  expect(
    (await rig.put('artifacts/b', 'b', { headers: { digest: `md5=x, SHA-256=${base64}` } })).status,
  ).toBe(201);
  expect(
    (await rig.put('artifacts/c', 'c', { headers: { digest: `sha-256=${sha256('c').toUpperCase()}` } }))
      .status,
  ).toBe(201);
  const wrong = await rig.put('artifacts/d', 'd', { headers: { digest: `sha-256=${sha256('e')}` } });
  expect([wrong.status, wrong.code]).toEqual([422, 'digest_mismatch']);
  for (const digest of [
    '',
    'sha-256=abc',
    'md5=abcd',
    `sha-256=${base64}, sha-256=${base64}`,
    `sha-256=!${base64}`,
  ]) {
    const answer = await rig.put('artifacts/d', 'd', { headers: { digest } });
    expect([digest, answer.status, answer.code]).toEqual([digest, 422, 'invalid_field']);
  }
  expect(await rig.names()).toEqual([sha256('b'), sha256('c')].toSorted());
});

describe('J14 paths that would lead elsewhere are refused, and nothing is stored', () => {
  const tricks: Readonly<Record<string, string>> = {
    'parent folders': 'artifacts/../../x',
    'encoded parent folders': 'artifacts/%2e%2e/%2e%2e/x',
    'encoded slashes': '..%2f..%2fetc%2fpasswd',
    'the folder itself': 'artifacts/./x',
    absolute: '/etc/passwd',
    'encoded absolute': '%2fetc%2fpasswd',
    'empty part': 'artifacts//x',
    'trailing slash': 'artifacts/',
    nothing: '',
    backslash: 'artifacts%5c..%5cx',
    drive: 'c:%5cx',
    NUL: 'artifacts/x%00.txt',
    'new line': 'artifacts/x%0ay',
    'text from right to left': 'artifacts/x%e2%80%aetxt.exe',
    'another normal form': 'artifacts/%41%cc%8a',
    'a temporary name': 'artifacts/.tmp-1234',
    'hidden folder': '.aside/x',
    'dots at the end': 'artifacts/x..',
    'space at the end': 'artifacts/x%20',
    'too long': `artifacts/${'x'.repeat(1100)}`,
    'too long a part': `artifacts/${'x'.repeat(300)}`,
    'too deep': 'a/'.repeat(40) + 'x',
    'attempts without a number': 'attempts/x/y',
    'attempts alone': 'attempts',
    'attempt with nothing': 'attempts/1',
    'a secret': `artifacts/${KEY}.txt`,
  };
  for (const [what, path] of Object.entries(tricks)) {
    test(what, async ({ rig }) => {
      const headers = { 'x-lease-id': 'l1', digest: `sha-256=${sha256('x')}` };
      const answer = await ask(rig.address, 'PUT', `/runs/r1/files/${path}`, {
        token: 'agent:default:a1',
        raw: 'x',
        headers,
      });
      expect([answer.status, answer.json.error.code]).toEqual([422, 'invalid_field']);
      expect(answer.text).not.toContain(KEY);
      expect(await rig.names()).toEqual([]);
    });
  }

  test('and names of other languages are taken', async ({ rig }) => {
    const answer = await rig.put(encodeURI('artifacts/größe 漢字 100%.txt'), 'x');
    expect(answer.status).toBe(201);
    const { json } = await rig.get('/runs/r1');
    expect(json.files[0].path).toBe('artifacts/größe 漢字 100%.txt');
    const got = await rig.get(`/runs/r1/files/${encodeURI('artifacts/größe 漢字 100%.txt')}`);
    expect([got.status, got.headers['content-disposition']]).toEqual([
      200,
      `attachment; filename="gr__e __ 100_.txt"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%E6%BC%A2%E5%AD%97%20100%25.txt`,
    ]);
  });
});

test('J14 more bytes than a file or a run may have: 413, told before they are sent where they are announced', async ({
  dir,
}) => {
  const rig = await FilesRig.open(dir, { fileBytesMax: 100_000, runBytesMax: 150_000, runFilesMax: 3 });
  try {
    rig.runs.lend('default', 'r1', 'a1', 'l1');
    const large = randomBytes(100_001);
    expect((await rig.put('artifacts/x', large)).code).toBe('too_large');
    const streamed = await fetch(rig.url('r1', 'artifacts/x'), {
      method: 'PUT',
      headers: {
        authorization: 'Bearer agent:default:a1',
        'x-lease-id': 'l1',
        digest: `sha-256=${sha256(large)}`,
      },
      body: new Blob([large]).stream(),
      duplex: 'half',
    });
    expect(streamed.status).toBe(413);
    expect((await rig.chunk('artifacts/x', large, 0, 9)).status).toBe(413);
    expect((await rig.put('artifacts/x', large.subarray(1))).status).toBe(201);
    const second = await rig.put('artifacts/y', large.subarray(0, 50_001));
    expect([second.status, second.code]).toEqual([413, 'too_large']);
    expect((await rig.put('artifacts/y', 'y')).status).toBe(201);
    expect((await rig.put('artifacts/z', 'z')).status).toBe(201);
    expect((await rig.put('artifacts/w', 'w')).code).toBe('too_many_files');
    expect(await rig.names()).toHaveLength(3);
    expect(rig.notes).toEqual([]);
  } finally {
    await rig.stop();
  }
});

test('J11 a lost lease leaves files of its own attempt only, and never those of the winner', async ({
  rig,
}) => {
  rig.runs.lend('default', 'r1', 'a2', 'l2');
  const late = await rig.put('artifacts/output.raw', 'late');
  expect([late.status, late.code]).toEqual([409, 'lease_lost']);
  expect((await rig.put('attempts/2/artifacts/output.raw', 'late')).code).toBe('lease_lost');
  expect((await rig.put('attempts/1/artifacts/output.raw', 'late')).status).toBe(201);
  const winner = { as: 'agent:default:a2', headers: { 'x-lease-id': 'l2' } };
  expect((await rig.put('artifacts/output.raw', 'won', winner)).status).toBe(201);
  expect((await rig.put('attempts/1/artifacts/x', 'x', winner)).code).toBe('lease_lost');
  rig.runs.end('default', 'r1', { status: 'succeeded' });
  expect((await rig.put('artifacts/more', 'x', winner)).code).toBe('lease_lost');
  expect((await rig.put('attempts/2/artifacts/more', 'x', winner)).status).toBe(201);
  const { json } = await rig.get('/runs/r1');
  expect(json.files.map(({ path, attempt, kind }: never) => [path, attempt, kind])).toEqual([
    ['artifacts/output.raw', 2, 'raw'],
    ['attempts/1/artifacts/output.raw', 1, 'raw'],
    ['attempts/2/artifacts/more', 2, 'other'],
  ]);
});

test('J11 a lease that is lost while the bytes arrive stores nothing', async ({ rig }) => {
  const [host = '', port = ''] = rig.address.split(':');
  const socket = connect(Number(port), host);
  socket.write(
    `PUT /runs/r1/files/artifacts/x HTTP/1.1\r\nhost: ${rig.address}\r\nauthorization: Bearer agent:default:a1\r\nx-lease-id: l1\r\n` +
      `digest: sha-256=${sha256('whole')}\r\ncontent-length: 5\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n`,
  );
  await once(socket, 'data'); // 100: the request has been admitted to the handler
  socket.write('who');
  rig.runs.lend('default', 'r1', 'a2', 'l2');
  socket.write('le');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1.1 409[\s\S]*lease_lost/);
  await once(socket, 'close');
  expect(await rig.names()).toEqual([]);
});

test('J27 only the agent that holds the lease, in its own tenant, may upload', async ({ rig }) => {
  rig.runs.lend('other', 'r1', 'a1', 'l9');
  const cases = [
    [{ as: 'agent:default:a2' }, 409],
    [{ as: 'agent:other:a1' }, 409],
    [{ as: 'agent:third:a1' }, 404],
    [{ as: 'operator:default:ops' }, 403],
    [{ as: 'nobody' }, 401],
    [{ headers: { 'x-lease-id': 'l9' } }, 409],
    [{ headers: { 'x-lease-id': '' } }, 422],
    [{ runId: 'r2' }, 404],
  ] as const;
  for (const [options, status] of cases) {
    expect([options, (await rig.put('artifacts/x', 'x', options)).status]).toEqual([options, status]);
    expect((await rig.put('attempts/1/artifacts/x', 'x', options)).status).toBe(status);
  }
  expect(await rig.names()).toEqual([]);
});

test('J14 an upload that breaks off leaves nothing, and can be sent again', async ({ rig }) => {
  const [host = '', port = ''] = rig.address.split(':');
  const socket = connect(Number(port), host);
  socket.write(
    `PUT /runs/r1/files/artifacts/x HTTP/1.1\r\nhost: ${rig.address}\r\nauthorization: Bearer agent:default:a1\r\nx-lease-id: l1\r\n` +
      `digest: sha-256=${sha256('whole')}\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.write('who');
  socket.destroy();
  await once(socket, 'close');
  expect((await rig.put('artifacts/x', 'whole')).status).toBe(201);
  expect(await rig.names()).toEqual([sha256('whole')]);
  expect(rig.notes).toEqual([]);
});

test('J19 secrets in uploaded text are replaced, and the manifest says what was sent', async ({ rig }) => {
  const sent = `before ${KEY} after\n`;
  const kept = 'before [REDACTED:AWS_KEY] after\n';
  expect((await rig.put('logs/step_check.log', sent)).status).toBe(201);
  expect((await rig.put('logs/step_check.log', sent)).status).toBe(204);
  expect((await rig.put('logs/step_check.log', kept)).status).toBe(409);
  expect((await rig.get('/runs/r1/files/logs/step_check.log')).text).toBe(kept);
  const { json } = await rig.get('/runs/r1');
  expect(json.files).toEqual([
    {
      path: 'logs/step_check.log',
      size: kept.length,
      sha256: sha256(kept),
      kind: 'log',
      attempt: 1,
      created_at: '2026-03-01T00:00:00Z',
      redacted: { sent_size: sent.length, sent_sha256: sha256(sent), counts: { AWS_KEY: 1 } },
    },
  ]);
  expect(JSON.stringify(rig.audit)).toContain(sha256(sent));
  expect(rig.stored).toMatchObject([{ redactions: { AWS_KEY: 1 } }]);
  expect(await rig.everything()).not.toContain(KEY);
});

test('J20 what is clean, or no text, comes back as it was; binary output of the runner is looked at all the same', async ({
  rig,
}) => {
  const binary = Buffer.concat([
    Buffer.from([0, 255, 254]),
    Buffer.from(`token=${KEY}\n`),
    randomBytes(200_000),
  ]);
  const text = `${'ü'.repeat(70_000)}\n`;
  for (const [path, bytes] of [
    ['artifacts/archive.gz', binary],
    ['artifacts/a.txt', Buffer.from(text)],
    ['artifacts/none', Buffer.alloc(0)],
  ] as const) {
    expect((await rig.put(path, bytes)).status).toBe(201);
    expect(Buffer.compare((await rig.get(`/runs/r1/files/${path}`)).bytes, bytes)).toBe(0);
  }
  expect((await rig.put('artifacts/output.raw', binary)).status).toBe(201);
  const output = (await rig.get('/runs/r1/files/artifacts/output.raw')).bytes;
  expect(output.includes(KEY)).toBe(false);
  expect(output.includes('[REDACTED:')).toBe(true);
});

test('the list of runs says how much each has stored, of one tenant only', async ({ rig }) => {
  rig.runs.lend('other', 'theirs', 'a9', 'l9');
  await rig.put('artifacts/x', 'four');
  const { json } = await rig.get('/runs');
  expect(json.runs).toEqual([
    expect.objectContaining({
      run_id: 'r1',
      status: 'running',
      agent_id: 'a1',
      files: 1,
      bytes: 4,
      removed: 0,
    }),
  ]);
  expect((await rig.get('/runs/r1', {}, 'other')).status).toBe(404);
  expect((await rig.get('/runs/r1/files/artifacts/x', {}, 'other')).status).toBe(404);
  expect((await rig.get('/runs/nothing')).json.error.code).toBe('not_found');
});
