// Runs of the coordinator over HTTP: start, policy, read, cancel, who may.
import { describe, expect } from 'vitest';
import type { PolicyDecisionPoint } from '../../../src/doors/arp/ports.ts';
import { NodeRegistry } from '../../../src/doors/arp/registry/registry.ts';
import { namespacedOnly } from '../../../src/doors/arp/wire/common.ts';
import { RUN_EVENT } from '../../../src/doors/arp/wire/core.ts';
import { NODE_RUN, RUN } from '../../../src/doors/arp/wire/runs.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import type { Principal } from '../../../src/policy/auth/principal.ts';
import { ECHO, openCoordinator, PLANNER, types } from './coordinator-rig.ts';
import { hasNull, test } from './support.ts';

/** As D2 asks: without the coordinator's own keys a document fits the schema of the standard. */
async function expectFit(schema: object, document: Record<string, unknown>): Promise<void> {
  const { extensions } = document;
  const stripped =
    extensions === undefined
      ? document
      : { ...document, extensions: namespacedOnly(extensions as Record<string, unknown>) };
  expect(await fieldErrors(schema, stripped)).toEqual([]);
  expect(hasNull(document)).toBe(false);
}

describe('starting', () => {
  test('G2 both paths start a run that can be read', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const context = { tenant_id: 't', actor: { type: 'user', id: 'ada' }, trace: { trace_id: '1' } };
    for (const path of ['/v1/runs', '/v1/runs:start']) {
      const started = await c.send('POST', path, {
        root_node_type_ref: ECHO,
        input: { a: 1 },
        run_context: context,
        metadata: { labels: { dropped: 'yes' } },
        extensions: { 'x.y': [1] },
      });
      expect(started.status).toBe(200);
      expect(started.json).toEqual({
        run_id: expect.stringMatching(/^run_[0-9a-f]{32}$/),
        state: 'running',
        root_node_run_id: expect.stringMatching(/^node_run_[0-9a-f]{32}$/),
        run_context: context,
        started_at: expect.stringMatching(/Z$/),
        extensions: { 'x.y': [1] },
      });
      expect((await c.get(`/v1/runs/${started.json.run_id}`)).json).toEqual(started.json);
      const root = (await c.get(`/v1/node-runs/${started.json.root_node_run_id}`)).json;
      expect(root).toEqual({
        node_run_id: started.json.root_node_run_id,
        run_id: started.json.run_id,
        state: 'queued',
        kind: 'atomic',
        inputs: { a: 1 },
        node_type_ref: ECHO,
        created_at: expect.stringMatching(/Z$/),
        extensions: { 'x.y': [1] },
      });
      await expectFit(RUN, started.json);
      await expectFit(NODE_RUN, root);
    }
  });

  test('G3 unknown and missing fields, nulls and bare keys are refused, field by field', async ({
    stack,
  }) => {
    const c = await openCoordinator(stack);
    const cases: readonly [Record<string, unknown>, readonly string[]][] = [
      [{ surprise: 1 }, ['surprise']],
      [{ run_id: null }, ['run_id']],
      [{ constraints: { budgets: { max_steps: -1 } } }, ['constraints', 'budgets', 'max_steps']],
      [{ extensions: { constraints: {} } }, ['extensions', 'constraints']], // H9
      [{ extensions: { decomposition_rounds: 7 } }, ['extensions', 'decomposition_rounds']],
      [{ run_id: '' }, ['run_id']],
      [{ run_id: 'a\u0000b' }, ['run_id']],
    ];
    for (const [body, at] of cases) {
      const { status, json } = await c.start(body);
      expect([status, json.error.code]).toEqual([400, 'invalid_request']);
      expect(json.error.details.errors[0].loc).toEqual(['body', ...at]);
    }
    expect((await c.send('POST', '/v1/runs', {})).json.error.details.errors).toHaveLength(2);
  });

  test('G4 a run id is given once; the first run stays as it is', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const first = await c.start({ run_id: 'mine:cancel/1', input: { first: true } });
    expect(first.json.run_id).toBe('mine:cancel/1');
    const again = await c.start({ run_id: 'mine:cancel/1', input: { first: false } });
    expect([again.status, again.json.error.code]).toEqual([409, 'run_already_exists']);
    expect((await c.get('/v1/runs/mine%3Acancel%2F1')).json).toEqual(first.json);
    const both = await Promise.all([c.start({ run_id: 'race' }), c.start({ run_id: 'race' })]);
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 409]));
  });

  test('G5 constraints stand in the extensions: of the run as asked for, of the root merged', async ({
    stack,
  }) => {
    const nodeTypes = types({ ...PLANNER, kind: 'composite', constraints: { structural: { max_depth: 2 } } });
    const c = await openCoordinator(stack, { nodeTypes });
    const constraints = {
      structural: { max_depth: 5, max_total_nodes_per_run: 0 },
      budgets: { max_cost: 0.5 },
    };
    const { json } = await c.start({ root_node_type_ref: PLANNER, constraints });
    expect(json.extensions).toEqual({ constraints });
    const root = (await c.get(`/v1/node-runs/${json.root_node_run_id}`)).json;
    expect(root.extensions).toEqual({
      constraints: { structural: { max_depth: 2, max_total_nodes_per_run: 0 }, budgets: { max_cost: 0.5 } },
    });
    expect(root.kind).toBe('composite');
  });

  test('D2 the keys can be written as the schemas of the standard want them', async ({ stack }) => {
    const c = await openCoordinator(stack, { extensionKeys: 'namespaced' });
    const { json } = await c.start({ constraints: { budgets: { max_steps: 3 } } });
    expect(json.extensions).toEqual({ 'jarvis.constraints': { budgets: { max_steps: 3 } } });
    expect(await fieldErrors(RUN, json)).toEqual([]);
  });

  test('G6 without dispatch there are three events, and the root stays queued', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { json: run } = await c.start();
    const events = await c.events(`/v1/runs/${run.run_id}/events`);
    const node_run_id = run.root_node_run_id;
    expect(events).toMatchObject([
      { seq: 1, type: 'run_started', data: { root_node_run_id: node_run_id } },
      { seq: 2, type: 'node_run_assigned', node_run_id, data: { root: true } },
      { seq: 3, type: 'policy_decided', node_run_id, data: { action: 'run.start', decision: 'allow' } },
    ]);
    expect(events[0]).not.toHaveProperty('node_run_id');
    for (const event of events) await expectFit(RUN_EVENT, { ...event });
  });

  test('G21 the registry says the kind, the id else, and nobody knows the rest', async ({ stack }) => {
    const registry = stack.opened(new NodeRegistry(':memory:'));
    await registry.publish({ node_type_id: 'atomic.misleading', version: '1', kind: 'composite' });
    const c = await openCoordinator(stack, { nodeTypes: registry });
    const kindOf = async (id: string): Promise<unknown> => {
      const { json } = await c.start({ root_node_type_ref: { node_type_id: id, version: '1' } });
      return (await c.get(`/v1/node-runs/${json.root_node_run_id}`)).json.kind;
    };
    expect(await kindOf('atomic.misleading')).toBe('composite');
    expect(await kindOf('ATOMIC.x')).toBe('atomic');
    expect(await kindOf('Composite.y')).toBe('composite');
    expect(await kindOf('jarvis.core.echo')).toBeUndefined();
  });
});

describe('policy', () => {
  test('G7 without one the run is there and has failed, at once', async ({ stack }) => {
    const c = await openCoordinator(stack, { policy: {} });
    const { status, json: run } = await c.start();
    expect([status, run.state]).toEqual([200, 'failed']);
    expect(run.ended_at).toBeDefined();
    const root = (await c.get(`/v1/node-runs/${run.root_node_run_id}`)).json;
    expect(root).toMatchObject({
      state: 'failed',
      extensions: {
        completion_error: { code: 'policy_denied', details: { reason_code: 'policy_unconfigured' } },
      },
    });
    const events = await c.events(`/v1/runs/${run.run_id}/events`);
    expect(events.map(({ type }) => type)).toEqual([
      'run_started',
      'node_run_assigned',
      'policy_decided',
      'atomic_executed',
      'run_completed',
    ]);
    expect(events[2]?.data).toEqual({
      action: 'run.start',
      decision: 'deny',
      reason_code: 'policy_unconfigured',
      message: 'No PDP configured for policy enforcement',
    });
    expect(events[4]).toMatchObject({ node_run_id: run.root_node_run_id, data: { state: 'failed' } });
  });

  test('G8 H14 what the decision point says or fails to say is on record, and only allow passes', async ({
    stack,
  }) => {
    const asked: unknown[] = [];
    const says = (answer: () => unknown): PolicyDecisionPoint => ({
      decide: async (request) => {
        asked.push(request);
        return answer() as never;
      },
    });
    const cases = [
      [() => ({ decision: 'deny', reason_code: 'no' }), 'no'],
      [
        () => ({ decision: 'require_approval', reason_code: 'ask', approval_ref: { approval_id: 'a' } }),
        'ask',
      ],
      [
        () => {
          throw new Error('away');
        },
        'pdp_unavailable',
      ],
    ] as const;
    for (const [index, [answer, reason]] of cases.entries()) {
      const c = await openCoordinator(stack, {
        store: await stack.store(`pdp-${index}`),
        policy: { pdp: says(answer), allowsWithout: () => true },
      });
      const { json: run } = await c.start({ root_node_type_ref: PLANNER, run_context: { tenant_id: 't' } });
      expect(run.state).toBe('failed');
      const events = await c.events(`/v1/runs/${run.run_id}/events`);
      expect(events.map(({ type }) => type)).toEqual([
        'run_started',
        'node_run_assigned',
        'policy_decided',
        'run_completed',
      ]);
      expect(events[2]?.data).toMatchObject({ reason_code: reason });
      expect(asked[index]).toEqual({
        action: 'run.start',
        run_id: run.run_id,
        node_run_id: run.root_node_run_id,
        node_type_ref: PLANNER,
        run_context: { tenant_id: 't' },
      });
    }
  });
});

describe('cancel', () => {
  test('G25 G26 everything is canceled, with one last event; what is over stays as it is', async ({
    stack,
  }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const made = await c.create(runId, rootId, {}, { node_type_ref: PLANNER });
    const [leaf, inner] = made.json.node_runs;
    const below = await c.create(runId, inner.node_run_id, {});
    const canceled = await c.send('POST', `/v1/runs/${runId}:cancel`);
    expect([canceled.status, canceled.json.state]).toEqual([200, 'canceled']);
    for (const id of [rootId, leaf.node_run_id, inner.node_run_id, below.json.node_runs[0].node_run_id])
      expect((await c.get(`/v1/node-runs/${id}`)).json).toMatchObject({
        state: 'canceled',
        ended_at: canceled.json.ended_at,
      });
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.at(-1)).toMatchObject({ type: 'run_completed', data: { state: 'canceled' } });
    expect(events.at(-1)).not.toHaveProperty('node_run_id');
    expect((await c.send('POST', `/v1/runs/${runId}:cancel`)).json).toEqual(canceled.json);
    expect(await c.events(`/v1/runs/${runId}/events`)).toEqual(events);
    const unknown = await c.send('POST', '/v1/runs/nobody:cancel');
    expect([unknown.status, unknown.json.error.code]).toEqual([404, 'run_not_found']);
  });
});

test('H34 without its store it is down, without another service degraded', async ({ stack }) => {
  const down = { status: 'down' } as const;
  const ok = { status: 'ok' } as const;
  const cases = [
    [ok, ok, 'ok'],
    [ok, down, 'degraded'],
    [down, ok, 'down'],
  ] as const;
  const store = await stack.store('store');
  for (const [own, pdp, status] of cases) {
    const checks = [
      { name: 'store', ...own },
      { name: 'pdp', ...pdp },
    ];
    const c = await openCoordinator(stack, { store, checks: async () => checks });
    expect((await c.get('/v1/health')).json).toMatchObject({ status, checks });
  }
});

test('what is not there is 404, also what another door keeps in the same store', async ({ stack }) => {
  const c = await openCoordinator(stack);
  const root = { id: 'n', kind: 'atomic' as const };
  const spec = { tenant: 'default', actor: 'a', name: 'job', limits: {}, root, nodes: [], labels: {} };
  await c.engine.execute('job_1', { type: 'create', spec });
  for (const path of [
    '/v1/runs/nobody',
    '/v1/runs/nobody/events',
    '/v1/runs/job_1',
    '/v1/runs/job_1/events',
  ]) {
    const answer = await c.get(path);
    expect([answer.status, answer.json.error.code]).toEqual([404, 'run_not_found']);
  }
  expect((await c.start({ run_id: 'job_1' })).json.error.code).toBe('run_already_exists');
  for (const [method, path, body] of [
    ['GET', '/v1/node-runs/nobody', undefined],
    ['GET', '/v1/node-runs/nobody/events', undefined],
    ['POST', '/v1/node-runs/nobody:complete', { state: 'failed' }],
    ['POST', '/v1/node-runs/nobody:evaluation', { evaluation_result: { status: 'fail' } }],
  ] as const) {
    const answer = await c.send(method, path, body);
    expect([answer.status, answer.json.error.code]).toEqual([404, 'node_run_not_found']);
  }
});

describe('H33 who may', () => {
  const who = (subject: string, tenant?: string): Principal => ({
    via: 'token',
    subject,
    tenant,
    claims: {},
    token: undefined,
  });
  const callers: Readonly<Record<string, Principal>> = {
    'Bearer ada': who('ada', 'a'),
    'Bearer bob': who('bob', 'b'),
    'Bearer nobody': who('nobody'),
  };

  test('a run belongs to its tenant, on every route, and nobody acts as somebody else', async ({ stack }) => {
    const c = await openCoordinator(stack, {
      authenticate: ({ authorization }) => callers[String(authorization)],
    });
    const as = (name: string): Record<string, string> => ({ authorization: `Bearer ${name}` });
    const body = { root_node_type_ref: PLANNER, input: {} };
    const start = (name: string, run_context?: object) =>
      c.send(
        'POST',
        '/v1/runs',
        { ...body, ...(run_context === undefined ? {} : { run_context }) },
        as(name),
      );
    expect((await start('bob', { tenant_id: 'a' })).status).toBe(403);
    expect((await start('nobody', { tenant_id: 'a' })).status).toBe(403);
    expect((await start('ada', { tenant_id: 'a', actor: { type: 'user', id: 'bob' } })).status).toBe(403);
    expect((await start('ada', { tenant_id: 'a', actor: { type: 'user', id: 'ada' } })).status).toBe(200);
    const { json: run } = await start('ada'); // the token's tenant
    const create = {
      run_id: run.run_id,
      parent_node_run_id: run.root_node_run_id,
      node_runs: [{ node_type_ref: ECHO, inputs: {} }],
    };
    const id = run.root_node_run_id;
    for (const [method, path, sent] of [
      ['GET', `/v1/runs/${run.run_id}`, undefined],
      ['GET', `/v1/runs/${run.run_id}/events`, undefined],
      ['POST', '/v1/node-runs', create],
      ['GET', `/v1/node-runs/${id}`, undefined],
      ['GET', `/v1/node-runs/${id}/events`, undefined],
      ['POST', `/v1/node-runs/${id}:evaluation`, { evaluation_result: { status: 'success' } }],
      ['POST', `/v1/node-runs/${id}:complete`, { state: 'succeeded' }],
      ['POST', `/v1/runs/${run.run_id}:cancel`, undefined],
    ] as const) {
      for (const name of ['bob', 'nobody']) {
        const refused = await c.send(method, path, sent, as(name));
        expect([path, refused.status, refused.json.error.code]).toEqual([path, 403, 'forbidden']);
      }
      expect([path, (await c.send(method, path, sent, as('ada'))).status]).toEqual([
        path,
        expect.toSatisfy((status) => status === 200 || status === 204),
      ]);
    }
  });

  test('H3 an assignment opens the NodeRuns of its run, and nothing else', async ({ stack }) => {
    const c = await openCoordinator(stack, {
      authenticate: ({ authorization }) => callers[String(authorization)],
    });
    const ada = { authorization: 'Bearer ada' };
    const body = { root_node_type_ref: PLANNER, input: {} };
    const { json: run } = await c.send('POST', '/v1/runs', body, ada);
    const { json: other } = await c.send('POST', '/v1/runs', body, ada);
    const assigned = { authorization: `Bearer ${c.assignments.mint(run.run_id)}` };
    const at = (of: { root_node_run_id: string }): string => `/v1/node-runs/${of.root_node_run_id}`;
    expect((await c.get(at(run), assigned)).status).toBe(200);
    expect((await c.get(at(other), assigned)).status).toBe(403);
    expect((await c.get(`/v1/runs/${run.run_id}`, assigned)).status).toBe(403);
    expect((await c.send('POST', `/v1/runs/${run.run_id}:cancel`, undefined, assigned)).status).toBe(403);
    expect((await c.send('POST', '/v1/runs', body, assigned)).status).toBe(403);
    const forged = c.assignments.mint(run.run_id).replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    expect((await c.get(at(run), { authorization: `Bearer ${forged}` })).status).toBe(403);
    const complete = await c.send('POST', `${at(run)}:complete`, { state: 'succeeded' }, assigned);
    expect(complete.status).toBe(204);
    expect((await c.send('POST', `${at(other)}:complete`, { state: 'failed' }, assigned)).status).toBe(403);
  });
});
