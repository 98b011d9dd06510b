// The mirror: runs written through to the Run Store and the Event Stream of others.
import { describe, expect, vi } from 'vitest';
import { until } from './assembly.ts';
import { ECHO, openCoordinator, PLANNER } from './coordinator-rig.ts';
import { openDispatching, PlayedAtomic } from './dispatch-rig.ts';
import { expectSame, openMirror, openMirrored, others, upToDate, type Mirrored } from './mirror-rig.ts';
import { test } from './support.ts';

/** A run with everything that a record and an event can say. @returns its id. */
async function eventfulRun(c: Pick<Mirrored, 'composite' | 'create' | 'complete' | 'send'>): Promise<string> {
  const { runId, rootId } = await c.composite({
    constraints: { structural: { max_depth: 3 } },
    run_context: { tenant_id: 'acme' },
    extensions: { 'x.y': { z: 1 } },
  });
  const binding = { subtask_id: 'S1', chosen_node_type_ref: ECHO, candidate_set_id: 'set' };
  const { json } = await c.create(
    runId,
    rootId,
    { idempotency_key: 'a', binding_decision: binding },
    { node_type_ref: PLANNER },
  );
  const [child, planner] = json.node_runs.map(({ node_run_id: id }: { node_run_id: string }) => id);
  await c.create(runId, planner, {}, {});
  await c.send('POST', `/v1/node-runs/${child}:evaluation`, {
    evaluation_result: { status: 'fail', reason_code: 'poor' },
    recovery_action: { type: 'retry' },
  });
  await c.complete(child, { state: 'failed', error: { code: 'no_luck', message: 'bad' }, outputs: { a: 1 } });
  await c.complete(rootId, { state: 'succeeded', outputs: { all: 'done' } });
  return runId;
}

describe('what is mirrored', () => {
  test('everything a run did is there, in order, as the coordinator says it', async ({ stack }) => {
    const c = await openMirrored(stack);
    const runId = await eventfulRun(c);
    const canceled = (await c.start({ run_id: 'to/cancel :x' })).json.run_id;
    await c.send('POST', '/v1/runs/to%2Fcancel%20:x:cancel');
    await c.upToDate();
    await c.expectSame(runId);
    await c.expectSame(canceled);
    expect(c.mirror.health()).toMatchObject({ name: 'mirror', status: 'ok' });
    expect(c.notes).toEqual([]);
    // What is reported afterwards follows.
    const { root_node_run_id: rootId } = (await c.get(`/v1/runs/${runId}`)).json;
    await c.send('POST', `/v1/node-runs/${rootId}:evaluation`, { evaluation_result: { status: 'success' } });
    await c.upToDate();
    await c.expectSame(runId);
  });

  test('a record follows every change of it', async ({ stack }) => {
    const c = await openMirrored(stack);
    const { runId, rootId } = await c.composite();
    await c.upToDate();
    await c.create(runId, rootId, {}); // a round of the parent
    await c.upToDate();
    await c.expectSame(runId);
    await c.send('POST', `/v1/node-runs/${rootId}:evaluation`, { evaluation_result: { status: 'unknown' } });
    await c.upToDate();
    await c.expectSame(runId);
    await c.complete(rootId, { state: 'failed' }); // takes the child along
    await c.upToDate();
    await c.expectSame(runId);
  });

  test('D2 records carry the six keys without a dot, whatever clients are shown', async ({ stack }) => {
    const c = await openMirrored(stack, { extensionKeys: 'namespaced' });
    const { json } = await c.start({ constraints: { budgets: { max_steps: 5 } } });
    await c.upToDate();
    const { run } = (await c.runStore.get(`/v1/runs/${json.run_id}`)).json;
    expect(run.extensions).toEqual({ constraints: { budgets: { max_steps: 5 } } });
  });

  test('dispatched work while it runs and afterwards, and nothing of another door', async ({ stack }) => {
    const gate = Promise.withResolvers<object>();
    const atomic = new PlayedAtomic(() => gate.promise);
    const dispatching = await openDispatching(stack, { atomic });
    const { engine } = dispatching;
    await engine.execute('job', {
      type: 'create',
      spec: {
        tenant: 't',
        actor: 'a',
        name: 'job',
        queue: 'default',
        limits: {},
        constraints: {},
        root: { id: 'root', kind: 'composite', name: 'root', input: {} },
        nodes: [],
        labels: {},
        document: null,
      } as never,
    });
    const services = await others(stack);
    const one = openMirror(stack, dispatching, services);
    const { run_id: runId } = (await dispatching.start()).json;
    await until(() => (atomic.asked.length > 0 ? true : undefined));
    await upToDate(dispatching, one);
    await expectSame(dispatching, services, runId); // running, and bound
    gate.resolve({ outputs: { done: true } });
    await dispatching.end(runId);
    await upToDate(dispatching, one);
    await expectSame(dispatching, services, runId);
    expect((await services.runStore.get('/v1/runs')).json.items).toHaveLength(1);
  });
});

describe('while the others are away', () => {
  test('requests go on, health says who is behind since when, and all is made up for', async ({ stack }) => {
    const c = await openMirrored(stack);
    const before = await eventfulRun(c);
    await c.upToDate();
    c.toRunStore.fate = () => 'drop';
    const runs = [await eventfulRun(c), await eventfulRun(c), await eventfulRun(c)];
    const health = await until(() => (c.notes.length > 0 ? c.mirror.health() : undefined));
    expect(health).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(/^run_store: 3 runs are behind since 20\d\d-/),
      details: { run_store: { behind: 3, parked: 0 } },
    });
    expect((await c.eventStream.get(`/v1/runs/${runs[0]}/events`)).text).toBe(''); // no event before its records
    c.toRunStore.fate = () => 'pass';
    c.toEventStream.fate = () => ({ status: 503, text: '{"detail":"starting"}' });
    await until(() => (c.notes.length === 3 ? true : undefined));
    c.toEventStream.fate = () => 'pass';
    await c.upToDate();
    for (const runId of [before, ...runs]) await c.expectSame(runId);
    expect(c.notes).toEqual([
      expect.stringMatching(/runs wait for the run store, .*: ECONNRESET|socket/),
      'mirror: the run store answers again, and gets what it missed',
      expect.stringContaining('runs wait for the event stream, which is asked again: starting'),
      'mirror: the event stream answers again, and gets what it missed',
    ]);
    expect(c.mirror.health().status).toBe('ok');
  });

  test('a service that does not answer at all holds no request, and no end', async ({ stack }) => {
    const c = await openMirrored(stack);
    c.toRunStore.fate = () => 'hold';
    const runId = await eventfulRun(c);
    await until(() => (c.toRunStore.asked.length > 0 ? true : undefined));
    expect((await c.get(`/v1/runs/${runId}`)).json.state).toBe('succeeded');
    await c.stop();
  });

  test('a wrong address is no reason to give runs up', async ({ stack }) => {
    const c = await openMirrored(stack);
    c.toRunStore.fate = () => ({ status: 404, text: '{"detail":"Not Found"}' });
    const runId = await eventfulRun(c);
    await until(() => (c.notes.length > 0 ? true : undefined));
    expect(c.mirror.health().status).toBe('degraded');
    c.toRunStore.fate = () => 'pass';
    await c.upToDate();
    await c.expectSame(runId);
  });
});

describe('at least once, and then once', () => {
  for (const [name, cut] of [
    ['after the run, before its root', 'POST /v1/node-runs'],
    ['after the records, before the events', 'POST /v1/run-events'],
  ] as const) {
    for (const fate of ['drop', 'lose'] as const) {
      test(`ended ${name} (${fate}), the next one goes on`, async ({ stack }) => {
        const c = await openMirrored(stack);
        for (const proxy of [c.toRunStore, c.toEventStream])
          proxy.fate = (asked) => (asked === cut ? fate : 'pass');
        const runId = await eventfulRun(c);
        await until(() => (c.notes.length > 0 ? true : undefined));
        await c.stop();
        for (const proxy of [c.toRunStore, c.toEventStream]) proxy.fate = () => 'pass';
        const next = openMirror(stack, c, c);
        await upToDate(c, next);
        await c.expectSame(runId);
        expect(next.notes).toEqual([]);
      });
    }
  }

  test('catches up with what was done while nobody mirrored', async ({ stack }) => {
    const c = await openMirrored(stack);
    const first = await eventfulRun(c);
    await c.upToDate();
    await c.stop();
    const { runId, rootId } = await c.composite();
    const second = await eventfulRun(c);
    const asked = c.toRunStore.asked.length;
    const next = openMirror(stack, c, c);
    await upToDate(c, next);
    expect(c.toRunStore.asked.slice(asked).filter((path) => path.includes(first))).toEqual([]); // not behind
    await c.complete(rootId, { state: 'canceled' });
    await upToDate(c, next);
    for (const run of [first, second, runId]) await c.expectSame(run);
  });

  test('catches up with more runs than it keeps in mind, and than a page holds', async ({ stack }) => {
    const c = await openMirrored(stack);
    await c.stop();
    const ids = Array.from({ length: 210 }, (_, at) => `run-${at}`);
    await Promise.all(ids.map((run_id) => c.start({ run_id })));
    c.toRunStore.fate = () => 'drop';
    const next = openMirror(stack, c, c, ':memory:', { pendingMax: 150 });
    await until(() => next.mirror.health().message?.startsWith('run_store: more than 15') || undefined);
    c.toRunStore.fate = () => 'pass';
    await upToDate(c, next);
    for (const id of ['run-0', 'run-209']) await c.expectSame(id);
    expect(next.mirror.health().details?.['run_store']).toEqual({ behind: 0, parked: 0 });
  });

  test('an answer that is lost between two batches of one run', async ({ stack }) => {
    const c = await openMirrored(stack);
    await c.stop();
    const { runId, rootId } = await c.composite();
    const binding = { subtask_id: 'S', chosen_node_type_ref: ECHO, candidate_set_id: 'x'.repeat(500) };
    await c.create(runId, rootId, ...Array.from({ length: 150 }, () => ({ binding_decision: binding })));
    let batches = 0;
    c.toEventStream.fate = (asked) => {
      if (asked === 'POST /v1/run-events') batches += 1;
      return batches === 2 ? 'lose' : 'pass';
    };
    const next = openMirror(stack, c, c);
    await until(() => (next.notes.length > 0 ? true : undefined));
    await next.stop();
    const last = openMirror(stack, c, c);
    await upToDate(c, last);
    await c.expectSame(runId);
    expect(batches).toBeGreaterThan(3);
  });

  test('without its positions it repeats all of it, and nothing is there twice', async ({ stack }) => {
    const c = await openMirrored(stack);
    const runId = await eventfulRun(c);
    await c.upToDate();
    await c.stop();
    // As stores of others answer: with nulls, other times, and lines in one text (D3, D4).
    c.toEventStream.fate = (asked) =>
      asked.startsWith('GET')
        ? {
            rewrite: (text) =>
              JSON.stringify(text.replaceAll('Z"', '+00:00"').replaceAll('"seq"', '"extensions":null,"seq"')),
          }
        : 'pass';
    const next = openMirror(stack, c, c, ':memory:');
    await upToDate(c, next);
    await c.expectSame(runId);
    expect(next.notes).toEqual([]);
  });

  test.for(['one.sqlite', 'two.sqlite'])(
    'two coordinators on one store both mirror, by one.sqlite and %s',
    async (second, { stack }) => {
      const store = await stack.store('store');
      const services = await others(stack);
      const [a, b] = [await openCoordinator(stack, { store }), await openCoordinator(stack, { store })];
      const one = openMirror(stack, a, services, stack.path('one.sqlite'));
      const other = openMirror(stack, b, services, stack.path(second));
      const runs = await Promise.all([a, b, a, b, a, b].map((c) => eventfulRun(c)));
      await upToDate(a, one);
      await upToDate(b, other);
      for (const runId of runs)
        await vi.waitFor(() => expectSame(a, services, runId), { timeout: 10_000, interval: 20 }); // the other may overwrite it once more
      expect([...one.notes, ...other.notes]).toEqual([]);
    },
  );
});

describe('what is refused', () => {
  test('507: the run is parked, told once, not tried again; its events go on; a restart tries it', async ({
    stack,
  }) => {
    const c = await openMirrored(stack);
    c.toRunStore.fate = () => ({ status: 507, text: '{"detail":"database is full"}' });
    const runs = [await eventfulRun(c), await eventfulRun(c)];
    await until(() => (c.positions.parked('run_store') === 2 ? true : undefined));
    const asked = c.toRunStore.asked.length;
    const { runId } = await c.composite();
    await until(async () => {
      const { text } = await c.eventStream.get(`/v1/runs/${runId}/events`);
      return text.includes('policy_decided') || undefined;
    });
    expect((await c.eventStream.get(`/v1/runs/${runs[0]}/events`)).text).toContain('run_completed');
    expect(c.toRunStore.asked).toHaveLength(asked + 1); // the third
    expect(c.mirror.health()).toMatchObject({ status: 'degraded', message: 'run_store: 3 runs are refused' });
    expect(c.notes).toEqual([
      expect.stringMatching(/the run store refuses run run_\w+, which is parked: database is full/),
    ]);
    await c.stop();
    c.toRunStore.fate = () => 'pass';
    const next = openMirror(stack, c, c);
    await upToDate(c, next);
    for (const run of [...runs, runId]) await c.expectSame(run);
    expect(next.mirror.health().status).toBe('ok');
  });

  test('422: events of one run are parked; other runs go on', async ({ stack }) => {
    const c = await openMirrored(stack);
    c.toEventStream.fate = () => ({ status: 422, text: '{"detail":[{"loc":["body"],"msg":"no"}]}' });
    await eventfulRun(c);
    await until(() => (c.positions.parked('event_stream') === 1 ? true : undefined));
    c.toEventStream.fate = () => 'pass';
    const second = await eventfulRun(c);
    await until(async () => {
      const { text } = await c.eventStream.get(`/v1/runs/${second}/events`);
      return text.includes('run_completed') || undefined;
    });
    await until(() => (c.mirror.health().message === 'event_stream: 1 run is refused' ? true : undefined));
    await c.expectSame(second);
  });

  test("another's run under the same id is not overwritten, another's event is not taken for ours", async ({
    stack,
  }) => {
    const c = await openMirrored(stack);
    const theirs = { run_id: 'mine', state: 'running', root_node_run_id: 'theirs' };
    await c.runStore.send('POST', '/v1/runs', { run: theirs });
    const event = { run_id: 'mine', seq: 2, type: 'x', time: '2026-01-01T00:00:00Z' };
    await c.eventStream.send('POST', '/v1/run-events', { events: [event] });
    await c.start({ run_id: 'mine' });
    await until(() =>
      c.positions.parked('run_store') + c.positions.parked('event_stream') === 2 ? true : undefined,
    );
    expect((await c.runStore.get('/v1/runs/mine')).json.run).toEqual(theirs);
    expect((await c.eventStream.get('/v1/runs/mine/events')).text.split('\n')).toHaveLength(2);
    expect(c.notes).toEqual([
      expect.stringContaining('run mine is another one there, with the root theirs'),
      expect.stringContaining('event 2 of run mine is another one there'),
    ]);
  });

  test('a record that the store has lost is created again', async ({ stack }) => {
    const c = await openMirrored(stack);
    const { runId, rootId } = await c.composite();
    await c.upToDate();
    const empty = await stack.runStore();
    await c.stop();
    const next = openMirror(stack, c, {
      ...c,
      toRunStore: { url: empty.url, asked: [], fate: () => 'pass' },
    });
    await c.complete(rootId, { state: 'succeeded' });
    await upToDate(c, next);
    await expectSame(c, { ...c, runStore: empty }, runId);
  });
});
