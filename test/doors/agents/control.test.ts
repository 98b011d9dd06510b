// The control plane on a real socket: tasks from hand to hand (contract agents §2, J8–J14).
import { expect } from 'vitest';
import { COMMAND, DIGEST, SKILL, test } from './control-rig.ts';

test('J8 an agent registers, keeps its identity, and nobody takes it', async ({ open }) => {
  const plane = await open();
  const first = await plane.send('POST', '/register', {
    token: plane.tokens().enrolment,
    body: { agent_id: 'web-1', hostname: 'h', labels: { zone: 'a' }, something: 'else' },
  });
  expect([first.status, first.json]).toEqual([
    200,
    {
      status: 'ok',
      agent_id: 'web-1',
      agent_token: expect.stringMatching(/^jarvas_agent_/) as string,
      poll_interval_s: 10,
      lease_s: 60,
      allowlist_serial: 1,
    },
  ]);
  const token: string = first.json.agent_token;
  const again = await plane.send('POST', '/register', {
    token,
    body: { agent_id: 'web-1', labels: { zone: 'b' } },
  });
  expect(again.json).toEqual({
    status: 'ok',
    agent_id: 'web-1',
    poll_interval_s: 10,
    lease_s: 60,
    allowlist_serial: 1,
  });
  expect((await plane.ask('GET', '/agents/web-1')).json).toMatchObject({
    labels: { zone: 'b' },
    state: 'online',
  });
  const other = await plane.register('web-2');
  for (const impostor of [plane.tokens().enrolment, other.token]) {
    const refused = await plane.send('POST', '/register', { token: impostor, body: { agent_id: 'web-1' } });
    expect([refused.status, refused.json.error.code]).toEqual([409, 'agent_exists']);
  }
  expect((await plane.send('GET', '/task', { token })).status).toBe(200);
});

test('J8 of many who enrol one id at once, one gets it', async ({ open }) => {
  const plane = await open();
  const answers = await Promise.all(
    Array.from({ length: 8 }, () =>
      plane.send('POST', '/register', { token: plane.tokens().enrolment, body: { agent_id: 'one' } }),
    ),
  );
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
    200, 409, 409, 409, 409, 409, 409, 409,
  ]);
});

test('J9 an idle poll is exactly null, and a long poll ends with a new task', async ({ open }) => {
  const plane = await open();
  const agent = await plane.register('web-1');
  const idle = await agent.send('GET', '/task');
  expect(idle.text).toBe('{"task":null}\n');
  const waiting = agent.take(30);
  const began = performance.now();
  const taskId = await plane.task();
  const task = await waiting;
  expect(performance.now() - began, 'nothing but the task ends it before its 30 s').toBeLessThan(10_000);
  expect(task).toEqual({
    task_id: taskId,
    run_id: expect.any(String) as string,
    action: 'check',
    command: COMMAND,
    args: {},
    timeout_s: 300,
    max_output_bytes: 67_108_864,
    env_refs: [],
    attempt: 1,
    lease_id: expect.any(String) as string,
    lease_expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
  });
});

test('J9 two tasks wake two agents', async ({ open }) => {
  const plane = await open();
  const agents = await Promise.all(['a', 'b', 'c'].map((id) => plane.register(id)));
  const gone = new AbortController();
  const polls = agents.map((agent) => agent.poll(30, gone.signal).catch(() => null));
  await Promise.all([plane.task(), plane.task(), plane.task()]);
  const tasks = await Promise.all(polls);
  expect(new Set(tasks.map((task) => task?.task_id)).size).toBe(3);
});

test('a task goes through its states, and its result is shown', async ({ open }) => {
  const plane = await open();
  const agent = await plane.register('web-1');
  const created = await plane.ask('POST', '/tasks', {
    action: 'backup',
    skill: SKILL,
    args: { dir: '/var/backups' },
    env_refs: ['BACKUP_KEY'],
    run_id: 'nightly-1',
  });
  expect([created.status, created.json]).toEqual([
    201,
    { task_id: expect.any(String) as string, run_id: 'nightly-1', status: 'queued' },
  ]);
  const task = await agent.take();
  expect(task).toMatchObject({ run_id: 'nightly-1', skill: { ...SKILL, digest: DIGEST } });
  expect(await plane.status(task.task_id)).toBe('leased');
  expect((await agent.start(task)).status).toBe(204);
  expect((await agent.start(task)).status).toBe(204);
  expect(await plane.status(task.task_id)).toBe('running');
  expect((await plane.ask('GET', '/agents/web-1')).json.running).toEqual([task.task_id]);
  expect((await agent.renew(task)).json).toEqual({ lease_expires_at: expect.any(String) as string });
  const reported = await agent.result(task, { outcome: 'failed', exit_code: 1, reason: 'too old' });
  expect([reported.status, reported.json]).toEqual([200, { status: 'failed' }]);
  const view = (await plane.ask('GET', `/tasks/${task.task_id}`)).json;
  expect(view).toMatchObject({
    status: 'failed',
    attempt: 1,
    agent_id: 'web-1',
    reason: 'too old',
    result: { outcome: 'failed', exit_code: 1 },
  });
  expect(view).not.toHaveProperty('lease_expires_at');
});

test('targets, priorities, times and pauses decide who gets what', async ({ open }) => {
  const plane = await open();
  const [a, b] = [
    await plane.register('a', { labels: { zone: 'x', tier: 'web' }, max_parallel: 5 }),
    await plane.register('b', { labels: { zone: 'y' } }),
  ];
  const later = await plane.task({ not_before: '2099-01-01T00:00:00Z' });
  const low = await plane.task({ target: { labels: { zone: 'x' } }, priority: -1 });
  const high = await plane.task({ target: { labels: { zone: 'x', tier: 'web' } }, priority: 5 });
  const named = await plane.task({ target: { agent_ids: ['a', 'zz'] } });
  expect(await b.poll()).toBeNull();
  expect([(await a.take()).task_id, (await a.take()).task_id, (await a.take()).task_id]).toEqual([
    high,
    named,
    low,
  ]);
  expect(await a.poll()).toBeNull();
  expect(await plane.status(later)).toBe('queued');
  const [one] = [await plane.task(), await plane.task()];
  const taken = await b.take();
  expect(taken.task_id).toBe(one);
  expect(await b.poll()).toBeNull(); // max_parallel
  await b.result(taken);
  await plane.ask('POST', '/agents/b/drain');
  expect(await b.poll()).toBeNull();
  expect((await b.heartbeat()).drain).toBe(true);
  const waiting = b.take(30);
  expect((await plane.ask('POST', '/agents/b/resume')).json.state).toBe('online');
  expect((await waiting).attempt).toBe(1);
});

test('fan_out makes one task for each agent that fits', async ({ open }) => {
  const plane = await open();
  for (const id of ['a', 'b', 'c']) await plane.register(id, { labels: { zone: id === 'c' ? 'y' : 'x' } });
  const body = { action: 'check', command: COMMAND, target: { labels: { zone: 'x' } }, fan_out: true };
  const headers = { 'idempotency-key': 'k' };
  const made = await plane.ask('POST', '/tasks', body, { headers });
  expect(made.status).toBe(201);
  expect(made.json.tasks).toHaveLength(2);
  const { json } = await plane.ask('GET', '/tasks');
  expect(json.tasks.map((task: { target: object }) => task.target)).toEqual([
    { agent_ids: ['b'] },
    { agent_ids: ['a'] },
  ]);
  expect((await plane.ask('POST', '/tasks', body, { headers })).json).toEqual(made.json);
  const none = await plane.ask('POST', '/tasks', { ...body, target: { labels: { zone: 'q' } } });
  expect([none.status, none.json.error.details.field]).toEqual([422, 'target']);
});

test('J11 a lost lease is one re-queue: another agent finishes, and what comes late changes nothing', async ({
  open,
}) => {
  const plane = await open({ leaseS: 1 });
  const [dead, alive] = [await plane.register('dead'), await plane.register('alive')];
  const taskId = await plane.task();
  const lost = await dead.take();
  await dead.start(lost);
  const task = await alive.take(30);
  expect(task).toMatchObject({ task_id: taskId, attempt: 2 });
  expect(task.lease_id).not.toBe(lost.lease_id);
  for (const late of [await dead.result(lost), await dead.renew(lost), await dead.start(lost)])
    expect([late.status, late.json.error.code]).toEqual([409, 'lease_lost']);
  expect((await dead.heartbeat(taskId)).cancel).toEqual([taskId]);
  expect((await alive.result(task)).json).toEqual({ status: 'succeeded' });
  expect((await dead.result(lost)).status).toBe(409);
  expect((await plane.ask('GET', `/tasks/${taskId}`)).json).toMatchObject({
    status: 'succeeded',
    agent_id: 'alive',
    attempt: 2,
  });
  const text = await plane.metrics.text();
  expect(text).toContain('jarvas_task_requeues_total 1');
});

test('J11 the last attempt that is lost is the end of a task', async ({ open }) => {
  const plane = await open({ leaseS: 1 });
  const agent = await plane.register('a', { max_parallel: 3 });
  const taskId = await plane.task({ max_attempts: 1 });
  const unwanted = await plane.task();
  await agent.take();
  const second = await agent.take();
  await plane.ask('POST', `/tasks/${unwanted}/cancel`, { reason: 'not needed' });
  expect(second.task_id).toBe(unwanted);
  const other = await plane.register('b');
  await other.poll(3);
  await expect.poll(() => plane.status(taskId), { timeout: 20_000 }).toBe('lost');
  await expect.poll(() => plane.status(unwanted), { timeout: 20_000 }).toBe('cancelled');
});

test('J13 a task is cancelled while it is queued, while it runs, and not when it is over', async ({
  open,
}) => {
  const plane = await open();
  const agent = await plane.register('a');
  const queued = await plane.task();
  const cancelled = await plane.ask('POST', `/tasks/${queued}/cancel`, { reason: 'changed my mind' });
  expect(cancelled.json).toMatchObject({ status: 'cancelled', reason: 'changed my mind' });
  expect(await agent.poll()).toBeNull();
  const running = await plane.task();
  const task = await agent.take();
  await agent.start(task);
  expect((await agent.heartbeat(running)).cancel).toEqual([]);
  const asked = await plane.ask('POST', `/tasks/${running}/cancel`);
  expect(asked.json).toMatchObject({ status: 'running', cancel_requested: true });
  expect((await agent.heartbeat(running)).cancel).toEqual([running]);
  expect((await agent.result(task, { outcome: 'cancelled', exit_code: 143 })).json).toEqual({
    status: 'cancelled',
  });
  const finished = await plane.ask('POST', `/tasks/${running}/cancel`);
  expect([finished.status, finished.json.error.code]).toEqual([409, 'task_finished']);
  expect((await plane.ask('POST', '/tasks/none/cancel')).status).toBe(404);
});

test('J14 the same result again changes nothing, and another one is refused', async ({ open }) => {
  const plane = await open();
  const agent = await plane.register('a');
  await plane.task();
  const task = await agent.take();
  const answers = await Promise.all([agent.result(task), agent.result(task), agent.result(task)]);
  expect(answers.map(({ status, json }) => [status, json.status])).toEqual([
    [200, 'succeeded'],
    [200, 'succeeded'],
    [200, 'succeeded'],
  ]);
  const other = await agent.result(task, { exit_code: 1, outcome: 'failed' });
  expect([other.status, other.json.error.code]).toEqual([409, 'result_conflict']);
  const { json } = await plane.ask('GET', '/audit?limit=500');
  const results = json.entries.filter(({ action }: { action: string }) => action === 'task.result');
  expect(results).toHaveLength(1);
});

test('J10 each of 200 tasks is run once by 20 agents', async ({ open }) => {
  const plane = await open();
  const agents = await Promise.all(Array.from({ length: 20 }, (_, at) => plane.register(`agent-${at}`)));
  const ran: string[] = [];
  const loops = agents.map(async (agent) => {
    for (;;) {
      const task = await agent.poll(ran.length < 200 ? 1 : 0);
      if (task === null && ran.length >= 200) return;
      if (task === null) continue;
      ran.push(task.task_id);
      await agent.start(task);
      await agent.result(task);
    }
  });
  const created = await Promise.all(Array.from({ length: 200 }, () => plane.task()));
  await Promise.all(loops);
  expect(ran.toSorted()).toEqual(created.toSorted());
  const { json } = await plane.ask('GET', '/tasks?status=succeeded&limit=500');
  expect(json.tasks.map(({ attempt }: { attempt: number }) => attempt)).toEqual(created.map(() => 1));
  expect(await plane.metrics.text()).toContain(
    'jarvas_runs_total{action="check",status="succeeded",tenant="default"} 200',
  );
});
