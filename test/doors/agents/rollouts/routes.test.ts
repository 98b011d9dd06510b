// Rollouts as they are asked for over HTTP, by a control plane with everything but files.
import { describe, expect } from 'vitest';
import { rolloutsPart } from '../../../../src/doors/agents/control/rollouts/part.ts';
import { SKILL, test, type Any, type Plane } from '../control-rig.ts';

const parts = [rolloutsPart({ files: { open: async () => undefined }, note: () => undefined })];
const ASKED = { name: 'r', skill: SKILL, target: { labels: { zone: 'a' } } };

async function stateOf(plane: Plane, id: string): Promise<string> {
  return (await plane.ask('GET', `/rollouts/${id}`)).json.state;
}

describe('J25 rollouts over HTTP', () => {
  test('from canary to the end, by agents that poll', async ({ open }) => {
    const plane = await open({ parts });
    const agents = await Promise.all(
      ['a', 'b', 'c'].map((id) => plane.register(id, { labels: { zone: 'a' } })),
    );
    const criteria = { max_failures: 0, max_findings: { high: 0 }, bake_s: 0 };
    const created = await plane.ask('POST', '/rollouts', { ...ASKED, criteria });
    expect([created.status, created.json]).toEqual([
      201,
      { rollout_id: expect.any(String), state: 'canary_running' },
    ]);
    const id: string = created.json.rollout_id;
    const work = async (): Promise<number> => {
      let done = 0;
      for (const agent of agents) {
        const task = (await agent.poll()) as Any;
        if (task === null) continue;
        expect(task.rollout_id).toBe(id);
        expect((await agent.result(task)).status).toBe(200);
        done += 1;
      }
      return done;
    };
    expect(await work()).toBe(1);
    await expect.poll(() => stateOf(plane, id)).toBe('awaiting_review');
    expect(await work()).toBe(0);
    const late = { reason: 'go', expected_state: 'canary_running' };
    expect((await plane.ask('POST', `/rollouts/${id}/promote`, late)).status).toBe(409);
    expect((await plane.ask('POST', `/rollouts/${id}/promote`, {})).status).toBe(422);
    expect((await plane.ask('POST', `/rollouts/${id}/promote`, { reason: 'go' })).status).toBe(200);
    await expect
      .poll(async () => (await work()) + ((await stateOf(plane, id)) === 'completed' ? 9 : 0))
      .toBe(9);
    const { json } = await plane.ask('GET', `/rollouts/${id}`);
    expect(json.tasks).toHaveLength(3);
    expect(json.tasks[0].artifacts).toBe(`/runs/${json.tasks[0].run_id}`);
    const audited = (await plane.ask('GET', '/audit?limit=500')).json.entries
      .filter(({ object }: Any) => object === `rollout/${id}`)
      .map(({ action }: Any) => action);
    expect(audited.slice(0, 4)).toEqual([
      'rollout.create',
      'rollout.start',
      'rollout.evaluate',
      'rollout.promote',
    ]);
    expect(audited.at(-1)).toBe('rollout.completed');
  });

  test('what no task may be, no rollout may be either', async ({ open }) => {
    const plane = await open({ parts });
    await plane.register('a', { labels: { zone: 'a' } });
    const refused = async (more: object): Promise<unknown[]> => {
      const { status, json } = await plane.ask('POST', '/rollouts', { ...ASKED, ...more });
      return [status, json.error.code];
    };
    expect(await refused({ skill: { name: 'unlisted', version: '1.0.0' } })).toEqual([
      422,
      'unverified_command',
    ]);
    expect(await refused({ args: { password: 'hunter22hunter22' } })).toEqual([422, 'invalid_field']);
    expect(await refused({ criteria: { health_gate: { url: 'file:///etc/passwd' } } })).toEqual([
      422,
      'invalid_field',
    ]);
    expect(await refused({ args: { text: '\ud800' } })).toEqual([422, 'invalid_field']);
    expect(await refused({ tenant: 'acme' })).toEqual([403, 'forbidden']);
    expect((await plane.ask('GET', '/rollouts')).json).toEqual({ rollouts: [] });
    for (const cursor of ['', '0', '-1', '1e3', 'x'])
      expect((await plane.ask('GET', `/rollouts?cursor=${cursor}`)).status).toBe(422);
  });

  test('J27 another tenant sees no rollout, and does nothing to it', async ({ open }) => {
    const plane = await open({ parts });
    await plane.register('a', { labels: { zone: 'a' } });
    const headers = { 'idempotency-key': 'one' };
    const { json } = await plane.ask('POST', '/rollouts', ASKED, { headers });
    expect((await plane.ask('POST', '/rollouts', ASKED, { headers })).json).toEqual(json);
    const token = plane.tokens('acme').operator;
    const path = `/rollouts/${json.rollout_id}`;
    expect((await plane.send('GET', path, { token })).status).toBe(404);
    expect((await plane.send('POST', `${path}/abort`, { token, body: { reason: 'x' } })).status).toBe(404);
    expect((await plane.send('GET', '/rollouts', { token })).json).toEqual({ rollouts: [] });
  });
});
