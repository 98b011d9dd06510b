// Evaluations and ends of NodeRuns over HTTP.
import { describe, expect } from 'vitest';
import type { Executor, NodeWork, RuntimeStatus } from '../../../src/engine/executor.ts';
import { inProcessCallbacks } from '../../../src/doors/arp/coordinator/in-process.ts';
import {
  ATOMIC_EXECUTOR,
  COMPOSITE_EXECUTOR,
  IDLE_QUEUE,
  QUEUE,
} from '../../../src/doors/arp/coordinator/spec.ts';
import { Worker } from '../../../src/engine/worker.ts';
import type { Opened } from './coordinator-rig.ts';
import { openCoordinator, PLANNER } from './coordinator-rig.ts';
import { test } from './support.ts';

const SUCCESS = { status: 'success', reason_code: 'checked', confidence: 0.5, details: { n: null } };

describe('evaluations', () => {
  test('G22 the last one stands on the NodeRun, each is an event, and nothing else changes', async ({
    stack,
  }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const report = (body: unknown) => c.send('POST', `/v1/node-runs/${rootId}:evaluation`, body);
    const retry = { type: 'retry', message: 'once more' };
    expect((await report({ evaluation_result: { status: 'fail' }, recovery_action: retry })).status).toBe(
      204,
    );
    const before = (await c.get(`/v1/node-runs/${rootId}`)).json;
    expect(before).toMatchObject({
      state: 'queued',
      evaluation_result: { status: 'fail' },
      recovery_actions: [retry],
    });
    expect((await report({ evaluation_result: SUCCESS, extensions: { 'a.b': 1 } })).status).toBe(204);
    const after = (await c.get(`/v1/node-runs/${rootId}`)).json;
    expect(after.evaluation_result).toEqual(SUCCESS);
    expect(after).not.toHaveProperty('recovery_actions');
    const events = (await c.events(`/v1/runs/${runId}/events`)).slice(3);
    expect(events.map(({ type, node_run_id, data }) => [type, node_run_id, data])).toEqual([
      ['node_evaluated', rootId, { status: 'fail' }],
      ['recovery_applied', rootId, retry],
      ['node_evaluated', rootId, SUCCESS],
    ]);
    expect((await report({ evaluation_result: { status: 'splendid' } })).status).toBe(400);
  });
});

describe('ends', () => {
  test('G23 G24 a child leaves its run alone, the root ends it; errors are readable', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite({ extensions: { 'kept.key': 1 } });
    const made = await c.create(runId, rootId, { extensions: { 'its.own': [] }, idempotency_key: 'k' });
    const [{ node_run_id: id }] = made.json.node_runs;
    const error = {
      code: 'my_code',
      message: 'no',
      details: { at: 1 },
      retryable: false,
      cause: { message: 'why' },
    };
    const artifacts = [{ type: 'artifact', id: 'a1' }];
    const body = { state: 'failed', outputs: { part: [1] }, output_artifacts: artifacts, error };
    expect((await c.complete(id, body)).status).toBe(204);
    expect((await c.get(`/v1/node-runs/${id}`)).json).toMatchObject({
      state: 'failed',
      outputs: { part: [1] },
      output_artifacts: artifacts,
      ended_at: expect.any(String),
      extensions: { 'its.own': [], idempotency_key: 'k', completion_error: error },
    });
    expect((await c.get(`/v1/runs/${runId}`)).json.state).toBe('running');
    expect((await c.complete(rootId, { state: 'succeeded', outputs: { all: 1 } })).status).toBe(204);
    const run = (await c.get(`/v1/runs/${runId}`)).json;
    const root = (await c.get(`/v1/node-runs/${rootId}`)).json;
    expect(run).toMatchObject({ state: 'succeeded', ended_at: root.ended_at });
    expect(root).toMatchObject({ state: 'succeeded', outputs: { all: 1 }, extensions: { 'kept.key': 1 } });
    const events = (await c.events(`/v1/runs/${runId}/events`)).slice(5);
    expect(events.map(({ type, node_run_id, data }) => [type, node_run_id, data])).toEqual([
      ['atomic_executed', id, { state: 'failed' }],
      ['run_completed', rootId, { state: 'succeeded' }],
    ]);
  });

  test('H4 G27 the first end counts: the same again is nothing, another one 409', async ({ stack }) => {
    const c = await openCoordinator(stack);
    for (const kind of ['atomic', 'composite']) {
      const { json: run } = await c.start(kind === 'atomic' ? {} : { root_node_type_ref: PLANNER });
      const id = run.root_node_run_id;
      expect((await c.complete(id, { state: 'succeeded', outputs: { first: 1 } })).status).toBe(204);
      expect((await c.complete(id, { state: 'succeeded', outputs: { second: 2 } })).status).toBe(204);
      const other = await c.complete(id, { state: 'failed' });
      expect([other.status, other.json.error.code]).toEqual([409, 'node_run_already_terminal']);
      expect((await c.get(`/v1/node-runs/${id}`)).json.outputs).toEqual({ first: 1 });
      expect((await c.send('POST', `/v1/runs/${run.run_id}:cancel`)).json.state).toBe('succeeded');
      const events = await c.events(`/v1/runs/${run.run_id}/events`);
      expect(events.filter(({ type }) => type === 'run_completed')).toHaveLength(1);
      expect(events.filter(({ type }) => type === 'atomic_executed')).toHaveLength(kind === 'atomic' ? 1 : 0);
    }
    expect((await c.complete('any', { state: 'running' })).status).toBe(400);
  });

  test('a root that reports canceled ends its run so, and names itself', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    await c.complete(rootId, { state: 'canceled' });
    expect((await c.get(`/v1/runs/${runId}`)).json.state).toBe('canceled');
    expect((await c.events(`/v1/runs/${runId}/events`)).at(-1)).toMatchObject({
      type: 'run_completed',
      node_run_id: rootId,
      data: { state: 'canceled' },
    });
  });

  test('a composite that ends takes along what is below it', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const inner = (await c.create(runId, rootId, { node_type_ref: PLANNER })).json.node_runs[0].node_run_id;
    const leaf = (await c.create(runId, inner, {})).json.node_runs[0].node_run_id;
    await c.complete(inner, { state: 'failed' });
    expect((await c.get(`/v1/node-runs/${leaf}`)).json.state).toBe('canceled');
    expect((await c.complete(leaf, { state: 'canceled' })).status).toBe(204);
    expect((await c.complete(leaf, { state: 'succeeded' })).json.error.code).toBe(
      'node_run_already_terminal',
    );
    expect((await c.get(`/v1/runs/${runId}`)).json.state).toBe('running');
  });

  test('G31 evaluation and end at once both persist; of many ends one counts', async ({ stack }) => {
    const c = await openCoordinator(stack);
    for (let round = 0; round < 5; round += 1) {
      const { json: run } = await c.start();
      const id = run.root_node_run_id;
      const answers = await Promise.all([
        c.send('POST', `/v1/node-runs/${id}:evaluation`, { evaluation_result: SUCCESS }),
        ...['succeeded', 'failed', 'canceled', 'succeeded'].map((state) => c.complete(id, { state })),
      ]);
      expect(answers[0]?.status).toBe(204);
      const node = (await c.get(`/v1/node-runs/${id}`)).json;
      expect(node.evaluation_result).toEqual(SUCCESS);
      expect((await c.get(`/v1/runs/${run.run_id}`)).json.state).toBe(node.state);
      const events = await c.events(`/v1/runs/${run.run_id}/events`);
      expect(events.filter(({ type }) => type === 'run_completed')).toHaveLength(1);
      expect(events.filter(({ type }) => type === 'node_evaluated')).toHaveLength(1);
    }
  });
});

test('who is in the same process asks without a socket, and is told the same', async ({ stack }) => {
  const c = await openCoordinator(stack);
  const { runId, rootId } = await c.composite();
  const callbacks = inProcessCallbacks(c.coordinator);
  const node_type_ref = { node_type_id: 'atomic.x', version: '1' };
  const request = {
    run_id: runId,
    parent_node_run_id: rootId,
    node_runs: [{ node_type_ref, inputs: {}, idempotency_key: 'k', extensions: { 'a.b': 1 } }],
  };
  const [child] = await callbacks.create(request);
  expect(child?.extensions).toEqual({ 'a.b': 1 });
  const id = child?.node_run_id ?? '';
  await callbacks.evaluate(id, { evaluation_result: { status: 'success' } });
  await callbacks.complete(id, { state: 'succeeded' });
  expect(await callbacks.nodeRun(id)).toEqual((await c.get(`/v1/node-runs/${id}`)).json);
  const unknown = callbacks.create({ ...request, run_id: 'nobody' });
  await expect(unknown).rejects.toMatchObject({ status: 404, wireCode: 'run_not_found' });
});

test('dispatch is work of the engine: for the executor of its kind, or for nobody', async ({ stack }) => {
  const store = await stack.store('store');
  for (const [autoDispatch, queue] of [
    [true, QUEUE],
    [false, IDLE_QUEUE],
  ] as const) {
    const c = await openCoordinator(stack, { store, autoDispatch });
    const { runId, rootId } = await c.composite();
    const { json } = await c.create(runId, rootId, {});
    const [{ node_run_id: child }] = json.node_runs;
    const rows = await c.engine.store.work(runId);
    expect(new Set(rows.map(({ node, queue: on, state }) => `${node} ${on} ${state}`))).toEqual(
      new Set([`${rootId} ${queue} offered`, `${child} ${queue} offered`]),
    );
    const state = await c.engine.state(runId);
    expect(state.nodes.get(rootId)?.spec.executor).toBe(COMPOSITE_EXECUTOR);
    expect(state.nodes.get(child)?.spec.executor).toBe(ATOMIC_EXECUTOR);
  }
});

describe('what is under way', () => {
  /** Never ends by itself. */
  class Endless implements Executor {
    readonly name = ATOMIC_EXECUTOR;
    readonly canceled: string[] = [];
    readonly #ends = new Map<string, PromiseWithResolvers<void>>();

    async submit({ effectKey }: NodeWork): Promise<{ executor: string; effectKey: string }> {
      this.#ends.set(effectKey, Promise.withResolvers());
      return { executor: this.name, effectKey };
    }
    async status(): Promise<RuntimeStatus> {
      return { phase: 'not_started' };
    }
    async cancel({ effectKey }: { effectKey: string }): Promise<void> {
      this.canceled.push(effectKey);
      this.#ends.get(effectKey)?.resolve();
    }
    async *watch({ effectKey }: { effectKey: string }): AsyncGenerator<RuntimeStatus> {
      await this.#ends.get(effectKey)?.promise;
      yield { phase: 'finished', outcome: 'canceled', startedAtMs: 0, finishedAtMs: 0, usage: {} };
    }
    async forget(): Promise<void> {}
    async close(): Promise<void> {}
  }

  async function running(
    c: Opened,
    executor: Endless,
  ): Promise<{ id: string; runId: string; stop: () => Promise<void> }> {
    const { json: run } = await c.start();
    const worker = new Worker({
      engine: c.engine,
      executors: new Map([[executor.name, executor]]),
      worker: 'w',
      lookMs: 20,
    });
    const over = new AbortController();
    const work = worker.run({ queues: [QUEUE], concurrency: 4 }, over.signal);
    const id = run.root_node_run_id;
    await expect.poll(async () => (await c.get(`/v1/node-runs/${id}`)).json.state).toBe('running');
    return {
      id,
      runId: run.run_id,
      async stop() {
        over.abort();
        await work;
      },
    };
  }

  test('H4 an end from outside ends the attempt, and its executor is stopped', async ({ stack }) => {
    const c = await openCoordinator(stack, { autoDispatch: true });
    const executor = new Endless();
    const { id, runId, stop } = await running(c, executor);
    expect((await c.complete(id, { state: 'succeeded', outputs: { by: 'hand' } })).status).toBe(204);
    expect((await c.get(`/v1/runs/${runId}`)).json.state).toBe('succeeded');
    await expect.poll(() => executor.canceled.length).toBe(1);
    await stop();
    expect((await c.get(`/v1/node-runs/${id}`)).json).toMatchObject({
      state: 'succeeded',
      outputs: { by: 'hand' },
    });
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.slice(3).map(({ type }) => type)).toEqual(['atomic_executed', 'run_completed']);
    expect(await c.engine.store.work(runId)).toEqual([]);
  });

  test('G26 H6 a cancellation reaches the executors of what had begun, and of nothing else', async ({
    stack,
  }) => {
    const told: string[] = [];
    const tell = { cancel: async (id: string) => void told.push(id) };
    const c = await openCoordinator(stack, {
      autoDispatch: true,
      executors: { atomic: tell, composite: tell },
    });
    const executor = new Endless();
    const { id, runId, stop } = await running(c, executor);
    expect((await c.send('POST', `/v1/runs/${runId}:cancel`)).json.state).toBe('canceled');
    expect(told).toEqual([id]);
    await expect.poll(() => executor.canceled.length).toBe(1);
    await stop();
    const idle = await c.composite({ root_node_type_ref: { ...PLANNER, version: '2' } });
    await c.send('POST', `/v1/runs/${idle.runId}:cancel`);
    expect(told).toEqual([id]);
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.at(-1)?.type).toBe('run_completed');
  });
});
