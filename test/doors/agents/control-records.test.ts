// What the control plane keeps: allow-lists, metrics, the audit chain, and no secret (contract agents §5, §6, §8).
import { expect } from 'vitest';
import { verifyChain } from '../../../src/doors/agents/control/audit-chain.ts';
import { sha256 } from '../../../src/engine/system.ts';
import { allowList, COMMAND, SKILL, test, type Plane } from './control-rig.ts';

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

test('J19 J27 an error is redacted as the tenant of who asks wants it', async ({ open }) => {
  const plane = await open();
  const exception = `ghp_${'zzzz'.repeat(9)}`;
  const put = (tenant: string, redaction: object) =>
    plane.send('PUT', '/settings', { token: plane.tokens(tenant).operator, body: { redaction } });
  expect((await put('default', { exceptions: [exception] })).status).toBe(200);
  expect((await put('acme', { patterns: [{ type: 'TICKET', pattern: 'INT-[0-9]{6}' }] })).status).toBe(200);
  const said = async (tenant: string, id: string): Promise<string> => {
    const token = plane.tokens(tenant).operator;
    const { status, json } = await plane.send('GET', `/tasks/${id}`, { token });
    expect(status).toBe(404);
    return json.error.message;
  };
  expect(await said('acme', 'INT-123456')).toBe('there is no task "[REDACTED:TICKET]"');
  expect(await said('acme', exception)).toBe('there is no task "[REDACTED:GITHUB_TOKEN]"');
  expect(await said('default', 'INT-123456')).toBe('there is no task "INT-123456"');
  expect(await said('default', exception)).toBe(`there is no task "${exception}"`);
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

test('J12 a lease that ran out while nobody could renew it holds for another while', async ({ open }) => {
  const plane = await open({ leaseS: 3 });
  const [a, b] = [await plane.register('a'), await plane.register('b')];
  await plane.task();
  const task = await a.take();
  const endsMs = Date.parse((await a.renew(task)).json.lease_expires_at);
  await plane.close();
  await expect.poll(() => Date.now() > endsMs + 1000, { timeout: 20_000 }).toBe(true);
  await plane.open();
  expect((await a.renew(task)).status).toBe(200);
  expect(await b.poll()).toBeNull();
  expect((await a.result(task)).json).toEqual({ status: 'succeeded' });
});

async function lines(plane: Plane) {
  return plane.ask('GET', '/audit', undefined, { headers: { accept: 'application/x-ndjson' } });
}

function headOf(line = '') {
  const { seq, hash } = JSON.parse(line) as { seq: number; hash: string };
  return { seq, hash };
}
