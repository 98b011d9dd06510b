// The Artifact Store on a real socket (contract arp §2, G37, H27).
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { expect } from 'vitest';
import { Artifacts } from '../../../src/doors/arp/artifact-store/artifacts.ts';
import { until, type Any } from '../../cli/rig.ts';
import { test, WORLD, type Served } from './support.ts';

async function put(
  store: Served,
  bytes: Uint8Array<ArrayBuffer>,
  type?: string,
  query = '',
): Promise<{ status: number; json: Any }> {
  const answer = await fetch(`${store.url}/v1/artifacts${query}`, {
    method: 'POST',
    body: bytes,
    ...(type === undefined ? {} : { headers: { 'content-type': type } }),
  });
  return { status: answer.status, json: await answer.json() };
}

async function files(dir: string): Promise<string[]> {
  const all = await readdir(`${dir}/files`, { recursive: true, withFileTypes: true });
  return all.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test('G37 gives back what it took, byte by byte, with its type', async ({ stack }) => {
  const store = await stack.artifacts();
  const bytes = new Uint8Array(randomBytes(1_500_000));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const { status, json } = await put(store, bytes, 'application/json');
  expect(status).toBe(200);
  expect(json).toEqual({
    artifact_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    uri: `${store.url}/v1/artifacts/${json.artifact_id}`,
    content_type: 'application/json',
    size_bytes: 1_500_000,
    checksum_sha256: sha256,
    created_at: new Date(WORLD.nowMs()).toISOString(),
  });
  const got = await fetch(json.uri);
  expect(got.headers.get('content-type')).toBe('application/json');
  expect(got.headers.get('content-length')).toBe('1500000');
  expect(
    createHash('sha256')
      .update(new Uint8Array(await got.arrayBuffer()))
      .digest('hex'),
  ).toBe(sha256);
  const head = await fetch(json.uri, { method: 'HEAD' });
  expect([
    head.status,
    head.headers.get('content-type'),
    head.headers.get('content-length'),
    head.headers.get('etag'),
  ]).toEqual([200, 'application/json', '1500000', `"${sha256}"`]);
  expect((await store.get(`/v1/artifacts/${json.artifact_id}/metadata`)).json).toEqual(json);
});

test('G37 takes bytes without a type, and none at all', async ({ stack }) => {
  const store = await stack.artifacts();
  const { json } = await put(store, new Uint8Array([0, 255, 10]));
  expect(json).not.toHaveProperty('content_type');
  expect((await fetch(json.uri)).headers.get('content-type')).toBe('application/octet-stream');
  const empty = await store.send('POST', '/v1/artifacts');
  expect([empty.status, empty.json.size_bytes]).toEqual([200, 0]);
  expect((await store.get(`/v1/artifacts/${empty.json.artifact_id}`)).bytes).toHaveLength(0);
});

test('G37 refuses more than an upload may have, also when it does not say so beforehand, and keeps nothing', async ({
  stack,
}) => {
  const store = await stack.artifacts({ bytesMax: 10_000 });
  expect((await put(store, new Uint8Array(10_000))).status).toBe(200);
  const { status, json } = await put(store, new Uint8Array(10_001));
  expect([status, json.error.code]).toEqual([413, 'payload_too_large']);
  const streamed = await fetch(`${store.url}/v1/artifacts`, {
    method: 'POST',
    duplex: 'half',
    body: new ReadableStream({
      async pull(controller) {
        controller.enqueue(new Uint8Array(6000));
      },
    }),
  }).then(
    ({ status: code }) => code,
    () => 413,
  ); // the connection may be cut before all is sent
  expect(streamed).toBe(413);
  await until(
    async () => (await files(stack.path('artifacts'))).length === 1,
    'nothing left of what was refused',
  );
});

test('G37 answers 404 for what is unknown or has lost its bytes, 422 for what is no name', async ({
  stack,
}) => {
  const store = await stack.artifacts();
  const { json } = await put(store, new Uint8Array([1]));
  for (const path of ['', '/metadata']) {
    const unknown = await store.get(`/v1/artifacts/${'0'.repeat(32)}${path}`);
    expect([unknown.status, unknown.json.error.code]).toEqual([404, 'artifact_not_found']);
    for (const id of ['..', 'a%2Fb', '.hidden', 'a b', '%00', 'ü']) {
      const bad = await store.get(`/v1/artifacts/${encodeURI(id).replaceAll('%25', '%')}${path}`);
      expect([id, bad.status, bad.json.error.code]).toEqual([id, 422, 'invalid_request']);
    }
  }
  await rm(`${stack.path('artifacts')}/files`, { recursive: true });
  expect((await store.get(`/v1/artifacts/${json.artifact_id}`)).status).toBe(404);
  expect((await fetch(json.uri, { method: 'HEAD' })).status).toBe(404);
});

test('H27 an upload that breaks off leaves nothing', async ({ stack }) => {
  const store = await stack.artifacts();
  const [host = '', port = ''] = store.address.split(':');
  const socket = connect(Number(port), host);
  socket.write(
    `POST /v1/artifacts HTTP/1.1\r\nhost: ${store.address}\r\ncontent-length: 100000\r\n\r\nonly this`,
  );
  await until(async () => (await files(stack.path('artifacts'))).length === 1, 'the upload to begin');
  socket.destroy();
  await until(async () => (await files(stack.path('artifacts'))).length === 0, 'the rest to go');
});

test('H27 what a crash left is removed at the start, and nothing else', async ({ stack }) => {
  const dir = stack.path('kept');
  const first = new Artifacts({ dir });
  const kept = await first.put({ bytes: bytesOf('x'), nowMs: 1 });
  first.close();
  const folder = `${dir}/files/${kept.id.slice(0, 2)}`;
  await writeFile(`${folder}/.tmp-torn`, 'half');
  await writeFile(`${folder}/${'f'.repeat(32)}`, 'never recorded');
  const second = stack.opened(new Artifacts({ dir }));
  expect(await second.removeLeftovers()).toBe(2);
  expect(await files(dir)).toEqual([kept.id]);
  expect(await second.get(kept.id)).toEqual(kept);
});

test('H27 artifacts are linked to runs, listed by them, and kept as long as one needs them', async ({
  stack,
}) => {
  const opened = stack.artifacts();
  const store = await opened;
  const ids: string[] = [];
  for (const query of ['?run_id=r', '?run_id=r', '', '?run_id=s'])
    ids.push((await put(store, new Uint8Array([1]), undefined, query)).json.artifact_id);
  expect((await store.send('PUT', `/v1/runs/r/artifacts/${ids[3]}`)).status).toBe(204);
  expect((await store.send('PUT', `/v1/runs/r/artifacts/${'0'.repeat(32)}`)).status).toBe(404);
  const page = (await store.get('/v1/runs/r/artifacts?limit=2')).json;
  const rest = (await store.get(`/v1/runs/r/artifacts?limit=2&page_token=${page.next_token}`)).json;
  const listed = [...page.items, ...rest.items].map((item: Any) => item.artifact_id);
  expect(listed).toEqual([ids[0], ids[1], ids[3]]);
  expect(rest).not.toHaveProperty('next_token');
  const { artifacts } = opened;
  expect(await artifacts.removeUnlinkedBefore(WORLD.nowMs())).toBe(0); // not older
  expect(await artifacts.removeUnlinkedBefore(WORLD.nowMs() + 1)).toBe(1);
  await expect(artifacts.get(ids[2] ?? '')).rejects.toMatchObject({ status: 404 });
  expect((await store.send('DELETE', `/v1/runs/r/artifacts/${ids[0]}`)).status).toBe(204);
  expect(await artifacts.removeUnlinkedBefore(WORLD.nowMs() + 1)).toBe(1);
  expect((await store.send('DELETE', `/v1/artifacts/${ids[3]}`)).status).toBe(204);
  expect((await store.send('DELETE', `/v1/artifacts/${ids[3]}`)).status).toBe(404);
  expect((await store.get('/v1/runs/s/artifacts')).json).toEqual({ items: [] });
  expect(await files(stack.path('artifacts'))).toEqual([ids[1]]);
});

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
