import { expect } from 'vitest';
import { commandEntry, listOf, test } from '../agent/fleet-rig.ts';

test('J24 J25 over HTTP: canary, review, promotion; what is wrong is told', async ({ fleet }) => {
  const plane = await fleet.plane();
  const command = ['true'];
  await plane.publish('default', listOf([commandEntry(command)]));
  for (const id of ['a', 'b', 'c']) await fleet.agent(plane, id);
  await expect
    .poll(async () => (await plane.ask('GET', '/agents')).json.agents.length, { timeout: 20_000 })
    .toBe(3);
  const asked = {
    name: 'probe',
    action: 'probe',
    command,
    target: { agent_ids: ['a', 'b', 'c'] },
    canary: { count: 1 },
    criteria: { health_gate: { url: `${plane.url}/healthz` } },
  };
  const wrong = await plane.ask('POST', '/rollouts', {
    ...asked,
    criteria: { health_gate: { url: 'file:///x' } },
  });
  expect(wrong).toMatchObject({ status: 422, json: { error: { code: 'invalid_field' } } });
  const { status, json } = await plane.ask('POST', '/rollouts', asked);
  expect(status).toBe(201);
  const path = `/rollouts/${json.rollout_id}`;
  const stateOf = async (): Promise<string> => (await plane.ask('GET', path)).json.state;
  await expect.poll(stateOf, { timeout: 20_000 }).toBe('awaiting_review');
  const { json: reviewed } = await plane.ask('GET', path);
  expect(reviewed.verdict).toMatchObject({ verdict: 'pass' });
  expect(reviewed.tasks).toHaveLength(1);
  expect((await plane.ask('POST', `${path}/promote`, {})).status).toBe(422);
  expect((await plane.ask('POST', `${path}/promote`, { reason: 'read it' })).status).toBe(200);
  await expect.poll(stateOf, { timeout: 30_000 }).toBe('completed');
  expect((await plane.ask('GET', path)).json.tasks).toHaveLength(3);
  expect((await plane.ask('POST', `${path}/abort`, { reason: 'late' })).status).toBe(409);
  const { json: listed } = await plane.ask('GET', '/rollouts?state=completed');
  expect(listed.rollouts).toHaveLength(1);
});
