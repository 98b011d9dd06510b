// Recovery actions that are carried out (contract arp §4.8, ours).
import { describe, expect } from 'vitest';
import { ECHO } from './coordinator-rig.ts';
import { openDispatching, PlayedAtomic, PlayedComposite, type DispatchChoices } from './dispatch-rig.ts';
import { test, type Stack } from './support.ts';

const FAIL = { status: 'fail' };

/** A composite run with one child that has failed. */
async function withFailedChild(stack: Stack, choices: DispatchChoices = {}) {
  const atomic = new PlayedAtomic(({ inputs }) =>
    'fails' in (inputs as object)
      ? { state: 'failed', error: { code: 'no', message: 'no' } }
      : { outputs: { ok: true } },
  );
  const opened = await openDispatching(stack, {
    atomic,
    composite: new PlayedComposite(),
    recovery: 'act',
    autoDispatch: false,
    ...choices,
  });
  const { runId, rootId } = await opened.composite();
  const { json } = await opened.create(runId, rootId, { inputs: { echo: 'a' } });
  const id: string = json.node_runs[0].node_run_id;
  await opened.complete(id, { state: 'failed', error: { code: 'no', message: 'no' } });
  const report = (recovery_action: object, of = id) =>
    opened.send('POST', `/v1/node-runs/${of}:evaluation`, { evaluation_result: FAIL, recovery_action });
  return { ...opened, runId, rootId, id, report };
}

describe('recovery actions', () => {
  test('by default they are recorded and nothing else (G22)', async ({ stack }) => {
    const { report, nodeRun, id, runId, events } = await withFailedChild(stack, { recovery: 'record' });
    expect((await report({ type: 'retry' })).status).toBe(204);
    expect((await nodeRun(id))['recovery_actions']).toEqual([{ type: 'retry' }]);
    const types = (await events(`/v1/runs/${runId}/events`)).map(({ type }) => type);
    expect(types.filter((type) => type === 'composite_decomposed')).toHaveLength(1);
    expect(types.slice(-2)).toEqual(['node_evaluated', 'recovery_applied']);
  });

  test('retry: the same once more beside it, once however often it is reported', async ({ stack }) => {
    const { report, nodeRun, id, rootId } = await withFailedChild(stack);
    for (let times = 0; times < 2; times += 1) await report({ type: 'retry' });
    const { applied, node_run_id } = (await nodeRun(id))['extensions']['reeve.recovery'];
    expect(applied).toBe(true);
    expect(await nodeRun(node_run_id)).toMatchObject({
      state: 'queued',
      parent_node_run_id: rootId,
      node_type_ref: ECHO,
      inputs: { echo: 'a' },
    });
    expect((await nodeRun(id))['state']).toBe('failed');
  });

  test('remap: another type with the same inputs', async ({ stack }) => {
    const { report, nodeRun, id } = await withFailedChild(stack);
    const other = { node_type_id: 'atomic.other', version: '2' };
    await report({ type: 'remap', target_node_type_ref: other });
    const { node_run_id } = (await nodeRun(id))['extensions']['reeve.recovery'];
    expect(await nodeRun(node_run_id)).toMatchObject({ node_type_ref: other, inputs: { echo: 'a' } });
  });

  test('abort: the target fails, and the run with its root', async ({ stack }) => {
    const { report, get, runId, rootId, nodeRun } = await withFailedChild(stack);
    await report({ type: 'abort', target_node_run_id: rootId, message: 'enough' });
    expect((await get(`/v1/runs/${runId}`)).json.state).toBe('failed');
    expect((await nodeRun(rootId))['extensions'].completion_error).toEqual({
      code: 'aborted',
      message: 'enough',
    });
  });

  test('ask_user: the run is held by a decision, and goes on once that is approved', async ({ stack }) => {
    const { report, engine, runId, id, nodeRun } = await withFailedChild(stack);
    await report({ type: 'ask_user', message: 'go on?' });
    expect((await engine.state(runId)).standing).toEqual({ phase: 'held', hold: 'decision' });
    const { checkpoint_id } = (await nodeRun(id))['extensions']['reeve.recovery'];
    const checkpoint = Number(checkpoint_id.slice(3));
    await engine.execute(runId, { type: 'approve', checkpoint, by: 'ann', reason: 'yes' });
    expect((await engine.state(runId)).standing).toEqual({ phase: 'running' });
  });

  test.for([
    [{ type: 'retry', target_node_run_id: 'nobody' }, /no such NodeRun/],
    [{ type: 'remap' }, /names the node type/],
    [{ type: 'decompose_further' }, /whoever drives/],
    [{ type: 'abort' }, /is over/],
  ] as const)('what cannot be done is taken and says why: %o', async ([action, why], { stack }) => {
    const { report, nodeRun, id } = await withFailedChild(stack);
    expect((await report(action)).status).toBe(204);
    const { applied, reason } = (await nodeRun(id))['extensions']['reeve.recovery'];
    expect(applied).toBe(false);
    expect(reason).toMatch(why);
  });
});
