// What keeps the control plane honest: tokens, tenants, repeats, limits (contract agents §2).
import { connect } from 'node:net';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { COMMAND, SKILL, test } from './control-rig.ts';

function inDatabase(dir: string, sql: string): void {
  const database = new Database(join(dir, 'agents.sqlite'));
  database.exec(sql);
  database.close();
}

const ANY_ID = '00000000-0000-4000-8000-000000000000';

test('every call asks for a token, of the right role, whatever it is about', async ({ open }) => {
  const plane = await open();
  const agent = await plane.register('a');
  const calls: [string, string, ('operator' | 'enrolment' | 'agent')[], unknown?][] = [
    ['POST', '/register', ['enrolment', 'agent'], { agent_id: 'a' }],
    ['GET', '/task', ['agent']],
    ['POST', '/tasks', ['operator'], { action: 'a', command: COMMAND }],
    ['POST', '/heartbeat', ['agent'], { running: [] }],
    ['POST', `/tasks/${ANY_ID}/lease`, ['agent'], { lease_id: ANY_ID }],
    ['POST', `/tasks/${ANY_ID}/start`, ['agent'], { lease_id: ANY_ID }],
    ['POST', `/tasks/${ANY_ID}/result`, ['agent'], { lease_id: ANY_ID, outcome: 'failed', summary: {} }],
    ['POST', `/tasks/${ANY_ID}/cancel`, ['operator'], {}],
    ['GET', '/tasks', ['operator']],
    ['GET', `/tasks/${ANY_ID}`, ['operator']],
    ['GET', '/agents', ['operator']],
    ['GET', '/agents/zz', ['operator']],
    ['POST', '/agents/zz/drain', ['operator']],
    ['POST', '/agents/zz/resume', ['operator']],
    ['DELETE', '/agents/zz', ['operator']],
    ['GET', '/allowlist', ['operator', 'agent']],
    ['PUT', '/allowlist', ['operator'], 'x'],
    ['GET', '/audit', ['operator']],
    ['GET', '/settings', ['operator']],
    ['PUT', '/settings', ['operator'], {}],
  ];
  const tokens = { ...plane.tokens(), agent: agent.token };
  for (const [method, path, roles, body] of calls) {
    const more = body === undefined ? {} : { body };
    for (const token of [undefined, 'forged', `${agent.token}x`, '']) {
      const answer = await plane.send(method, path, { ...more, ...(token === undefined ? {} : { token }) });
      expect([path, token, answer.status, answer.json.error.code]).toEqual([
        path,
        token,
        401,
        'unauthorized',
      ]);
    }
    for (const [role, token] of Object.entries(tokens)) {
      const { status } = await plane.send(method, path, { ...more, token });
      const may = (roles as string[]).includes(role);
      expect([method, path, role, status === 403]).toEqual([method, path, role, !may]);
    }
  }
});

test('J27 a tenant sees and touches nothing of another', async ({ open }) => {
  const plane = await open();
  await plane.publish('acme');
  const [ours, theirs] = [await plane.register('same'), await plane.register('same', {}, 'acme')];
  const acme = plane.tokens('acme').operator;
  const taskId = await plane.task({ run_id: 'nightly' });
  const other = await plane.task({ run_id: 'nightly' }, 'acme');
  expect(await theirs.poll()).toMatchObject({ task_id: other });
  const task = await ours.take();
  for (const [method, path, body] of [
    ['GET', `/tasks/${taskId}`],
    ['POST', `/tasks/${taskId}/cancel`, {}],
  ] as const) {
    const answer = await plane.send(method, path, { token: acme, ...(body === undefined ? {} : { body }) });
    expect([path, answer.status, answer.json.error.code]).toEqual([path, 404, 'not_found']);
  }
  const stolen = { lease_id: task.lease_id, outcome: 'failed', summary: {} };
  for (const [call, body] of [
    ['result', stolen],
    ['start', { lease_id: task.lease_id }],
    ['lease', { lease_id: task.lease_id }],
  ] as const)
    expect((await theirs.send('POST', `/tasks/${taskId}/${call}`, body)).status).toBe(404);
  const listed = await plane.send('GET', '/tasks', { token: acme });
  expect(listed.json.tasks.map(({ task_id }: { task_id: string }) => task_id)).toEqual([other]);
  const agents = await plane.send('GET', '/agents', { token: acme });
  expect(agents.json.agents.map(({ tenant }: { tenant: string }) => tenant)).toEqual(['acme']);
  const audit = await plane.send('GET', '/audit?limit=500', { token: acme });
  expect(new Set(audit.json.entries.map(({ tenant }: { tenant: string }) => tenant))).toEqual(
    new Set(['acme']),
  );
  for (const [path, body] of [
    ['/tasks', { action: 'a', command: COMMAND, tenant: 'default' }],
    ['/register', { agent_id: 'x', tenant: 'default' }],
  ] as const) {
    const token = path === '/tasks' ? acme : plane.tokens('acme').enrolment;
    expect((await plane.send('POST', path, { token, body })).status).toBe(403);
  }
  expect(await plane.status(taskId)).toBe('leased');
});

test('a stolen lease is of no use to another agent of the tenant', async ({ open }) => {
  const plane = await open();
  const [a, b] = [await plane.register('a'), await plane.register('b')];
  await plane.task();
  const task = await a.take();
  for (const answer of [await b.result(task), await b.renew(task), await b.start(task)])
    expect([answer.status, answer.json.error.code]).toEqual([409, 'lease_lost']);
  expect((await a.result(task)).status).toBe(200);
});

test('the same POST again gets the same answer: in flight, afterwards, and after a restart', async ({
  open,
}) => {
  const plane = await open();
  const headers = { 'idempotency-key': 'once' };
  const body = { action: 'check', command: COMMAND };
  const answers = await Promise.all([1, 2, 3].map(() => plane.ask('POST', '/tasks', body, { headers })));
  const enrol = { token: plane.tokens().enrolment, body: { agent_id: 'a' }, headers };
  const [registered, ...others] = await Promise.all(
    [1, 2, 3].map(() => plane.send('POST', '/register', enrol)),
  );
  for (const other of others) expect(other.json).toEqual(registered?.json);
  await plane.close();
  await plane.open();
  answers.push(await plane.ask('POST', '/tasks', body, { headers }));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  expect((await plane.ask('GET', '/tasks')).json.tasks).toHaveLength(1);
  expect((await plane.send('POST', '/register', enrol)).json).toEqual(registered?.json); // the token too
  const other = await plane.ask('POST', '/tasks', { ...body, priority: 1 }, { headers });
  expect([other.status, other.json.error.code]).toEqual([422, 'idempotency_mismatch']);
  const bad = await plane.ask(
    'POST',
    '/tasks',
    { ...body, run_id: '..' },
    { headers: { 'idempotency-key': 'x' } },
  );
  expect(bad.status).toBe(422);
  expect((await plane.ask('POST', '/tasks', body, { headers: { 'idempotency-key': 'x' } })).status).toBe(201);
});

test('J8 a crash between a call with a key and its answer loses no token, and makes nothing twice', async ({
  open,
  dir,
}) => {
  const plane = await open();
  const headers = { 'idempotency-key': 'once' };
  const enrol = { token: plane.tokens().enrolment, body: { agent_id: 'a' }, headers };
  const first = (await plane.send('POST', '/register', enrol)).json.agent_token;
  const body = { action: 'check', command: COMMAND };
  const task = await plane.ask('POST', '/tasks', body, { headers });
  await plane.close();
  inDatabase(dir, 'update idempotency set answer = null');
  await plane.open();
  const again = await plane.send('POST', '/register', enrol);
  expect(again.status).toBe(200);
  const token = again.json.agent_token;
  expect(token).toMatch(/^jarvas_agent_/);
  const works = async (one: string) => (await plane.send('GET', '/task', { token: one })).status;
  expect([await works(first), await works(token)]).toEqual([401, 200]);
  const { task_id } = (await plane.ask('POST', '/tasks', body, { headers })).json;
  expect(task_id).toBe(task.json.task_id);
  const other = { ...enrol, headers: { 'idempotency-key': 'other' } };
  expect((await plane.send('POST', '/register', other)).status).toBe(409);
});

test('a key that is used again after its time makes something new', async ({ open, dir }) => {
  const plane = await open();
  const headers = { 'idempotency-key': 'nightly' };
  const body = { action: 'check', command: COMMAND };
  const first = await plane.ask('POST', '/tasks', body, { headers });
  await plane.close();
  inDatabase(dir, 'update idempotency set expires_ms = 1');
  await plane.open();
  const second = await plane.ask('POST', '/tasks', { ...body, priority: 1 }, { headers });
  expect(second.status).toBe(201);
  expect(second.json.task_id).not.toBe(first.json.task_id);
});

test('what is asked for wrongly is refused with its field', async ({ open }) => {
  const plane = await open();
  const wrong: [object, string][] = [
    [{ action: 'A' }, '/action'],
    [{ action: 'a..b' }, '/action'],
    [{ action: 'a"; rm -rf /' }, '/action'],
    [{ run_id: '../../etc' }, '/run_id'],
    [{ run_id: 'x/../y' }, '/run_id'],
    [{ timeout_s: 0 }, '/timeout_s'],
    [{ timeout_s: 86_401 }, '/timeout_s'],
    [{ target: { any: true, agent_ids: ['a'] } }, '/target'],
    [{ target: { agent_ids: [] } }, '/target/agent_ids'],
    [{ env_refs: ['A=B'] }, '/env_refs/0'],
    [{ env_refs: ['vault:secret/x#y'] }, '/env_refs/0'],
    [{ rollout_id: ANY_ID }, '/rollout_id'],
    [{ command: [] }, '/command'],
    [{ skill: SKILL }, ''],
    [{ not_before: 'tomorrow' }, '/not_before'],
  ];
  for (const [more, field] of wrong) {
    const { status, json } = await plane.ask('POST', '/tasks', { action: 'a', command: COMMAND, ...more });
    expect([more, status, json.error.code, json.error.details.field]).toEqual([
      more,
      422,
      'invalid_field',
      field,
    ]);
  }
  expect((await plane.ask('POST', '/tasks', '{')).json.error.code).toBe('malformed');
  expect((await plane.ask('GET', '/tasks?limit=501')).status).toBe(422);
  expect((await plane.ask('GET', '/tasks?cursor=x')).status).toBe(422);
  expect((await plane.ask('GET', '/task?wait=31')).status).toBe(422);
  const taken = { action: 'a', command: COMMAND, run_id: 'r' };
  expect((await plane.ask('POST', '/tasks', taken)).status).toBe(201);
  const twice = await plane.ask('POST', '/tasks', taken);
  expect([twice.status, twice.json.error.code]).toEqual([409, 'duplicate_run_id']);
  expect((await plane.ask('POST', '/tasks', 'x'.repeat(1_048_577))).status).toBe(413);
  expect((await plane.ask('GET', '/agents/..%2f..%2fetc')).status).toBe(404);
});

test('lists go page by page', async ({ open }) => {
  const plane = await open();
  const made: string[] = [];
  for (let at = 0; at < 5; at += 1) made.push(await plane.task());
  for (const id of ['c', 'a', 'b']) await plane.register(id);
  const first = (await plane.ask('GET', '/tasks?limit=2')).json;
  const second = (await plane.ask('GET', `/tasks?limit=2&cursor=${first.next_cursor}`)).json;
  const third = (await plane.ask('GET', `/tasks?limit=2&cursor=${second.next_cursor}`)).json;
  const seen = [first, second, third].flatMap(({ tasks }: { tasks: { task_id: string }[] }) =>
    tasks.map(({ task_id }) => task_id),
  );
  expect(seen).toEqual(made.toReversed());
  expect(third).not.toHaveProperty('next_cursor');
  const agents = (await plane.ask('GET', '/agents?limit=2')).json;
  expect(agents.agents.map(({ agent_id }: { agent_id: string }) => agent_id)).toEqual(['a', 'b']);
  expect((await plane.ask('GET', `/agents?cursor=${agents.next_cursor}`)).json.agents).toHaveLength(1);
});

test('without tokens the three original calls work, and only those', async ({ open }) => {
  const plane = await open({ open: true });
  const registered = await plane.send('POST', '/register', {
    body: { agent_id: 'host-agent', anything: [1] },
  });
  expect(registered.json).toMatchObject({ status: 'ok', agent_id: 'host-agent' });
  expect((await plane.send('POST', '/register', { body: { agent_id: 'host-agent' } })).status).toBe(200);
  expect((await plane.send('GET', '/task')).text).toBe('{"task":null}\n');
  const made = await plane.send('POST', '/tasks', { body: { action: 'a', command: COMMAND } });
  expect(made.status).toBe(201);
  const polled = await plane.send('GET', '/task?agent_id=host-agent');
  expect(polled.json.task.task_id).toBe(made.json.task_id);
  for (const [method, path] of [
    ['GET', '/tasks'],
    ['GET', '/agents'],
    ['GET', '/audit'],
    ['GET', `/tasks/${made.json.task_id}`],
  ] as const)
    expect([path, (await plane.send(method, path)).status]).toEqual([path, 401]);
  expect(
    (await plane.send('POST', '/register', { token: 'x', body: { agent_id: 'host-agent' } })).status,
  ).toBe(401);
});

test('a body that never ends and one that is never sent do not last', async ({ open }) => {
  const plane = await open({ limits: { requestMs: 1000, headerMs: 500 } });
  const { host, port } = { host: '127.0.0.1', port: Number(new URL(plane.url).port) };
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(port, host, () =>
      socket.write(
        `POST /tasks HTTP/1.1\r\nhost: ${host}:${port}\r\nauthorization: Bearer ${plane.tokens().operator}\r\n` +
          'content-type: application/json\r\ncontent-length: 1000\r\n\r\n{',
      ),
    );
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  expect((await plane.ask('GET', '/tasks')).json).toEqual({ tasks: [] });
});
