// Many agents at once (contract agents §2.1, J10).
import { expect } from 'vitest';
import { test } from './control-rig.ts';

test('J10 100 agents run 1000 tasks, each once', async ({ open }) => {
  const plane = await open();
  const agents = await Promise.all(Array.from({ length: 100 }, (_, at) => plane.register(`agent-${at}`)));
  const ran: string[] = [];
  const loops = agents.map(async (agent) => {
    while (ran.length < 1000) {
      const task = await agent.poll(1);
      if (task === null) continue;
      ran.push(task.task_id);
      await agent.start(task);
      await agent.result(task);
    }
  });
  const created: string[] = [];
  for (let at = 0; at < 50; at += 1)
    created.push(...(await Promise.all(Array.from({ length: 20 }, () => plane.task()))));
  await Promise.all(loops);
  expect(ran.toSorted()).toEqual(created.toSorted());
  const text = await plane.metrics.text();
  expect(text).toContain('jarvas_runs_total{action="check",status="succeeded",tenant="default"} 1000');
  expect(text).toContain('jarvas_task_requeues_total 0');
});

test('J9 of 1000 agents that wait, the right one gets the task', async ({ open }) => {
  const plane = await open();
  const agents = await Promise.all(Array.from({ length: 1000 }, (_, at) => plane.register(`agent-${at}`)));
  const gone = new AbortController();
  const polls = agents.map((agent) => agent.poll(30, gone.signal).catch(() => null));
  const taskId = await plane.task({ target: { agent_ids: ['agent-777'] } });
  expect(await polls[777]).toMatchObject({ task_id: taskId });
  gone.abort();
  await Promise.all(polls);
});
