// What a control plane says is not believed (contract agents §5): refusals of the agent's own, and answers that are none.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { Backoff } from '../../../../src/doors/agents/agent/backoff.ts';
import type { AgentSettings } from '../../../../src/doors/agents/agent/settings.ts';
import type { AllowListEntry } from '../../../../src/policy/allow-list/schema.ts';
import { digestOfBytes } from '../../../../src/policy/allow-list/sign.ts';
import { endless, FakePlane, json, status, text } from './fake-plane.ts';
import { commandEntry, ledgerOf, listOf, packageOf, skillEntry, test as base } from './fleet-rig.ts';

const PATIENCE = { timeout: 25_000, interval: 20 };

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('fake', async ({}, { onCleanup }) => {
  const fake = await new FakePlane().open();
  onCleanup(() => fake.close());
  return fake;
});

describe('J16 an agent decides by itself, and executes nothing of', () => {
  const INNOCENT = packageOf('greet', "console.log('hello')");
  const destructive = (byDefault: boolean): Buffer =>
    packageOf('greet', "console.log('gone')", {
      destructive: true,
      args: [{ name: 'apply', type: 'bool', default: byDefault }],
    });
  const [DESTRUCTIVE, BY_DEFAULT] = [destructive(false), destructive(true)];
  const cases: readonly {
    readonly reason: string;
    readonly what: string;
    readonly skill?: Buffer;
    readonly entries: (ledger: string) => readonly AllowListEntry[];
    readonly task?: object;
    readonly lastSerial?: number;
    readonly settings?: Partial<AgentSettings>;
  }[] = [
    { reason: 'not_listed', what: 'a command that nobody has listed', entries: () => [] },
    {
      reason: 'rollback',
      what: 'a list that is older than the last',
      entries: (ledger) => [commandEntry(commandOf(ledger))],
      lastSerial: 9,
    },
    {
      reason: 'digest_mismatch',
      what: 'a package that was altered on the control plane',
      skill: packageOf(
        'greet',
        "import { appendFileSync } from 'node:fs'; appendFileSync('LEDGER', 'x\\n');",
      ),
      entries: () => [skillEntry('greet', INNOCENT)],
    },
    {
      reason: 'digest_mismatch',
      what: 'bytes that are no package',
      skill: Buffer.from('nothing of the kind'),
      entries: () => [skillEntry('greet', INNOCENT)],
    },
    {
      reason: 'not_listed',
      what: 'a package that the control plane does not have',
      entries: () => [skillEntry('greet', INNOCENT)],
      task: { skill: { name: 'greet', version: '1.0.0', digest: digestOfBytes(INNOCENT) } },
    },
    {
      reason: 'digest_mismatch',
      what: 'a package that was signed, and is not the one that the task names',
      skill: packageOf('greet', "console.log('signed later')"),
      entries: () => [skillEntry('greet', packageOf('greet', "console.log('signed later')"))],
      task: { skill: { name: 'greet', version: '1.0.0', digest: digestOfBytes(INNOCENT) } },
    },
    {
      reason: 'needs_approval',
      what: 'what is destructive, and was handed out without an approval',
      skill: DESTRUCTIVE,
      entries: () => [skillEntry('greet', DESTRUCTIVE)],
      task: { args: { apply: true } },
    },
    {
      reason: 'digest_mismatch',
      what: 'what is destructive by default, so that nobody would be asked',
      skill: BY_DEFAULT,
      entries: () => [skillEntry('greet', BY_DEFAULT)],
    },
    {
      reason: 'args_invalid',
      what: 'arguments that the skill does not have',
      skill: INNOCENT,
      entries: () => [skillEntry('greet', INNOCENT)],
      task: { args: { whom: 'you' } },
    },
    {
      reason: 'args_invalid',
      what: 'a secret that this machine does not have',
      skill: INNOCENT,
      entries: () => [skillEntry('greet', INNOCENT, { env_refs: ['NOT_HERE'] })],
      task: { env_refs: ['NOT_HERE'] },
    },
  ];
  for (const { reason, what, skill, entries, task = {}, lastSerial, settings } of cases) {
    test(`${reason}: ${what}`, async ({ fleet, fake }) => {
      const { path, lines } = await ledgerOf(fleet.dir);
      fake.allowList = listOf(entries(path));
      if (skill !== undefined) fake.packages.set('greet/1.0.0', skill);
      const about =
        skill === undefined
          ? { command: commandOf(path) }
          : { skill: { name: 'greet', version: '1.0.0', digest: digestOfBytes(skill) } };
      if (lastSerial !== undefined) {
        const data = join(fleet.dir, 'agents', 'a', 'data');
        await mkdir(data, { recursive: true });
        await writeFile(join(data, 'allowlist.serial.json'), JSON.stringify({ default: lastSerial }));
      }
      const { run_id: runId } = fake.hand('skill' in task ? task : { ...about, ...task });
      const agent = await fleet.agent(fake, 'a', { pollS: 0.05, ...settings });
      await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
      expect(fake.results[0]).toMatchObject({ outcome: 'refused', exit_code: 126, reason });
      expect(await readFile(join(agent.runsDir, runId, 'artifacts', 'output.raw'), 'utf8')).toBe('');
      expect(await lines()).toEqual([]);
    });
  }

  test('J17 what was swapped in its own cache of packages is not run, but fetched again', async ({
    fleet,
    fake,
  }) => {
    const digest = digestOfBytes(INNOCENT);
    fake.allowList = listOf([skillEntry('greet', INNOCENT)]);
    fake.packages.set('greet/1.0.0', INNOCENT);
    const packages = join(fleet.dir, 'agents', 'a', 'data', 'packages');
    await mkdir(packages, { recursive: true });
    await writeFile(join(packages, `${digest.slice(7)}.tar.gz`), packageOf('greet', "console.log('evil')"));
    const { run_id: runId } = fake.hand({ skill: { name: 'greet', version: '1.0.0', digest } });
    const agent = await fleet.agent(fake, 'a', { pollS: 0.05 });
    await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
    expect(await readFile(join(agent.runsDir, runId, 'artifacts', 'output.raw'), 'utf8')).toBe('hello\n');
  });

  test.for([302, 401, 408, 425, 429, 503])(
    'a proxy that answers %i for its package is no verdict: it is asked for again',
    async (code, { fleet, fake }) => {
      fake.allowList = listOf([skillEntry('greet', INNOCENT)]);
      fake.packages.set('greet/1.0.0', INNOCENT);
      fake.troubles.push(status(code));
      fake.hand({ skill: { name: 'greet', version: '1.0.0', digest: digestOfBytes(INNOCENT) } });
      await fleet.agent(fake, 'a', { pollS: 0.05 });
      await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
      expect(fake.results[0]).toMatchObject({ outcome: 'succeeded' });
    },
  );

  test('a key that cannot be read is a failure of this machine, and no verdict', async ({ fleet, fake }) => {
    fake.allowList = listOf([]);
    fake.hand({ command: ['true'] });
    await fleet.agent(fake, 'a', { pollS: 0.05, trustPaths: [join(fleet.dir, 'no-such-key')] });
    await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
    expect(fake.results[0]).toMatchObject({ outcome: 'failed', exit_code: 125 });
  });
});

describe('an agent and a control plane that means it ill', () => {
  const NAMES = ['../evil', '/etc/evil', '..', 'a/b', 'a\0b', '', 'x'.repeat(200)];
  test.for([
    ['no JSON', text('<html>')],
    ['a list', json([])],
    ['a task that is none', json({ task: 5 })],
    ['a task with nothing in it', json({ task: {} })],
    ['an error', status(500)],
    ['a redirection', status(302, { location: 'http://127.0.0.1:1/task' })],
    ['what has no end', endless],
  ] as const)('%s: it asks again', async ([, saying], { fleet, fake }) => {
    fake.polls.push(saying);
    await fleet.agent(fake, 'a', { pollS: 0.05 });
    await vi.waitFor(() => expect(fake.idle).toBeGreaterThan(1), PATIENCE);
    expect(await readdir(fleet.dir)).not.toContain('evil');
  });

  test('names that are paths make no file anywhere', async ({ fleet, fake }) => {
    const command = ['true'];
    fake.allowList = listOf([commandEntry(command)]);
    await mkdir(join(fleet.dir, 'agents', 'a', 'runs'), { recursive: true });
    await mkdir(join(fleet.dir, 'agents', 'a', 'evil', 'artifacts'), { recursive: true });
    for (const name of NAMES) {
      fake.hand({ command, run_id: name });
      fake.hand({ command, task_id: name });
      fake.hand({ command, action: name });
      fake.hand({ command, lease_id: name });
      fake.hand({ skill: { name, version: '1.0.0', digest: `sha256:${'0'.repeat(64)}` } });
      fake.hand({ skill: { name: 'greet', version: '1.0.0', digest: name } });
    }
    fake.hand({ command, attempt: '../../x' });
    const agent = await fleet.agent(fake, 'a', { pollS: 0.01 });
    await vi.waitFor(() => expect(fake.idle).toBeGreaterThan(1), PATIENCE);
    expect(fake.results).toEqual([]);
    expect(await readdir(agent.runsDir)).toEqual([]);
    expect(await readdir(join(fleet.dir, 'agents', 'a'))).toEqual(
      expect.arrayContaining(['data', 'evil', 'runs']),
    );
    expect(existsSync(join(fleet.dir, 'agents', 'a', 'evil.attempt-1'))).toBe(false);
    expect(await readdir(join(agent.dataDir, 'spool'))).toEqual([]);
  });

  test('numbers that are none do not make it ask in one breath', async ({ fleet, fake }) => {
    fake.registered = { lease_s: -1, poll_interval_s: 0 };
    const command = ['sh', '-c', 'sleep 0.5'];
    fake.allowList = listOf([commandEntry(command)]);
    fake.hand({ command, lease_expires_at: '2000-01-01T00:00:00Z' });
    await fleet.agent(fake, 'a', { pollS: 0.1 });
    await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
    expect(fake.results[0]).toMatchObject({ outcome: 'succeeded' });
    expect(fake.asked.filter((line) => line.endsWith('/lease')).length).toBeLessThan(10);
    expect(new Backoff(1, 100).nextMs(1e15)).toBeLessThanOrEqual(100);
  });

  test('a task that is handed out again under the same lease is run once, and not asked for in a loop', async ({
    fleet,
    fake,
  }) => {
    const { path, lines } = await ledgerOf(fleet.dir);
    const command = ['sh', '-c', `echo x >> ${path}; sleep 0.5`];
    fake.allowList = listOf([commandEntry(command)]);
    const task = fake.hand({ command });
    for (let at = 0; at < 3; at += 1) fake.hand(task);
    await fleet.agent(fake, 'a', { pollS: 0.05, maxParallel: 2 });
    await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
    expect(await lines()).toEqual(['x']);
  });

  test('the same task under a new lease: the earlier attempt is stopped first, and lies beside', async ({
    fleet,
    fake,
  }) => {
    const { path, lines } = await ledgerOf(fleet.dir);
    const command = ['sh', '-c', `echo x >> ${path}; test $(wc -l < ${path}) = 2 || sleep 60`];
    fake.allowList = listOf([commandEntry(command)]);
    const task = fake.hand({ command });
    const agent = await fleet.agent(fake, 'a', { pollS: 0.05, maxParallel: 2 });
    await vi.waitFor(async () => expect(await lines()).toHaveLength(1), PATIENCE);
    const second = fake.hand({
      ...task,
      attempt: 2,
      lease_id: '00000000-0000-4000-8000-000000000002',
    });
    await vi.waitFor(() => expect(fake.results).toHaveLength(1), PATIENCE);
    expect(fake.results[0]).toMatchObject({ lease_id: second.lease_id, outcome: 'succeeded' });
    const beside = `PUT /runs/${task.run_id}/files/attempts/1/artifacts/summary.json`;
    await vi.waitFor(() => expect(fake.asked).toContain(beside), PATIENCE);
    expect((await readdir(agent.runsDir)).toSorted()).toEqual([task.run_id, `${task.run_id}.attempt-1`]);
  });
});

function commandOf(ledger: string): readonly string[] {
  return ['sh', '-c', `echo x >> ${ledger}`];
}
