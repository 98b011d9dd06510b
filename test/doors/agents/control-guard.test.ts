// What keeps the control plane honest: tokens, tenants, repeats, allow-lists, audit, secrets (contract agents §2, §5, §6, §8).
import { connect } from 'node:net';
import { expect } from 'vitest';
import { verifyChain } from '../../../src/doors/agents/control/audit-chain.ts';
import { sha256 } from '../../../src/engine/system.ts';
import { allowList, COMMAND, KEY, SKILL, test, type Plane } from './control-rig.ts';

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
  const registered = await plane.send('POST', '/register', enrol);
  await plane.close();
  await plane.open();
  answers.push(await plane.ask('POST', '/tasks', body, { headers }));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  expect((await plane.ask('GET', '/tasks')).json.tasks).toHaveLength(1);
  expect((await plane.send('POST', '/register', enrol)).json).toEqual(registered.json); // the token too
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

test('J16 only what a published list allows is queued', async ({ open }) => {
  const plane = await open();
  const asked = async (more: object) => {
    const { status, json } = await plane.ask('POST', '/tasks', { action: 'a', ...more });
    return [status, json.error?.code, json.error?.details?.reason];
  };
  const refused = (reason: string) => [422, 'unverified_command', reason];
  expect(await asked({ command: ['false'] })).toEqual(refused('not_listed'));
  expect(await asked({ command: 'true' })).toEqual(refused('not_listed'));
  expect(await asked({ skill: { ...SKILL, version: '1.0.1' } })).toEqual(refused('not_listed'));
  expect(await asked({ skill: SKILL, env_refs: ['OTHER'] })).toEqual(refused('privileged'));
  expect((await asked({ skill: SKILL }))[0]).toBe(201);
  const put = async (text: string) => {
    const { status, json } = await plane.publish('default', text);
    return [status, json.error?.code, json.error?.details?.reason];
  };
  expect(await put(allowList('acme', 2))).toEqual(refused('bad_signature'));
  expect(await put(allowList('default', 2).replace('backup_integrity', 'backup_integritx'))).toEqual(
    refused('bad_signature'),
  );
  expect(
    await put(
      allowList('default', 2, { issued_at: '2020-01-01T00:00:00Z', expires_at: '2020-01-02T00:00:00Z' }),
    ),
  ).toEqual(refused('expired'));
  expect((await put(allowList('default', 3)))[0]).toBe(200);
  expect((await put(allowList('default', 2)))[1]).toBe('rollback');
  expect((await put(allowList('default', 3)))[0]).toBe(200); // the very same
  const agent = await plane.register('a');
  const list = await agent.send('GET', '/allowlist');
  expect(list.text).toBe(allowList('default', 3));
  const headers = { 'if-none-match': list.headers.get('etag') ?? '' };
  expect((await agent.send('GET', '/allowlist', undefined, { headers })).status).toBe(304);
  expect((await agent.heartbeat()).allowlist_serial).toBe(3);
  const empty = await plane.send('GET', '/allowlist', { token: plane.tokens('acme').operator });
  expect(empty.status).toBe(404);
  expect(KEY.publicKey.keyId).toHaveLength(64);
});

test('J19 secrets in results, reasons, errors and the audit chain are replaced', async ({ open }) => {
  const plane = await open();
  const secret = `ghp_${'a1B2'.repeat(9)}`;
  const agent = await plane.register('a', { hostname: secret });
  const settings = {
    redaction: {
      patterns: [{ type: 'INTERNAL', pattern: 'INT-[0-9]{6}' }],
      exceptions: [`ghp_${'zzzz'.repeat(9)}`],
    },
  };
  expect((await plane.ask('PUT', '/settings', settings)).status).toBe(200);
  await plane.task();
  const task = await agent.take();
  const reported = await agent.result(task, {
    outcome: 'failed',
    reason: `token ${secret} and INT-123456 and ghp_${'zzzz'.repeat(9)}`,
    summary: { [secret]: secret, password: 'hunter2222' },
  });
  expect(reported.status).toBe(200);
  const again = await agent.result(task, {
    outcome: 'failed',
    reason: `token ${secret} and INT-123456 and ghp_${'zzzz'.repeat(9)}`,
    summary: { [secret]: secret, password: 'hunter2222' },
  });
  expect(again.status).toBe(200);
  const { json, text } = await plane.ask('GET', `/tasks/${task.task_id}`);
  expect(json.reason).toBe(
    `token [REDACTED:GITHUB_TOKEN] and [REDACTED:INTERNAL] and ghp_${'zzzz'.repeat(9)}`,
  );
  const audit = await plane.ask('GET', '/audit?limit=500');
  const error = await plane.ask('POST', '/tasks', { action: secret, command: COMMAND });
  const cancel = await plane.ask('POST', `/tasks/${await plane.task()}/cancel`, { reason: secret });
  for (const shown of [text, audit.text, error.text, cancel.text, (await plane.ask('GET', '/agents')).text])
    expect(shown).not.toMatch(/a1B2a1B2|hunter2222|INT-123456/);
  const { text: metrics } = await plane.ask('GET', '/metrics');
  expect(metrics).toMatch(/jarvas_redactions_total\{type="GITHUB_TOKEN"\} [1-9]/);
  expect(metrics).toMatch(/jarvas_redactions_total\{type="INTERNAL"\} [1-9]/);
  const slow = await plane.ask('PUT', '/settings', {
    redaction: { patterns: [{ type: 'SLOW', pattern: '(a)\\1' }] },
  });
  expect([slow.status, slow.json.error.details.field]).toEqual([422, '/redaction/patterns/0/pattern']);
});

test('J30 a task that holds a secret is refused', async ({ open }) => {
  const plane = await open();
  const body = { action: 'a', skill: SKILL, args: { password: 'correct-horse-battery' } };
  const { status, json, text } = await plane.ask('POST', '/tasks', body);
  expect([status, json.error.details.field]).toEqual([422, 'args']);
  expect(text).not.toContain('correct-horse');
});

test('J28 metrics equal the runs performed', async ({ open }) => {
  const plane = await open();
  const agent = await plane.register('a');
  for (const outcome of ['succeeded', 'failed', 'timed_out', 'refused', 'refused', 'cancelled']) {
    await plane.task();
    await agent.result(
      await agent.take(),
      outcome === 'refused' ? { outcome, reason: 'expired' } : { outcome },
    );
  }
  await plane.task();
  const { text } = await plane.ask('GET', '/metrics');
  for (const line of [
    'jarvas_runs_total{action="check",status="succeeded",tenant="default"} 1',
    'jarvas_runs_total{action="check",status="refused",tenant="default"} 2',
    'jarvas_runs_total{action="check",status="timed_out",tenant="default"} 1',
    'jarvas_runs_total{action="check",status="cancelled",tenant="default"} 1',
    'jarvas_run_duration_seconds_sum{action="check",status="failed"} 3',
    'jarvas_refusals_total{reason="expired"} 2',
    'jarvas_tasks{status="queued"} 1',
    'jarvas_tasks{status="refused"} 2',
    'jarvas_agents{state="online"} 1',
    'jarvas_task_requeues_total 0',
  ])
    expect(text).toContain(line);
  expect((await plane.send('GET', '/metrics')).status).toBe(401);
});

test('J29 any change of an exported audit chain is found', async ({ open }) => {
  const plane = await open();
  const agent = await plane.register('a');
  for (let at = 0; at < 3; at += 1) {
    await plane.task();
    await agent.result(await agent.take());
  }
  const { text, headers } = await lines(plane);
  const [seq = '', hash = ''] = (headers.get('x-audit-head') ?? '').split(' ');
  const all = text.trimEnd().split('\n');
  expect(all).toHaveLength(Number(seq));
  expect(verifyChain(text, sha256, { headHash: hash })).toMatchObject({ ok: true, entries: all.length });
  expect(verifyChain(all.slice(2).join('\n'), sha256, { after: headOf(all[1]) }).ok).toBe(true);
  for (const [at, line] of all.entries()) {
    const edited = all.with(at, line.replace('"tenant":"default"', '"tenant":"defaulT"'));
    const removed = all.toSpliced(at, 1);
    const moved = at === 0 ? [...all.slice(1), line] : all.with(at, all[at - 1] ?? '').with(at - 1, line);
    for (const [what, bad] of Object.entries({ edited, removed, moved }))
      expect([what, at, verifyChain(bad.join('\n'), sha256, { headHash: hash }).ok]).toEqual([
        what,
        at,
        false,
      ]);
  }
  expect(verifyChain(`${text}{}\n`, sha256).ok).toBe(false);
});

test('J12 a restart keeps agents, tasks and leases, and gives no lease out anew', async ({ open }) => {
  const plane = await open();
  const [a, b] = [await plane.register('a'), await plane.register('b')];
  const [held, queued] = [await plane.task(), await plane.task()];
  const task = await a.take();
  await a.start(task);
  await plane.ask('POST', `/tasks/${held}/cancel`, { reason: 'why not' });
  await plane.close();
  await plane.open();
  const other = await b.take();
  expect(other.task_id).toBe(queued);
  expect(await b.poll()).toBeNull();
  expect((await a.heartbeat(held)).cancel).toEqual([held]);
  expect((await a.renew(task)).status).toBe(200);
  expect((await a.result(task)).json).toEqual({ status: 'succeeded' });
  expect((await plane.ask('GET', '/agents')).json.agents).toHaveLength(2);
  const { text } = await lines(plane);
  expect(verifyChain(text, sha256).ok).toBe(true);
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

async function lines(plane: Plane) {
  return plane.ask('GET', '/audit', undefined, { headers: { accept: 'application/x-ndjson' } });
}

function headOf(line = '') {
  const { seq, hash } = JSON.parse(line) as { seq: number; hash: string };
  return { seq, hash };
}
