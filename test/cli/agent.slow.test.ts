// A fleet of agents that are killed, under a control plane that is killed (contract agents §2.2; J10, J11, J12).
import { expect, vi } from 'vitest';
import { commandEntry } from '../doors/agents/agent/fleet-rig.ts';
import { test } from './agent-rig.ts';
import { until, type Running } from './rig.ts';

const AGENTS = 100;
/** REEVE_FLEET_TASKS and REEVE_FLEET_KILLS make it larger or smaller. */
const TASKS = Number(process.env['REEVE_FLEET_TASKS'] ?? 1000);
const KILLS = Number(process.env['REEVE_FLEET_KILLS'] ?? 40);
/** REEVE_SEED repeats a run as far as chance goes; what processes do meanwhile is their own. */
const SEED = Number(process.env['REEVE_SEED'] ?? Date.now() % 1_000_000);

vi.setConfig({ testTimeout: 1_800_000 });

test(`J10 ${AGENTS} agents, ${TASKS} tasks, killed at random (REEVE_SEED=${SEED})`, async ({
  fleet,
  home,
}) => {
  const chance = chanceOf(SEED);
  // Agents are one process each, ten tasks at a time, so that the machine carries them: ten of them are a hundred hands.
  const processes = AGENTS / 10;
  const plane = { JARVAS_LEASE_S: '20' };
  await fleet.serve(plane);
  const command = ['sh', '-c', `echo $JARVAS_RUN_ID >> ${fleet.path('ledger')}`];
  await fleet.publish(commandEntry(command));
  const start = (at: number): Promise<Running> => fleet.agent(`agent-${at}`, { flags: ['--parallel', '10'] });
  const agents = await Promise.all(Array.from({ length: processes }, (_, at) => start(at)));
  const ids: string[] = [];
  for (let at = 0; at < TASKS; at += 20)
    ids.push(
      ...(await Promise.all(Array.from({ length: 20 }, () => fleet.task({ command, max_attempts: 100 })))),
    );
  for (let kill = 0; kill < KILLS; kill += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200 + chance() * 1500));
    if (chance() < 0.15) {
      await fleet.killPlane();
      await fleet.serve(plane);
      continue;
    }
    const at = Math.floor(chance() * processes);
    agents[at]?.kill('SIGKILL');
    await agents[at]?.ended;
    agents[at] = await start(at);
  }
  const count = async (status: string): Promise<number> => {
    const { text } = await fleet.send('GET', '/metrics');
    return Number(new RegExp(`^jarvas_tasks\\{status="${status}"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  };
  await until(
    async () => (await Promise.all(['queued', 'leased', 'running'].map(count))).every((left) => left === 0),
    'the end of all tasks',
    1_500_000,
  );
  const views = await Promise.all(ids.map((id) => fleet.view(id)));
  expect(views.filter(({ status }) => status !== 'succeeded')).toEqual([]);
  const ran = new Map<string, number>();
  for (const run of await home.lines('ledger')) ran.set(run, (ran.get(run) ?? 0) + 1);
  // A task ran as often as it was handed out at most, and more than once only where an agent was killed with it.
  for (const { run_id: run, attempt } of views) {
    expect(ran.get(run), run).toBeGreaterThanOrEqual(1);
    expect(ran.get(run), run).toBeLessThanOrEqual(attempt);
  }
  expect(ran.size).toBe(TASKS);
  const [again, twice] = [
    views.filter(({ attempt }) => attempt > 1).length,
    [...ran.values()].filter((times) => times > 1).length,
  ];
  // A campaign whose kills hit nothing shows nothing.
  process.stderr.write(`${KILLS} kills: ${again} tasks were handed out again, ${twice} of them had run\n`);
  if (KILLS >= 10) expect(again).toBeGreaterThan(0);
  expect(await fleet.audited('task.result')).toBeLessThanOrEqual(TASKS);
});

/** Numbers of [0, 1) that follow from the seed (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
