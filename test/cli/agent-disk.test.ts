// The disk of an agent fills up, and there is room again later (contract agents §2.2, §3.1; J11, J15).
import { mkdirSync, rmSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { fillUp, mountMemory, unmount } from '../store/mounts.ts';
import { commandEntry } from '../doors/agents/agent/fleet-rig.ts';
import { test as base } from './agent-rig.ts';
import { until } from './rig.ts';

const MEGABYTES = 4;

/** Mounts a small disk at this place of the home. */
const test = base.extend('disk', async ({ fleet, skip }, { onCleanup }) => {
  const mounted: string[] = [];
  onCleanup(() => {
    for (const folder of mounted) unmount(folder);
  });
  return (...names: readonly string[]): string => {
    const folder = fleet.path(...names);
    mkdirSync(folder, { recursive: true });
    if (process.getuid?.() !== 0 || !mountMemory(folder, MEGABYTES))
      skip('no file system can be mounted here');
    mounted.push(folder);
    return fleet.path(...names, 'ballast');
  };
});

describe.concurrent('a disk of an agent that is full', () => {
  test('J15 no room in the spool: what has run is delivered, nothing is taken meanwhile, and then it goes on', async ({
    disk,
    fleet,
  }) => {
    const ballast = disk('a', 'data');
    await fleet.serve();
    const agent = await fleet.agent('a');
    const [ledger, go] = [fleet.path('ledger'), fleet.path('go')];
    const command = [
      'sh',
      '-c',
      `echo $JARVAS_RUN_ID >> ${ledger}; while ! test -e ${go}; do sleep 0.05; done`,
    ];
    await fleet.publish(commandEntry(command));
    const first = await fleet.task({ command });
    await until(async () => (await fleet.home.lines('ledger')).length === 1, 'the command');

    fillUp(ballast);
    await writeFile(go, '');
    const done = await fleet.has(first, 'succeeded');
    expect(done.attempt).toBe(1);
    expect(await fleet.file(done, 'artifacts/summary.json')).toContain('"SUCCESS"');
    expect(agent.stdout).toContain('there is no room to write');
    await agent.until('it says so', () => agent.stdout.includes('it takes no task'));
    const spool = fleet.path('a', 'data', 'agent', 'spool');
    await until(async () => (await readdir(spool)).length === 0, 'an empty spool');
    const second = await fleet.task({ command });
    agent.kill('SIGTERM');
    await agent.ended;
    fillUp(`${ballast}-again`); // what it has given back
    const again = await (await fleet.agent('a')).ended;
    expect(again.code).not.toBe(0);
    expect(again.stderr).toContain('E_STORE_FULL');
    expect(await fleet.view(second)).toMatchObject({ status: 'queued', attempt: 0 });

    rmSync(ballast);
    rmSync(`${ballast}-again`);
    await fleet.agent('a');
    expect(await fleet.has(second, 'succeeded')).toMatchObject({ attempt: 1 });
    expect(await fleet.home.lines('ledger')).toEqual([done.run_id, (await fleet.view(second)).run_id]);
  });

  test('J11 no room for the files of a run: the attempt is lost, not the task, and what there is of it is kept', async ({
    disk,
    fleet,
  }) => {
    const ballast = disk('a', 'runs');
    await fleet.serve();
    const agent = await fleet.agent('a');
    const go = fleet.path('go');
    const id = await fleet.command(
      `echo x >> ${fleet.path('ledger')}; until test -e ${go}; do sleep 0.05; done`,
    );
    await until(async () => (await fleet.home.lines('ledger')).length === 1, 'the command');
    fillUp(ballast);
    await writeFile(go, '');
    await agent.until('it says so', () => /could not be worked on: .*no room/.test(agent.stdout));
    rmSync(ballast);
    const task = await fleet.has(id, 'succeeded', 60_000);
    expect(task.attempt).toBe(2);
    expect(await readdir(fleet.path('a', 'runs'))).toEqual([task.run_id, `${task.run_id}.attempt-1`]);
    expect(await fleet.home.lines('ledger')).toEqual(['x', 'x']);
  });

  test('J6 output beyond the room: the run says that bytes are missing, and is delivered', async ({
    disk,
    fleet,
  }) => {
    disk('a', 'runs');
    await fleet.serve();
    await fleet.agent('a');
    const id = await fleet.command(`yes | head -c ${MEGABYTES * 1_048_576}`);
    const task = await fleet.has(id, 'failed');
    expect(task.attempt).toBe(1);
    expect(task.result).toMatchObject({ exit_code: 125, reason: expect.stringContaining('ENOSPC') });
    expect(await fleet.file(task, 'artifacts/meta.json')).toContain('"truncated": true');
  });
});
