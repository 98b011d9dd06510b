// The network between an agent and its control plane away for a minute, in a network namespace: packets vanish, and no
// connection is told of it (contract agents §2.2; J11, J15).
import { writeFile } from 'node:fs/promises';
import { expect, vi } from 'vitest';
import { commandEntry } from '../doors/agents/agent/fleet-rig.ts';
import { test } from './agent-rig.ts';
import { Cable } from './cable.ts';
import { until } from './rig.ts';

vi.setConfig({ testTimeout: 600_000 });

const CUT_MS = 60_000;
/** Longer than the cut; the other one of them is shorter. */
const LONG_LEASE_S = '150';
/** A call that began in the silence waits at most for its own timeout and a pause, milliseconds. */
const BACK_MS = 150_000;

const laid = test.extend('cable', async ({ skip }, { onCleanup }) => {
  const found = process.platform === 'linux' ? Cable.lay() : { problem: 'there are no namespaces here' };
  if ('problem' in found) {
    process.stderr.write(`NOT TESTED, the network cut: ${found.problem}\n`);
    return skip(found.problem);
  }
  onCleanup(() => found.cable.remove());
  return found.cable;
});

/** Reachable from the far end of the cable, and from here. */
const OPEN = ['--host', '0.0.0.0', '--allow-non-loopback'];

laid(
  'J15 the network silent for 60 s, less than the lease: each result comes once, nothing runs again',
  async ({ cable, fleet }) => {
    await fleet.serve({ JARVAS_LEASE_S: LONG_LEASE_S }, OPEN);
    const url = `http://${cable.address}:${fleet.address.split(':')[1]}`;
    const agent = await fleet.agent('far', { url, under: cable.under, flags: ['--parallel', '2'] });
    const go = fleet.path('go');
    const ledger = fleet.path('ledger');
    const command = [
      'sh',
      '-c',
      `echo $JARVAS_RUN_ID >> ${ledger}; while ! test -e ${go}; do sleep 0.05; done`,
    ];
    const quick = ['sh', '-c', `echo $JARVAS_RUN_ID >> ${ledger}`];
    await fleet.publish(commandEntry(command), commandEntry(quick));
    const during = await fleet.task({ command });
    await until(async () => (await fleet.home.lines('ledger')).length === 1, 'the command');

    cable.cut();
    const mendedAt = performance.now() + CUT_MS;
    await writeFile(go, '');
    await agent.until('it has run', () => agent.stdout.includes('has succeeded'));
    // Handed out into the silence, perhaps: whoever asked never hears of it.
    const queued = await fleet.task({ command: quick, max_attempts: 3 });
    await until(() => performance.now() > mendedAt, 'the end of the cut', CUT_MS + 10_000);
    expect((await fleet.view(during)).status).toBe('running');
    cable.mend();

    const ended = await fleet.has(during, 'succeeded', BACK_MS);
    process.stderr.write(
      `the result was there ${((performance.now() - mendedAt) / 1000).toFixed(1)} s after the cut\n`,
    );
    expect(ended.attempt).toBe(1);
    expect(await fleet.file(ended, 'artifacts/summary.json')).toContain('"SUCCESS"');
    const then = await fleet.has(queued, 'succeeded', BACK_MS + Number(LONG_LEASE_S) * 1000);
    process.stderr.write(
      `the next task, attempt ${then.attempt}, ended ${((performance.now() - mendedAt) / 1000).toFixed(1)} s after the cut\n`,
    );
    expect(await fleet.home.lines('ledger')).toEqual([ended.run_id, then.run_id]);
    expect(await fleet.audited('task.result')).toBe(2);
  },
);

laid(
  "J11 J15 the network silent for 60 s, longer than the lease: one re-queue, the other's result counts",
  async ({ cable, fleet }) => {
    await fleet.serve({ JARVAS_LEASE_S: '10' }, OPEN);
    const url = `http://${cable.address}:${fleet.address.split(':')[1]}`;
    const far = await fleet.agent('far', { url, under: cable.under });
    const ledger = fleet.path('ledger');
    const id = await fleet.command(`echo $$ >> ${ledger}; test $(wc -l < ${ledger}) = 2 || exec sleep 600`);
    await until(async () => (await fleet.home.lines('ledger')).length === 1, 'the first attempt');

    cable.cut();
    const mendedAt = performance.now() + CUT_MS;
    await fleet.agent('near');
    const task = await fleet.has(id, 'succeeded', CUT_MS);
    expect(task).toMatchObject({ attempt: 2, agent_id: 'near' });
    await until(() => performance.now() > mendedAt, 'the end of the cut', CUT_MS + 10_000);
    cable.mend();

    await until(() => far.stdout.includes("is kept beside the winner's"), 'what the first found', BACK_MS);
    process.stderr.write(`it knew ${((performance.now() - mendedAt) / 1000).toFixed(1)} s after the cut\n`);
    expect(await fleet.file(task, 'attempts/1/artifacts/summary.json')).toContain('"FAILED"');
    expect(await fleet.file(task, 'artifacts/summary.json')).toContain('"SUCCESS"');
    expect(await fleet.home.lines('ledger')).toHaveLength(2);
    expect(await fleet.audited('task.result')).toBe(1);
    const { text } = await fleet.send('GET', '/metrics');
    expect(text).toContain('jarvas_task_requeues_total 1');
  },
);
