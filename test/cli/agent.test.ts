// Agents as processes, killed and cut off (contract agents §2.2, §5, §8).
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, vi } from 'vitest';
import { test } from './agent-rig.ts';
import { isAlive, until } from './rig.ts';

// Each test is three processes and what they start.
vi.setConfig({ maxConcurrency: 3 });

const LEDGER = 'echo $$ >> ../../ledger';

describe.concurrent('an agent that is killed', () => {
  test('J11 mid-task: one re-queue, another agent finishes; what is left of it is ended and set aside', async ({
    fleet,
  }) => {
    await fleet.serve();
    const ledger = fleet.path('ledger');
    const go = fleet.path('go');
    const first = await fleet.agent('a');
    const id = await fleet.command(
      `echo $$ >> ${ledger}; while ! test -e ${go}; do sleep 0.05; done; echo done`,
    );
    await until(async () => (await fleet.home.lines('ledger')).length === 1, 'the first attempt');
    first.kill('SIGKILL');
    await first.ended;
    await fleet.agent('b');
    await until(async () => (await fleet.home.lines('ledger')).length === 2, 'the second attempt');
    const [left = ''] = await fleet.home.lines('ledger');
    expect(isAlive(Number(left)), 'nobody has ended it yet').toBe(true);
    const again = await fleet.agent('a');
    await again.until('it has cleared up', () => again.stdout.includes('is set aside'));
    expect(isAlive(Number(left))).toBe(false);
    await writeFile(go, '');
    const task = await fleet.has(id, 'succeeded');
    expect(task).toMatchObject({ attempt: 2, agent_id: 'b' });
    expect(await readdir(fleet.path('a', 'runs'))).toEqual([`${task.run_id}.attempt-1`]);
    expect(await fleet.home.lines('ledger')).toHaveLength(2);
    const { text } = await fleet.send('GET', '/metrics');
    expect(text).toContain('jarvas_task_requeues_total 1');
    expect(text).toContain('jarvas_runs_total{action="check",status="succeeded",tenant="default"} 1'); // J28
  });

  // A lease that outlives the restart: nobody but the killed agent itself may go on.
  test.for([
    ['agent:taken', 2],
    ['agent:begun', 2],
    ['agent:ran', 1],
    ['agent:spooled', 1],
    ['agent:file', 1],
    ['agent:file#3', 1],
    ['agent:uploaded', 1],
    ['agent:recorded', 1],
  ] as const)('J11 at %s: its result is recorded once', async ([point, attempt], { fleet }) => {
    // Where nothing had run the lease has to run out; where something had, it must not.
    await fleet.serve({ JARVAS_LEASE_S: attempt === 2 ? '6' : '60' });
    const id = await fleet.command(`echo $JARVAS_RUN_ID >> ${fleet.path('ledger')}`);
    const first = await fleet.agent('a', { env: { REEVE_STOP_AT: point } });
    expect(await first.ended).toMatchObject({ signal: 'SIGKILL' });
    const again = await fleet.agent('a');
    const task = await fleet.has(id, 'succeeded');
    expect(task.attempt).toBe(attempt);
    expect(await fleet.home.lines('ledger')).toEqual([task.run_id]);
    expect(await fleet.file(task, 'artifacts/summary.json')).toContain('"SUCCESS"');
    expect(await fleet.audited('task.result')).toBe(1);
    await until(
      async () => (await readdir(fleet.path('a', 'data', 'agent', 'spool'))).length === 0,
      'an empty spool',
    );
    again.kill('SIGTERM');
    expect((await again.ended).code).toBe(0);
  });
});

describe.concurrent('an agent and its control plane', () => {
  test('J12 J15 the control plane killed while a task runs: the result is recorded once', async ({
    fleet,
  }) => {
    await fleet.serve({ JARVAS_LEASE_S: '30' });
    const agent = await fleet.agent('a');
    const go = fleet.path('go');
    const id = await fleet.command(
      `${LEDGER.replace('../../ledger', fleet.path('ledger'))}; while ! test -e ${go}; do sleep 0.05; done`,
    );
    await fleet.has(id, 'running');
    await fleet.killPlane();
    await writeFile(go, '');
    await agent.until('it has run', () => agent.stdout.includes('has succeeded'));
    await fleet.serve({ JARVAS_LEASE_S: '30' });
    expect(await fleet.has(id, 'succeeded')).toMatchObject({ attempt: 1 });
    expect(await fleet.home.lines('ledger')).toHaveLength(1);
  });

  test('J15 the network cut past the lease: the attempt of another counts, and its files lie beside', async ({
    fleet,
  }) => {
    await fleet.serve();
    const proxy = await fleet.proxy();
    const ledger = fleet.path('ledger');
    const first = await fleet.agent('a', { url: proxy.url });
    const id = await fleet.command(`echo $$ >> ${ledger}; test $(wc -l < ${ledger}) = 2 || sleep 60`);
    await until(async () => (await fleet.home.lines('ledger')).length === 1, 'the first attempt');
    proxy.cut();
    await fleet.agent('b');
    const task = await fleet.has(id, 'succeeded');
    expect(task).toMatchObject({ attempt: 2, agent_id: 'b' });
    proxy.mend();
    await first.until('it knows', () => first.stdout.includes("is kept beside the winner's"));
    expect(await fleet.file(task, 'attempts/1/artifacts/summary.json')).toContain('"FAILED"');
    expect(await fleet.file(task, 'artifacts/summary.json')).toContain('"SUCCESS"');
    expect(await fleet.audited('task.result')).toBe(1);
  });

  test('J15 the network cut for less than the lease: the result comes later, once', async ({ fleet }) => {
    await fleet.serve({ JARVAS_LEASE_S: '30' });
    const proxy = await fleet.proxy();
    const go = fleet.path('go');
    const agent = await fleet.agent('a', { url: proxy.url });
    const id = await fleet.command(
      `echo x >> ${fleet.path('ledger')}; while ! test -e ${go}; do sleep 0.05; done`,
    );
    await fleet.has(id, 'running');
    proxy.cut();
    await writeFile(go, '');
    await agent.until('it has run', () => agent.stdout.includes('has succeeded'));
    proxy.mend();
    expect(await fleet.has(id, 'succeeded')).toMatchObject({ attempt: 1 });
    expect(await fleet.home.lines('ledger')).toEqual(['x']);
  });

  test('J13 cancel ends a command that ignores TERM', async ({ fleet }) => {
    await fleet.serve();
    await fleet.agent('a');
    const id = await fleet.command(
      `trap '' TERM; echo $$ > ${fleet.path('pid')}; while :; do sleep 0.1; done`,
    );
    await until(async () => (await fleet.home.lines('pid')).length === 1, 'the command');
    const [pid = ''] = await fleet.home.lines('pid');
    expect((await fleet.send('POST', `/tasks/${id}/cancel`, {})).status).toBe(200);
    expect((await fleet.has(id, 'cancelled')).result).toMatchObject({ outcome: 'cancelled', exit_code: 143 });
    expect(isAlive(Number(pid))).toBe(false);
  });

  test('SIGTERM drains: what runs is stopped, told, and nothing is left', async ({ fleet }) => {
    await fleet.serve();
    const agent = await fleet.agent('a', { env: { JARVAS_DRAIN_S: '0' } });
    const id = await fleet.command('exec sleep 600');
    await fleet.has(id, 'running');
    agent.kill('SIGTERM');
    expect((await agent.ended).code).toBe(0);
    expect((await fleet.view(id)).status).toBe('cancelled');
    expect(await readdir(fleet.path('a', 'data', 'agent', 'spool'))).toEqual([]);
  });

  test('a drained agent takes nothing; resumed, it does', async ({ fleet }) => {
    await fleet.serve();
    const agent = await fleet.agent('a');
    await agent.until('it is known', () => agent.stdout.includes('is registered'));
    expect((await fleet.send('POST', '/agents/a/drain', {})).status).toBeLessThan(300);
    await agent.until('it knows', () => agent.stdout.includes('drained'));
    const id = await fleet.command('true');
    expect((await fleet.view(id)).status).toBe('queued');
    await fleet.send('POST', '/agents/a/resume', {});
    await fleet.has(id, 'succeeded');
  });

  test('J8 a registration whose answer was lost is answered again, with the same token', async ({
    fleet,
  }) => {
    await fleet.serve();
    // The first answer never arrives: it is killed before it can be written down.
    const { home } = fleet;
    await home.write('a/data/agent/registration-key', 'a-key-of-before\n');
    const body = JSON.stringify({ agent_id: 'a' });
    const lost = await fetch(`http://${fleet.address}/register`, {
      method: 'POST',
      body,
      headers: {
        authorization: 'Bearer enrolment-of-this-test',
        'idempotency-key': 'a-key-of-before',
        'content-type': 'application/json',
      },
    });
    expect(lost.status).toBe(200);
    // The agent says more of itself than that: not the same registration, and it must not hang on to the key for ever.
    const agent = await fleet.agent('a');
    expect((await agent.ended).stderr).toContain('Idempotency-Key');
    expect((await (await fleet.agent('a')).ended).stderr).toContain('knows an agent a already');
    expect((await fleet.send('DELETE', '/agents/a')).status).toBeLessThan(300);
    const known = await fleet.agent('a');
    await known.until('it is known', () => known.stdout.includes('is registered'));
  });

  test('refusals of its own: another agent in its directory, a wrong token, root', async ({ fleet }) => {
    await fleet.serve();
    const agent = await fleet.agent('a');
    await agent.until('it is known', () => agent.stdout.includes('is registered'));
    const twins = await Promise.all([fleet.agent('a'), fleet.agent('a')]);
    for (const twin of twins) expect((await twin.ended).stderr).toContain('another agent (process');
    const stranger = await fleet.agent('b', { env: { JARVAS_ENROL_TOKEN: 'a-token-of-nobody-at-all' } });
    const refused = await stranger.ended;
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('E_SERVICE_REFUSED');
    expect(refused.stdout + refused.stderr).not.toContain('a-token-of-nobody-at-all');
    if (process.getuid?.() !== 0) return;
    const root = await (await fleet.agent('c', { env: { JARVAS_ALLOW_ROOT: '' } })).ended;
    expect(root.code).not.toBe(0);
    expect(root.stderr).toContain('does not run as root');
    await expect(stat(fleet.path('c', 'data'))).rejects.toThrow('ENOENT');
  });

  test('of ten that begin at once in one directory, one works', async ({ fleet }) => {
    await fleet.serve();
    const ten = await Promise.all(Array.from({ length: 10 }, () => fleet.agent('a')));
    await until(() => ten.filter(({ isOver }) => isOver).length === 9, 'the end of nine');
    const one = ten.find(({ isOver }) => !isOver);
    expect(one?.isOver).toBe(false);
    const lock = await readFile(fleet.path('a', 'data', 'agent', 'agent.lock'), 'utf8');
    expect(JSON.parse(lock).pid).toBe(one?.pid);
  });
});
