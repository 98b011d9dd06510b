// Runs of the coordinator over HTTP: start, read, cancel.
import { describe, expect } from 'vitest';
import { ECHO, openCoordinator } from './coordinator-rig.ts';
import { hasNull, test } from './support.ts';

describe('starting', () => {
  test('G2 both paths start a run that can be read', async ({ stack }) => {
    const c = await openCoordinator(stack);
    for (const path of ['/v1/runs', '/v1/runs:start']) {
      const started = await c.send('POST', path, { root_node_type_ref: ECHO, input: { a: 1 } });
      expect(started.status).toBe(200);
      expect(started.json).toMatchObject({
        state: 'running',
        run_id: expect.stringMatching(/^run_[0-9a-f]{32}$/),
      });
      expect((await c.get(`/v1/runs/${started.json.run_id}`)).json).toEqual(started.json);
      const root = await c.get(`/v1/node-runs/${started.json.root_node_run_id}`);
      expect(root.json).toMatchObject({
        state: 'queued',
        kind: 'atomic',
        inputs: { a: 1 },
        node_type_ref: ECHO,
      });
      expect(hasNull(started.json) || hasNull(root.json)).toBe(false);
    }
  });

  test('G6 without dispatch there are three events, and the root stays queued', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { json: run } = await c.start();
    const events = await c.events(`/v1/runs/${run.run_id}/events`);
    expect(events.map(({ seq, type }) => [seq, type])).toEqual([
      [1, 'run_started'],
      [2, 'node_run_assigned'],
      [3, 'policy_decided'],
    ]);
    expect(events[2]?.data).toMatchObject({
      action: 'run.start',
      decision: 'allow',
      reason_code: 'policy_bypass',
    });
  });
});
