// Dispatch of NodeRuns to their executors (contract arp §4.7).
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect } from 'vitest';
import { atomicClient } from '../../../src/doors/arp/clients/atomic-client.ts';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import { ECHO, PLANNER } from './coordinator-rig.ts';
import { openDispatching, PlayedAtomic, PlayedComposite, PUBLIC_URL } from './dispatch-rig.ts';
import { test, type Stack } from './support.ts';

const typesOf = (events: readonly { type: string }[]): string[] => events.map(({ type }) => type);

async function failedRoot(stack: Stack, choices: Parameters<typeof openDispatching>[1], body = {}) {
  const opened = await openDispatching(stack, choices);
  const { json: run } = await opened.start(body);
  const events = await opened.end(run.run_id);
  const root = await opened.nodeRun(run.root_node_run_id);
  expect(root['state']).toBe('failed');
  return { ...opened, run, events, root, error: root['extensions'].completion_error };
}

describe('atomic NodeRuns', () => {
  test('G16 success ends the run, with outputs, binding, evaluation and the events of §4.9', async ({
    stack,
  }) => {
    const atomic = new PlayedAtomic(() => ({
      outputs: { text: 'hi' },
      output_artifacts: [{ type: 'artifact', id: 'a' }],
    }));
    const opened = await openDispatching(stack, { atomic });
    const { json: run } = await opened.start({
      input: { echo: 'hi' },
      run_context: { trace: { trace_id: 't1' } },
      constraints: { budgets: { max_steps: 3 } },
    });
    expect(run.state).toBe('running');
    const events = await opened.end(run.run_id);
    expect(typesOf(events)).toEqual([
      'run_started',
      'node_run_assigned',
      'policy_decided',
      'policy_decided',
      'node_evaluated',
      'atomic_executed',
      'run_completed',
    ]);
    expect(events.slice(2, 4).map(({ data }) => data['action'])).toEqual(['run.start', 'node.run.execute']);
    expect(events.at(-3)?.data).toEqual({ status: 'success', reason_code: 'atomic_completed' });
    expect(events.at(-1)).toMatchObject({ node_run_id: run.root_node_run_id, data: { state: 'succeeded' } });
    expect((await opened.get(`/v1/runs/${run.run_id}`)).json).toMatchObject({ state: 'succeeded' });
    expect(await opened.nodeRun(run.root_node_run_id)).toMatchObject({
      state: 'succeeded',
      outputs: { text: 'hi' },
      output_artifacts: [{ type: 'artifact', id: 'a' }],
      executor_binding: {
        executor_instance_id: 'arp-jarvis-atomic-executor',
        endpoint: 'http://127.0.0.1:2',
      },
      evaluation_result: { status: 'success', reason_code: 'atomic_completed' },
    });
    expect(atomic.asked).toMatchObject([
      {
        node_run_id: run.root_node_run_id,
        run_id: run.run_id,
        node_type_ref: ECHO,
        inputs: { echo: 'hi' },
        run_context: { trace: { trace_id: 't1' } },
        constraints: { budgets: { max_steps: 3 } },
      },
    ]);
  });

  test('G17 an allow-list without the type fails it, and no executor is called', async ({ stack }) => {
    const atomic = new PlayedAtomic();
    const lists = { constraints: { candidates: { allowed_node_type_ids: ['other'] } } };
    const { error, events } = await failedRoot(stack, { atomic }, lists);
    expect(error.code).toBe('node_type_not_allowed');
    expect(atomic.asked).toEqual([]);
    expect(typesOf(events)).toEqual([
      'run_started',
      'node_run_assigned',
      'policy_decided',
      'atomic_executed',
      'run_completed',
    ]);
  });

  test('a denied type fails, and so does what is bound to another type', async ({ stack }) => {
    const atomic = new PlayedAtomic();
    const denied = { constraints: { candidates: { denied_node_type_ids: [ECHO.node_type_id] } } };
    expect((await failedRoot(stack, { atomic }, denied)).error.code).toBe('node_type_denied');
  });

  test('G18 without an executor it fails as unconfigured', async ({ stack }) => {
    expect((await failedRoot(stack, {})).error.code).toBe('atomic_executor_unconfigured');
  });

  test('G19 an executor that says failed: its error is the NodeRun’s', async ({ stack }) => {
    const error = { code: 'unknown_node_type', message: 'never heard of it', details: { a: 1 } };
    const atomic = new PlayedAtomic(() => ({ state: 'failed', error }));
    const failed = await failedRoot(stack, { atomic });
    expect(failed.error).toEqual(error);
    expect(failed.root['evaluation_result'].status).toBe('fail');
    expect(atomic.asked).toHaveLength(1);
  });

  test('G19 a failure of the call passes with its code', async ({ stack }) => {
    const atomic = new PlayedAtomic(() => {
      throw new ArpError(502, 'atomic_executor_unavailable', 'nobody there', { retryable: false });
    });
    expect((await failedRoot(stack, { atomic })).error).toEqual({
      code: 'atomic_executor_unavailable',
      message: 'nobody there',
      retryable: false,
    });
  });

  test('H15 a retryable failure is tried again, and the executor told which attempt it is', async ({
    stack,
  }) => {
    const atomic = new PlayedAtomic(({ extensions }) =>
      extensions?.['reeve.attempt'] === undefined
        ? { state: 'failed', error: { code: 'busy', message: 'later', retryable: true } }
        : { outputs: { second: true } },
    );
    const opened = await openDispatching(stack, { atomic });
    const { json: run } = await opened.start();
    await opened.end(run.run_id);
    expect(await opened.nodeRun(run.root_node_run_id)).toMatchObject({
      state: 'succeeded',
      outputs: { second: true },
    });
    expect(atomic.asked.map(({ extensions }) => extensions?.['reeve.attempt'])).toEqual([undefined, 2]);
  });

  test('H31 an answer that is no end fails it', async ({ stack }) => {
    const atomic = new PlayedAtomic(() => ({ state: 'running' }));
    expect((await failedRoot(stack, { atomic })).error.code).toBe('invalid_executor_result');
  });

  test('an executor that canceled it: the NodeRun is canceled', async ({ stack }) => {
    const atomic = new PlayedAtomic(() => ({
      state: 'canceled',
      error: { code: 'canceled', message: 'stopped' },
    }));
    const opened = await openDispatching(stack, { atomic });
    const { json: run } = await opened.start();
    await opened.end(run.run_id);
    expect(await opened.nodeRun(run.root_node_run_id)).toMatchObject({ state: 'canceled' });
    expect((await opened.get(`/v1/runs/${run.run_id}`)).json.state).toBe('canceled');
  });

  test('G26 cancel stops the call and reaches the executor', async ({ stack }) => {
    const { promise: called, resolve } = Promise.withResolvers<void>();
    const atomic = new PlayedAtomic(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')));
          resolve();
        }),
    );
    const opened = await openDispatching(stack, { atomic });
    const { json: run } = await opened.start();
    await called;
    expect((await opened.send('POST', `/v1/runs/${run.run_id}:cancel`)).json.state).toBe('canceled');
    expect(atomic.canceled).toContain(run.root_node_run_id);
    expect(await opened.nodeRun(run.root_node_run_id)).toMatchObject({ state: 'canceled' });
  });
});

describe('an executor that is gone before it answered', () => {
  /** @returns the NodeRun in its end, and the attempts that reached the executor, which hangs up on the first. */
  async function hungUp(stack: Stack, sideEffect: string) {
    const attempts: number[] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (piece) => (text += String(piece)));
      request.on('end', () => {
        const body = JSON.parse(text);
        attempts.push(body.extensions['reeve.attempt'] ?? 1);
        if (attempts.length === 1) return void request.socket.destroy();
        response.setHeader('content-type', 'application/json');
        return void response.end(JSON.stringify({ node_run_id: body.node_run_id, state: 'succeeded' }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stack.opened({ close: () => void server.close() });
    const { port } = server.address() as AddressInfo;
    const { registry } = stack.registry();
    const ref = { node_type_id: 'files.change', version: '1' };
    const extensions = { 'jarvis.side_effect': sideEffect };
    await registry.publish({ ...ref, kind: 'atomic', extensions });
    const atomic = atomicClient({ baseUrl: `http://127.0.0.1:${port}` });
    const opened = await openDispatching(stack, { atomic, nodeTypes: registry });
    const { json: run } = await opened.start({ root_node_type_ref: ref });
    await opened.end(run.run_id);
    return { root: await opened.nodeRun(run.root_node_run_id), attempts };
  }

  test('I5 what may have changed something is not run a second time', async ({ stack }) => {
    const { root, attempts } = await hungUp(stack, 'write');
    expect(attempts).toEqual([1]);
    expect(root).toMatchObject({
      state: 'failed',
      extensions: { completion_error: { code: 'atomic_executor_unavailable', retryable: false } },
    });
  });

  test('H15 what only reads is', async ({ stack }) => {
    const { root, attempts } = await hungUp(stack, 'read');
    expect(attempts).toEqual([1, 2]);
    expect(root).toMatchObject({ state: 'succeeded' });
  });
});

describe('traces', () => {
  test('one trace for each run: executors are called below the run’s, in the trace that the request names', async ({
    stack,
  }) => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers['traceparent'] as string | undefined);
      let body = '';
      request.on('data', (piece) => (body += String(piece)));
      request.on('end', () => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ node_run_id: JSON.parse(body).node_run_id, state: 'succeeded' }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stack.opened({ close: () => void server.close() });
    const { port } = server.address() as AddressInfo;
    const opened = await openDispatching(stack, {
      atomic: atomicClient({ baseUrl: `http://127.0.0.1:${port}` }),
    });
    const trace = { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) };
    for (const body of [{ run_context: { trace } }, {}]) {
      const { json: run } = await opened.start(body);
      await opened.end(run.run_id);
    }
    expect(seen[0]).toMatch(new RegExp(`^00-${'a'.repeat(32)}-[0-9a-f]{16}-01$`));
    expect(seen[0]).not.toContain('b'.repeat(16));
    expect(seen[1]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(seen[1]?.slice(3, 35)).not.toBe('a'.repeat(32));
  });
});

describe('composite NodeRuns', () => {
  test('G20 the executor gets the callback URL, constraints, context and a token; then it runs until completed', async ({
    stack,
  }) => {
    const composite = new PlayedComposite();
    const atomic = new PlayedAtomic();
    const opened = await openDispatching(stack, { composite, atomic });
    const constraints = { structural: { max_depth: 2 } };
    const { runId, rootId } = await opened.composite({ constraints, extensions: { 'my.key': 1 } });
    const child = await opened.create(runId, rootId, { inputs: { echo: 'a' } });
    expect(child.status).toBe(200);
    const childId = child.json.node_runs[0].node_run_id;
    for await (const event of opened.coordinator.views
      ? await follow(opened, `/v1/node-runs/${childId}/events`)
      : [])
      if (event.type === 'atomic_executed') break;
    expect(composite.begun).toMatchObject([
      {
        node_run_id: rootId,
        run_id: runId,
        node_type_ref: PLANNER,
        coordinator_endpoint: PUBLIC_URL,
        constraints,
        extensions: { 'my.key': 1, constraints },
      },
    ]);
    expect(opened.assignments.runIn(`Bearer ${composite.begun[0]?.assignment_token}`)).toBe(runId);
    expect(await opened.nodeRun(rootId)).toMatchObject({
      state: 'running',
      executor_binding: { executor_instance_id: 'arp-jarvis-composite-executor' },
    });
    expect((await opened.complete(rootId, { state: 'succeeded', outputs: { n: 1 } })).status).toBe(204);
    const events = await opened.end(runId);
    expect(events.at(-1)).toMatchObject({ type: 'run_completed', data: { state: 'succeeded' } });
    expect(composite.begun).toHaveLength(1);
  });

  test('G20 a refusal fails it as composite_rejected', async ({ stack }) => {
    const composite = new PlayedComposite(() => false);
    const { error } = await failedRoot(stack, { composite }, { root_node_type_ref: PLANNER });
    expect(error).toMatchObject({ code: 'composite_rejected', message: 'not today' });
  });

  test('G18 without an executor, or without a URL for callbacks, it fails as unconfigured', async ({
    stack,
  }) => {
    const planner = { root_node_type_ref: PLANNER };
    expect((await failedRoot(stack, {}, planner)).error.code).toBe('composite_executor_unconfigured');
  });

  test('G18 without a URL for callbacks it fails as unconfigured', async ({ stack }) => {
    const choices = { composite: new PlayedComposite(), publicUrl: '' };
    const { error } = await failedRoot(stack, choices, { root_node_type_ref: PLANNER });
    expect(error.code).toBe('coordinator_url_unconfigured');
  });

  test('G21 a kind that nobody knows cannot be dispatched', async ({ stack }) => {
    const ref = { node_type_id: 'something', version: '1' };
    const { error } = await failedRoot(stack, { atomic: new PlayedAtomic() }, { root_node_type_ref: ref });
    expect(error.code).toBe('unknown_node_kind');
  });

  test('G26 cancel reaches the executor of a composite that runs', async ({ stack }) => {
    const composite = new PlayedComposite();
    const opened = await openDispatching(stack, { composite });
    const { runId, rootId } = await opened.composite();
    for await (const event of await follow(opened, `/v1/runs/${runId}/events`)) {
      if (event.type === 'policy_decided' && event.data['action'] === 'node.run.execute') break;
    }
    await opened.send('POST', `/v1/runs/${runId}:cancel`);
    await opened.end(runId);
    expect(composite.canceled).toContain(rootId);
  });
});

describe('policy and budgets', () => {
  test('G8 what policy denies at dispatch is not executed, and the decision stands before the failure', async ({
    stack,
  }) => {
    const atomic = new PlayedAtomic();
    const pdp = {
      decide: async ({ action }: { action: string }) =>
        action === 'run.start'
          ? ({ decision: 'allow' } as const)
          : ({ decision: 'deny', reason_code: 'no' } as const),
    };
    const { error, events } = await failedRoot(stack, { atomic, policy: { pdp } });
    expect(error).toMatchObject({ code: 'policy_denied', details: { reason_code: 'no' } });
    expect(atomic.asked).toEqual([]);
    expect(events[3]).toMatchObject({ type: 'policy_decided', data: { decision: 'deny' } });
  });

  test('G8 a decision point that is down denies', async ({ stack }) => {
    const pdp = {
      decide: async () => {
        throw new Error('down');
      },
    };
    const { error } = await failedRoot(stack, { atomic: new PlayedAtomic(), policy: { pdp } });
    expect(error).toMatchObject({ code: 'policy_denied', details: { reason_code: 'pdp_unavailable' } });
  });

  test('H14 I8 what needs an approval waits for one, of exactly that decision', async ({ stack }) => {
    const atomic = new PlayedAtomic();
    const opened = await openDispatching(stack, { atomic });
    const { json: run } = await opened.start({ constraints: { gates: { require_approval: true } } });
    const decision = await nextDecision(opened, run.run_id);
    expect(atomic.asked).toEqual([]);
    expect(await opened.nodeRun(run.root_node_run_id)).toMatchObject({ state: 'queued' });
    await opened.engine.execute(run.run_id, {
      type: 'approve',
      checkpoint: decision,
      by: 'ann',
      reason: 'looked',
    });
    await opened.end(run.run_id);
    expect(atomic.asked).toHaveLength(1);
    expect(await opened.nodeRun(run.root_node_run_id)).toMatchObject({ state: 'succeeded' });
  });

  test('H12 a type whose side effect is above the ceiling does not run', async ({ stack }) => {
    const { registry } = stack.registry();
    await registry.publish({
      node_type_id: 'disk.format',
      version: '1',
      kind: 'atomic',
      extensions: { 'jarvis.side_effect': 'irreversible' },
    } as never);
    const { error } = await failedRoot(
      stack,
      { atomic: new PlayedAtomic(), nodeTypes: registry },
      {
        root_node_type_ref: { node_type_id: 'disk.format', version: '1' },
        constraints: { gates: { side_effect_class: 'write' } },
      },
    );
    expect(error.code).toBe('side_effect_not_allowed');
  });

  test('H13 I7 a budget of steps is never exceeded: what comes after fails with budget_exceeded', async ({
    stack,
  }) => {
    const atomic = new PlayedAtomic();
    const opened = await openDispatching(stack, { atomic, composite: new PlayedComposite() });
    const { runId, rootId } = await opened.composite({ constraints: { budgets: { max_steps: 3 } } });
    const { json } = await opened.create(runId, rootId, {}, {}, {}, {});
    const ids = json.node_runs.map((node: { node_run_id: string }) => node.node_run_id);
    let ended = 0;
    for await (const event of await follow(opened, `/v1/runs/${runId}/events`)) {
      if (event.type === 'atomic_executed') ended += 1;
      if (ended === 4) break;
    }
    const children = await Promise.all(ids.map((id: string) => opened.nodeRun(id)));
    // The root is a step itself.
    expect(children.map(({ state }) => String(state)).toSorted()).toEqual([
      'failed',
      'failed',
      'succeeded',
      'succeeded',
    ]);
    for (const child of children)
      if (child['state'] === 'failed')
        expect(child['extensions'].completion_error.code).toBe('budget_exceeded');
    expect(atomic.asked).toHaveLength(2);
    await opened.complete(rootId, { state: 'failed' });
  });

  test('H13 a run whose time is up fails with its root', async ({ stack }) => {
    const opened = await openDispatching(stack, { composite: new PlayedComposite() });
    const { runId, rootId } = await opened.composite({ constraints: { budgets: { max_wall_time_ms: 50 } } });
    const events = await opened.end(runId);
    expect(events.at(-1)).toMatchObject({ type: 'run_completed', data: { state: 'failed' } });
    expect((await opened.nodeRun(rootId))['extensions'].completion_error.code).toBe('budget_exceeded');
  });
});

type Opened = Awaited<ReturnType<typeof openDispatching>>;

/** Events as they come. */
async function follow(
  opened: Opened,
  path: string,
): Promise<AsyncIterable<{ type: string; data: Readonly<Record<string, unknown>> }>> {
  const answer = await fetch(`${opened.url}${path}?follow=1`);
  return lines(answer);
}

async function* lines(
  answer: Response,
): AsyncGenerator<{ type: string; data: Readonly<Record<string, unknown>> }> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const piece of answer.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    const whole = text.split('\n');
    text = whole.pop() ?? '';
    for (const line of whole) if (line.trim() !== '') yield JSON.parse(line);
  }
}

/** The checkpoint of the run's first open decision, once it is there. */
async function nextDecision({ engine }: Opened, runId: string): Promise<number> {
  for (;;) {
    const changed = new Promise<void>((resolve) => {
      const stop = engine.store.subscribe(() => {
        stop();
        resolve();
      });
    });
    const found = [...(await engine.state(runId)).decisions.keys()][0];
    if (found !== undefined) return found;
    await changed;
  }
}
