import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { AllowListFile } from '../../../../src/doors/agents/agent/downloads.ts';
import { generatePrivateKey, privateKeyFrom } from '../../../../src/policy/keys.ts';
import { KEY } from '../control-rig.ts';
import {
  commandEntry,
  ended,
  ledgerOf,
  listOf,
  packageOf,
  publishSkill,
  skillEntry,
  test,
} from './fleet-rig.ts';

const PATIENCE = { timeout: 60_000, interval: 50 };

describe('an agent', () => {
  test('J8 J9 runs a verified skill, and its artifacts are at the control plane', async ({ fleet }) => {
    const plane = await fleet.plane();
    const skill = packageOf('greet', "console.log('hello', ...process.argv.slice(2));", {
      args: [{ name: 'who', type: 'string' }],
    });
    await publishSkill(plane, 'greet', skill);
    await plane.publish('default', listOf([skillEntry('greet', skill)]));
    const agent = await fleet.agent(plane, 'web-1');
    const id = await plane.task({
      action: 'greet',
      command: undefined,
      skill: { name: 'greet', version: '1.0.0' },
      args: { who: '$(id) `x` "y"' },
    });
    const task = await ended(plane, id, 'succeeded');
    expect(task.result).toMatchObject({ outcome: 'succeeded', exit_code: 0, summary: { status: 'SUCCESS' } });
    const output = await plane.ask('GET', `/runs/${task.run_id}/files/artifacts/output.raw`);
    expect(output.text).toBe('hello --who=$(id) `x` "y"\n'); // J18
    const log = await plane.ask('GET', `/runs/${task.run_id}/files/logs/step_greet.log`);
    expect(log.text).toMatch(/^PHASE: STARTING_EXECUTION\nRun ID: /);
    expect(log.text).toMatch(/PHASE: COMPLETED\nEXIT:0\n$/);
    const meta = await plane.ask('GET', `/runs/${task.run_id}/files/artifacts/meta.json`);
    expect(meta.json).toMatchObject({ agent_id: 'web-1', attempt: 1, outcome: 'succeeded' });
    await agent.stop();
    expect(agent.notes.filter((note) => note.startsWith('failed'))).toEqual([]);
  });

  test('J8 keeps its identity over a restart; without its token it is an impostor', async ({ fleet }) => {
    const plane = await fleet.plane();
    const first = await fleet.agent(plane, 'web-1');
    await expect.poll(() => first.notes.join('\n'), PATIENCE).toContain('is registered');
    await first.stop();
    const again = await fleet.agent(plane, 'web-1');
    await expect.poll(() => again.notes.join('\n'), PATIENCE).toContain('is registered');
    await again.stop();
    const impostor = await fleet.agent(plane, 'web-1', { dataDir: join(fleet.dir, 'elsewhere') });
    await expect.poll(() => impostor.notes.join('\n'), PATIENCE).toContain('knows an agent web-1 already');
  });

  test('J13 a running command is stopped on request, and says so', async ({ fleet }) => {
    const plane = await fleet.plane();
    const command = ['sleep', '600'];
    await plane.publish('default', listOf([commandEntry(command)]));
    await fleet.agent(plane, 'web-1');
    const id = await plane.task({ command });
    await ended(plane, id, 'running');
    expect((await plane.ask('POST', `/tasks/${id}/cancel`, { reason: 'enough' })).status).toBe(200);
    const task = await ended(plane, id, 'cancelled');
    expect(task.result).toMatchObject({ outcome: 'cancelled', exit_code: 143 });
  });

  test('J15 a result is delivered once, after the control plane was away and the agent was restarted', async ({
    fleet,
  }) => {
    const plane = await fleet.plane();
    const { path, lines } = await ledgerOf(fleet.dir);
    const command = [
      'sh',
      '-c',
      `echo $JARVAS_RUN_ID >> ${path}; while ! test -e ${path}.go; do sleep 0.05; done`,
    ];
    await plane.publish('default', listOf([commandEntry(command)]));
    const agent = await fleet.agent(plane, 'web-1', { drainS: 30 });
    const id = await plane.task({ command });
    await ended(plane, id, 'running');
    const { url } = plane;
    await plane.close();
    await writeFile(`${path}.go`, '');
    await expect.poll(() => agent.notes.join('\n'), PATIENCE).toContain('has succeeded');
    await agent.stop();
    await plane.open();
    expect(url).not.toBe(plane.url); // another port: its agents are told by their configuration
    await fleet.agent(plane, 'web-1');
    await ended(plane, id, 'succeeded');
    expect(await lines()).toHaveLength(1);
    const { json } = await plane.ask('GET', '/audit');
    expect(JSON.stringify(json).match(/task\.result/g)?.length ?? 1).toBe(1);
  });
});

describe('J16 what is not verified is refused, and nothing is executed', () => {
  const EVE = privateKeyFrom(generatePrivateKey(), 'eve');
  const cases = [
    ['bad_signature', { keys: [EVE] }, {}],
    ['expired', { expires_at: '2026-01-02T00:00:00Z' }, {}],
    ['raw_disabled', {}, { allowRaw: false }],
  ] as const;
  for (const [reason, list, settings] of cases) {
    test(reason, async ({ fleet }) => {
      const { path, lines } = await ledgerOf(fleet.dir);
      const command = ['sh', '-c', `echo x >> ${path}`];
      // This control plane believes whoever signs: the agent does not.
      const plane = await fleet.plane({
        keys: [EVE.publicKey, KEY.publicKey],
      });
      await plane.publish('default', listOf([commandEntry(command)]));
      const id = await plane.task({ command });
      await plane.close();
      vi.spyOn(AllowListFile.prototype, 'refresh').mockImplementation(async () => undefined);
      const dataDir = join(fleet.dir, 'agents', 'web-1', 'data');
      await mkdir(dataDir, { recursive: true });
      await writeFile(join(dataDir, 'allowlist.json'), listOf([commandEntry(command)], list));
      await plane.open();
      const agent = await fleet.agent(plane, 'web-1', settings);
      const task = await ended(plane, id, 'refused');
      expect(task.result).toMatchObject({ outcome: 'refused', exit_code: 126, reason });
      expect(await lines()).toEqual([]);
      const log = await readFile(join(agent.runsDir, task.run_id, 'logs', 'step_check.log'), 'utf8');
      expect(log).toContain(`PHASE: REFUSED ${reason}\n`);
      vi.restoreAllMocks();
    });
  }
});

test('J10 5 agents and 30 tasks: each is executed once', { timeout: 90_000 }, async ({ fleet }) => {
  const plane = await fleet.plane();
  const { path, lines } = await ledgerOf(fleet.dir);
  const command = ['sh', '-c', `echo $JARVAS_RUN_ID >> ${path}`];
  await plane.publish('default', listOf([commandEntry(command)]));
  for (let index = 0; index < 5; index += 1) await fleet.agent(plane, `agent-${index}`, { maxParallel: 2 });
  await Promise.all(Array.from({ length: 30 }, () => plane.task({ command })));
  await vi.waitFor(
    async () => {
      const { json } = await plane.ask('GET', '/tasks?status=succeeded&limit=500');
      expect(json.tasks).toHaveLength(30);
    },
    { timeout: 80_000, interval: 250 },
  );
  const executed = await lines();
  expect(executed).toHaveLength(30);
  expect(new Set(executed).size).toBe(30);
});
