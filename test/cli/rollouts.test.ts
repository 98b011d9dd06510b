// `reeve rollout` and `jarvasctl` as workflows use them: the exit code says what to do next (contract agents §7).
import { describe, expect } from 'vitest';
import { allowList, KEY, SKILL } from '../doors/agents/control-rig.ts';
import { ask, type Answer } from '../server/client.ts';
import { test, type Any, type Home } from './rig.ts';

const OPERATOR = 'operator-of-this-test';
const ENROL = 'enrolment-of-this-test';
const WHAT = ['--skill', `${SKILL.name}@${SKILL.version}`, '--label', 'zone=a'];

/** A control plane, an agent of it, and our commands against it. */
async function fleet(home: Home) {
  await home.write('key.pem', KEY.publicKey.pem);
  const running = home.start(['serve', 'control-plane', '--port', '0', '--trust-keys', 'key.pem'], {
    program: 'reeve',
    env: { JARVAS_OPERATOR_TOKEN: OPERATOR, JARVAS_ENROL_TOKEN: ENROL },
  });
  await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
  const send = (method: string, path: string, token: string, body?: unknown): Promise<Answer> =>
    ask(address, method, path, {
      ...(body === undefined ? {} : { body }),
      headers: { authorization: `Bearer ${token}` },
    });
  await send('PUT', '/allowlist', OPERATOR, JSON.parse(allowList('default')));
  const about = { agent_id: 'a', labels: { zone: 'a' } };
  const token: string = (await send('POST', '/register', ENROL, about)).json.agent_token;
  const env = { CONTROL_URL: `http://${address}`, JARVAS_OPERATOR_TOKEN: OPERATOR };
  return {
    running,
    /** The agent takes its next task, and ends it so. */
    async ends(outcome: string): Promise<Any> {
      const { task } = (await send('GET', '/task?wait=30', token)).json;
      await send('POST', `/tasks/${task.task_id}/result`, token, {
        lease_id: task.lease_id,
        outcome,
        summary: {},
      });
      return task;
    },
    rollout: (...argv: string[]) => home.run(['rollout', ...argv], { program: 'jarvasctl', env }),
    reeve: (...argv: string[]) => home.run(argv, { program: 'reeve', env }),
  };
}

describe('jarvasctl rollout', () => {
  test('J24 J25 exits 0, 1, 2 or 3, by how it stands', async ({ home }) => {
    const { running, ends, rollout } = await fleet(home);
    const [failed] = await Promise.all([rollout('start', ...WHAT, '--wait', '--json'), ends('failed')]);
    expect([failed.code, JSON.parse(failed.stdout).state]).toEqual([1, 'aborted']);
    const [passed] = await Promise.all([rollout('start', ...WHAT, '--wait', '--json'), ends('succeeded')]);
    const { state, rollout_id: id } = JSON.parse(passed.stdout);
    expect([passed.code, state]).toEqual([0, 'awaiting_review']);
    expect((await rollout('start', ...WHAT)).code).toBe(1); // one at a time
    expect((await rollout('promote', id)).code).toBe(2); // no reason
    const late = await rollout('promote', id, '--reason', 'x', '--expected-state', 'canary_running');
    expect([late.code, late.stderr]).toEqual([1, expect.stringContaining('awaiting_review') as string]);
    const done = await rollout('promote', id, '--reason', 'read it', '--wait', '--json');
    expect([done.code, JSON.parse(done.stdout).state]).toEqual([0, 'completed']);
    const waits = await rollout('start', ...WHAT, '--wait', '--timeout', '1', '--json');
    const { rollout_id: open, state: stands } = JSON.parse(waits.stdout);
    expect([waits.code, stands]).toEqual([3, 'canary_running']);
    expect((await rollout('abort', open, '--reason', 'enough')).code).toBe(0);
    expect((await rollout('wait', open, '--until-end')).code).toBe(1);
    const nobody = await rollout('start', '--skill', WHAT[1] ?? '', '--agent', 'nobody', '--wait');
    expect([nobody.code, nobody.stdout]).toEqual([1, expect.stringContaining('no agent') as string]);
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });

  test('jobs in the same store are not mixed up with tasks and rollouts', async ({ home }) => {
    const { running, ends, rollout, reeve } = await fleet(home);
    const [passed] = await Promise.all([rollout('start', ...WHAT, '--wait', '--json'), ends('succeeded')]);
    const { rollout_id: id } = JSON.parse(passed.stdout);
    expect((await rollout('promote', id, '--reason', 'go', '--wait')).code).toBe(0);
    expect(JSON.parse((await reeve('list', '--json')).stdout)).toEqual({ jobs: [] });
    const pruned = await reeve('store', 'prune', '--job-max-age', '1ms', '--json');
    expect(JSON.parse(pruned.stdout)).toMatchObject({ checked: 0, removed: 0 });
    expect((await rollout('status', id)).code).toBe(0);
    expect((await reeve('store', 'check')).code).toBe(0);
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });
});
