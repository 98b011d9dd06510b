// The Run Store on a real socket (contract arp §2, G35).
import { statSync } from 'node:fs';
import { expect } from 'vitest';
import { RunRecords } from '../../../src/doors/arp/run-store/records.ts';
import { test, type Served } from './support.ts';

const run = (run_id: string, more: object = {}) => ({
  run_id,
  state: 'running',
  root_node_run_id: `root_${run_id}`,
  ...more,
});
const node = (node_run_id: string, more: object = {}) => ({
  node_run_id,
  run_id: 'r',
  node_type_ref: { node_type_id: 't', version: '1' },
  state: 'queued',
  ...more,
});

test('G35 stores, gives, and replaces runs and NodeRuns as a whole', async ({ stack }) => {
  const store = await stack.runStore();
  const bare = { constraints: { structural: { max_depth: 1 } }, 'org.key': null };
  expect((await store.send('POST', '/v1/runs', { run: run('r', { extensions: bare }) })).json).toEqual({
    run: run('r', { extensions: bare }),
  });
  const replaced = await store.send('PUT', '/v1/runs/r', { run: run('r', { state: 'failed' }) });
  expect([replaced.status, replaced.json]).toEqual([200, { run: run('r', { state: 'failed' }) }]);
  expect((await store.get('/v1/runs/r')).json).toEqual({ run: run('r', { state: 'failed' }) });
  await store.send('POST', '/v1/node-runs', { node_run: node('n', { outputs: { a: null } }) });
  await store.send('PUT', '/v1/node-runs/n', { node_run: node('n', { state: 'running' }) });
  expect((await store.get('/v1/node-runs/n')).json).toEqual({ node_run: node('n', { state: 'running' }) });
});

test('G35 refuses duplicates, absent records, and other ids than the path says', async ({ stack }) => {
  const store = await stack.runStore();
  await store.send('POST', '/v1/runs', { run: run('r') });
  await store.send('POST', '/v1/node-runs', { node_run: node('n') });
  const codes = async (method: string, path: string, body?: unknown): Promise<unknown[]> => {
    const { status, json } = await store.send(method, path, body);
    return [status, json.error.code];
  };
  expect(await codes('POST', '/v1/runs', { run: run('r') })).toEqual([409, 'run_already_exists']);
  expect(await codes('POST', '/v1/node-runs', { node_run: node('n') })).toEqual([
    409,
    'node_run_already_exists',
  ]);
  expect(await codes('GET', '/v1/runs/x')).toEqual([404, 'run_not_found']);
  expect(await codes('GET', '/v1/node-runs/x')).toEqual([404, 'node_run_not_found']);
  expect(await codes('PUT', '/v1/runs/x', { run: run('x') })).toEqual([404, 'run_not_found']);
  expect(await codes('PUT', '/v1/runs/r', { run: run('x') })).toEqual([409, 'id_mismatch']);
  expect(await codes('PUT', '/v1/node-runs/n', { node_run: node('x') })).toEqual([409, 'id_mismatch']);
  expect(await codes('POST', '/v1/runs', { run: run('y', { state: 'odd' }) })).toEqual([
    422,
    'invalid_request',
  ]);
  expect(await codes('POST', '/v1/runs', { run: run('y', { ended_at: null }) })).toEqual([
    422,
    'invalid_request',
  ]);
  expect((await store.get('/v1/runs/r')).json).toEqual({ run: run('r') });
});

test('G35 a key gives back what it stored, and belongs to one id', async ({ stack }) => {
  const store = await stack.runStore();
  const create = (body: object) => store.send('POST', '/v1/runs', { ...body, idempotency_key: 'k' });
  await create({ run: run('r') });
  const again = await create({ run: run('r', { state: 'failed' }) });
  expect([again.status, again.json]).toEqual([200, { run: run('r') }]);
  const other = await create({ run: run('s') });
  expect([other.status, other.json.error.code]).toEqual([409, 'idempotency_conflict']);
  expect((await store.get('/v1/runs/s')).status).toBe(404);
});

test('H7 keys of NodeRuns count below their run and parent', async ({ stack }) => {
  const store = await stack.runStore();
  const create = (node_run: object) =>
    store.send('POST', '/v1/node-runs', { node_run, idempotency_key: 'k' });
  expect((await create(node('a', { parent_node_run_id: 'p' }))).status).toBe(200);
  expect((await create(node('b', { parent_node_run_id: 'q' }))).status).toBe(200);
  expect((await create(node('c', { run_id: 's', parent_node_run_id: 'p' }))).status).toBe(200);
  expect((await create(node('d'))).status).toBe(200);
  expect((await create(node('e', { parent_node_run_id: 'p' }))).status).toBe(409);
  expect((await create(node('a', { parent_node_run_id: 'p' }))).status).toBe(200);
});

async function allPages(
  store: Served,
  path: string,
  limit: number,
): Promise<{ ids: string[]; sizes: number[] }> {
  const ids: string[] = [];
  const sizes: number[] = [];
  let token = '';
  do {
    const { json } = await store.get(`${path}limit=${limit}${token === '' ? '' : `&page_token=${token}`}`);
    sizes.push(json.items.length);
    ids.push(...json.items.map((item: Record<string, string>) => item['node_run_id'] ?? item['run_id']));
    token = json.next_token ?? '';
    expect(token !== '').toBe(json.items.length === limit); // a token iff the page is full
  } while (token !== '');
  return { ids, sizes };
}

test('G35 H24 pages through the NodeRuns of a run in the order of their insertion, also while they grow', async ({
  stack,
}) => {
  const store = await stack.runStore();
  const names = ['z', 'a', 'm', 'b', 'y', 'c'];
  for (const name of names) await store.send('POST', '/v1/node-runs', { node_run: node(name) });
  await store.send('POST', '/v1/node-runs', { node_run: node('other', { run_id: 's' }) });
  await store.send('PUT', '/v1/node-runs/z', { node_run: node('z', { state: 'running' }) });
  expect(await allPages(store, '/v1/runs/r/node-runs?', 4)).toEqual({ ids: names, sizes: [4, 2] });
  expect(await allPages(store, '/v1/runs/r/node-runs?', 3)).toEqual({ ids: names, sizes: [3, 3, 0] });
  expect(await allPages(store, '/v1/runs/unknown/node-runs?', 3)).toEqual({ ids: [], sizes: [0] });
  const first = await store.get('/v1/runs/r/node-runs?limit=2');
  await store.send('POST', '/v1/node-runs', { node_run: node('0') });
  const rest = await store.get(`/v1/runs/r/node-runs?page_token=${first.json.next_token}`);
  expect(rest.json.items).toHaveLength(5);
});

test('G35 refuses bad tokens and limits with 422', async ({ stack }) => {
  const store = await stack.runStore();
  for (const query of [
    'limit=0',
    'limit=501',
    'limit=x',
    'limit=',
    'page_token=!!',
    'page_token=LTE=',
    'page_token=',
  ]) {
    const { status, json } = await store.get(`/v1/runs/r/node-runs?${query}`);
    expect([query, status, json.error?.code]).toEqual([query, 422, 'invalid_request']);
  }
});

test('H24 lists runs, all of them or those in a state', async ({ stack }) => {
  const store = await stack.runStore();
  for (const [at, state] of ['running', 'failed', 'running', 'running'].entries())
    await store.send('POST', '/v1/runs', { run: run(`r${at}`, { state }) });
  expect((await allPages(store, '/v1/runs?', 3)).ids).toEqual(['r0', 'r1', 'r2', 'r3']);
  await store.send('PUT', '/v1/runs/r0', { run: run('r0', { state: 'failed' }) });
  expect((await allPages(store, '/v1/runs?state=failed&', 1)).ids).toEqual(['r0', 'r1']);
});

test('H2 with If-Match only the version that was read is replaced', async ({ stack }) => {
  const store = await stack.runStore();
  await store.send('POST', '/v1/runs', { run: run('r') });
  const { headers } = await store.get('/v1/runs/r');
  const etag = String(headers['etag']);
  const writes = Array.from({ length: 8 }, (_, at) =>
    store.send('PUT', '/v1/runs/r', { run: run('r', { extensions: { 'org.n': at } }) }, { 'if-match': etag }),
  );
  const statuses = (await Promise.all(writes)).map(({ status }) => status).toSorted((a, b) => a - b);
  expect(statuses).toEqual([200, ...Array.from({ length: 7 }, () => 412)]);
  const odd = await store.send('PUT', '/v1/runs/r', { run: run('r') }, { 'if-match': 'W/"1"' });
  expect(odd.status).toBe(412);
});

test('G35 creates nothing beyond the size of the database, and still replaces', async ({ stack }) => {
  const store = await stack.runStore(200_000);
  let status = 200;
  let count = 0;
  for (; status === 200 && count < 1000; count += 1) {
    const filler = { extensions: { 'org.filler': 'x'.repeat(5000) } };
    ({ status } = await store.send('POST', '/v1/runs', { run: run(`r${count}`, filler) }));
  }
  expect(status).toBe(507);
  expect(count).toBeGreaterThan(10);
  const full = await store.send('POST', '/v1/node-runs', { node_run: node('n') });
  expect([full.status, full.json.error.code]).toEqual([507, 'run_store_full']);
  expect((await store.send('PUT', '/v1/runs/r0', { run: run('r0') })).status).toBe(200);
});

test('G35 keeps everything over a restart', ({ stack }) => {
  const file = stack.path('runs/store.sqlite');
  const first = new RunRecords({ file });
  first.createRun({ run_id: 'r', state: 'running', root_node_run_id: 'n' }, 'k');
  first.close();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const second = stack.opened(new RunRecords({ file }));
  expect(second.getRun('r')).toEqual({
    record: { run_id: 'r', state: 'running', root_node_run_id: 'n' },
    version: 1,
  });
  expect(() => second.createRun({ run_id: 's', state: 'running', root_node_run_id: 'n' }, 'k')).toThrow(
    /belongs to r/,
  );
});
