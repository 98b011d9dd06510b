// Who is called for what waits, without an engine below.
import { expect, onTestFinished, test } from 'vitest';
import type { Agent } from '../../../src/doors/agents/control/agent-rows.ts';
import { Dispatch } from '../../../src/doors/agents/control/board/dispatch.ts';
import type { LiveTask, Tasks } from '../../../src/doors/agents/control/board/tasks.ts';
import { systemClock } from '../../../src/engine/system.ts';

function agent(id: string): Agent {
  return {
    tenant: 'default',
    id,
    about: { labels: {}, skills: [], max_parallel: 1 },
    drained: false,
  } as unknown as Agent;
}

function task(id: string, order: number): LiveTask {
  const view = { task_id: id, tenant: 'default', target: { any: true }, priority: 0, status: 'queued' };
  return { record: { view }, order } as unknown as LiveTask;
}

test('J9 two tasks that come at once call two agents: none is called twice while another sleeps', async () => {
  const live = new Map([task('1', 1), task('2', 2)].map((each) => [each.record.view.task_id, each]));
  const tasks = {
    get: (id: string) => live.get(id),
    inLane: async (_: LiveTask, work: () => Promise<unknown>) => work(),
    execute: async (each: LiveTask) => ({
      ...each.record,
      lease: { id: each.record.view.task_id, attempt: 1 },
    }),
  } as unknown as Tasks;
  const dispatch = new Dispatch({
    tasks,
    clock: systemClock,
    leaseMs: 1000,
    agentNow: (one) => one,
    mayHandOut: () => true,
    isApproved: () => true,
    onLeased: () => undefined,
    note: () => undefined,
  });
  onTestFinished(() => dispatch.stop());
  const { signal } = new AbortController();
  const polls = ['a', 'b'].map((id) => dispatch.poll(agent(id), 60_000, signal));
  for (const each of live.values()) dispatch.offer(each);
  const handed = await Promise.all(polls);
  expect(new Set(handed.map((each) => each?.task_id))).toEqual(new Set(['1', '2']));
});
