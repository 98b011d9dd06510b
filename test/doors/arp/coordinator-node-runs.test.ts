// Children of NodeRuns over HTTP: the checks in their order, limits, idempotency.
import { createHash } from 'node:crypto';
import { describe, expect } from 'vitest';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import { NODE_RUNS_CREATE_RESPONSE } from '../../../src/doors/arp/wire/requests.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import type { Answer } from '../../server/client.ts';
import { ECHO, openCoordinator, PLANNER, types } from './coordinator-rig.ts';
import { test } from './support.ts';

const said = ({ status, json }: Answer): unknown[] => [status, json?.error?.code];
const BINDING = {
  subtask_id: 'S1',
  chosen_node_type_ref: ECHO,
  candidate_set_id: 'set-1',
  rationale: 'only one',
};

describe('G9 parents', () => {
  test('unknown run, unknown, foreign and atomic parents, in this order', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const other = await c.composite();
    const atomic = (await c.start()).json;
    expect(said(await c.create('nobody', rootId, {}))).toEqual([404, 'run_not_found']);
    expect(said(await c.create(runId, 'nobody', {}))).toEqual([404, 'parent_node_run_not_found']);
    expect(said(await c.create(runId, other.rootId, {}))).toEqual([409, 'parent_node_run_mismatch']);
    expect(said(await c.create(atomic.run_id, atomic.root_node_run_id, {}))).toEqual([
      409,
      'parent_node_run_invalid',
    ]);
    const none = await c.send('POST', '/v1/node-runs', {
      run_id: runId,
      parent_node_run_id: rootId,
      node_runs: [],
    });
    expect(said(none)).toEqual([400, 'invalid_request']);
    const unknown = await c.start({ root_node_type_ref: { node_type_id: 'x', version: '1' } });
    expect(said(await c.create(unknown.json.run_id, unknown.json.root_node_run_id, {}))).toEqual([
      409,
      'parent_node_run_invalid',
    ]);
  });

  test('H5 nothing is created below what is over', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const inner = (await c.create(runId, rootId, { node_type_ref: PLANNER, idempotency_key: 'i' })).json
      .node_runs[0].node_run_id;
    await c.create(runId, inner, { idempotency_key: 'was' });
    await c.complete(inner, { state: 'succeeded' });
    expect(said(await c.create(runId, inner, {}))).toEqual([409, 'parent_node_run_terminal']);
    await c.complete(rootId, { state: 'succeeded' });
    expect(said(await c.create(runId, rootId, {}))).toEqual([409, 'run_terminal']);
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.filter(({ type }) => type === 'composite_decomposed')).toHaveLength(2);
    // What was created before is only read.
    expect((await c.create(runId, inner, { idempotency_key: 'was' })).status).toBe(200);
  });
});

describe('limits', () => {
  const violates = async (
    answer: Answer,
    constraint: string,
    limit: number,
    actual: number,
  ): Promise<void> => {
    expect(said(answer)).toEqual([409, 'constraint_violation']);
    expect(answer.json.error.details).toEqual({ constraint, limit, actual });
  };
  const COMPOSITE = { node_type_ref: PLANNER };

  test('G10 max_depth 0 blocks children, 1 blocks grandchildren', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const none = await c.composite({ constraints: { structural: { max_depth: 0 } } });
    await violates(await c.create(none.runId, none.rootId, {}), 'max_depth', 0, 1);
    const one = await c.composite({ constraints: { structural: { max_depth: 1 } } });
    const child = (await c.create(one.runId, one.rootId, COMPOSITE)).json.node_runs[0].node_run_id;
    await violates(await c.create(one.runId, child, {}), 'max_depth', 1, 2);
  });

  test('G11 limits of children, nodes and rounds refuse the request as a whole', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite({
      constraints: {
        structural: {
          max_children_per_composite: 2,
          max_total_nodes_per_run: 4,
          max_decomposition_rounds_per_node: 2,
        },
      },
    });
    const before = await c.events(`/v1/runs/${runId}/events`);
    await violates(await c.create(runId, rootId, {}, {}, {}), 'max_children_per_composite', 2, 3);
    expect(await c.events(`/v1/runs/${runId}/events`)).toEqual(before); // H8
    const inner = (await c.create(runId, rootId, COMPOSITE)).json.node_runs[0].node_run_id;
    await c.create(runId, inner, {});
    await violates(await c.create(runId, inner, {}, {}), 'max_children_per_composite', 2, 3);
    await c.create(runId, rootId, {});
    await violates(await c.create(runId, inner, {}), 'max_total_nodes_per_run', 4, 5);
    const rounds = await c.composite({
      constraints: { structural: { max_decomposition_rounds_per_node: 1 } },
    });
    await c.create(rounds.runId, rounds.rootId, {});
    await violates(
      await c.create(rounds.runId, rounds.rootId, {}),
      'max_decomposition_rounds_per_node',
      1,
      2,
    );
    expect((await c.get(`/v1/node-runs/${rounds.rootId}`)).json.extensions.decomposition_rounds).toBe(1);
  });

  test('H11 a child holds what its parent holds, and its own limits bound only what is below it', async ({
    stack,
  }) => {
    const nodeTypes = types({
      ...ECHO,
      kind: 'atomic',
      constraints: { gates: { side_effect_class: 'read' } },
    });
    const c = await openCoordinator(stack, { nodeTypes });
    const { runId, rootId } = await c.composite({ constraints: { budgets: { max_steps: 9 } } });
    const inner = await c.create(runId, rootId, {
      ...COMPOSITE,
      constraints: {
        structural: { max_children_per_composite: 1, max_depth: 7 },
        candidates: { allowed_node_type_ids: ['b', 'a', 'c'], denied_node_type_ids: ['z'] },
        gates: { side_effect_class: 'write', require_approval: true },
      },
    });
    const [{ node_run_id: id }] = inner.json.node_runs;
    const leaf = await c.create(runId, id, {
      constraints: {
        structural: { max_depth: 90 },
        candidates: { allowed_node_type_ids: ['c', 'b', 'y'], denied_node_type_ids: ['x'] },
        budgets: { max_steps: 20 },
      },
    });
    expect(leaf.json.node_runs[0].extensions.constraints).toEqual({
      structural: { max_children_per_composite: 1, max_depth: 7 },
      candidates: { allowed_node_type_ids: ['b', 'c'], denied_node_type_ids: ['x', 'z'] },
      budgets: { max_steps: 9 },
      gates: { side_effect_class: 'write', require_approval: true },
    });
    await violates(await c.create(runId, id, {}), 'max_children_per_composite', 1, 2);
    // H12: what is shown is the loosest ceiling; what holds is the strictest.
    const view = await c.coordinator.views.get(runId);
    expect(view?.nodes.get(leaf.json.node_runs[0].node_run_id)?.input.side_effect_ceiling).toBe('read');
  });

  test('G31 of fifty requests at once under a limit of ten, ten create a child', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite({
      constraints: { structural: { max_children_per_composite: 10 } },
    });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => c.create(runId, rootId, { inputs: { index } })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ json }) => json.error?.code === 'constraint_violation')).toHaveLength(40);
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.filter(({ data }) => data['parent_node_run_id'] === rootId)).toHaveLength(10);
    expect((await c.get(`/v1/node-runs/${rootId}`)).json.extensions.decomposition_rounds).toBe(10);
  });
});

describe('idempotency keys', () => {
  test('G12 G14 the same again gives the same children, in the order of the request', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite({
      constraints: { structural: { max_children_per_composite: 2 } },
    });
    const spec = (key: string): Record<string, unknown> => ({ idempotency_key: key, inputs: { key } });
    const first = await c.create(runId, rootId, spec('b'));
    const digest = createHash('sha256').update(`${runId}:${rootId}:b`).digest('hex');
    const [b] = first.json.node_runs;
    expect(b).toMatchObject({
      node_run_id: `node_run_${digest.slice(0, 32)}`,
      parent_node_run_id: rootId,
      state: 'queued',
      kind: 'atomic',
      extensions: { idempotency_key: 'b' },
    });
    const both = await c.create(runId, rootId, spec('a'), spec('b'));
    expect(both.json.node_runs.map(({ inputs }: { inputs: unknown }) => inputs)).toEqual([
      { key: 'a' },
      { key: 'b' },
    ]);
    expect(both.json.node_runs[1]).toEqual(b);
    // Also at the limit, for nothing is created.
    expect((await c.create(runId, rootId, spec('a'), spec('b'))).json).toEqual(both.json);
    const events = await c.events(`/v1/runs/${runId}/events`);
    const decomposed = events.filter(({ type }) => type === 'composite_decomposed');
    expect(decomposed.map(({ data }) => data)).toEqual([{ node_run_count: 1 }, { node_run_count: 1 }]);
    expect(events.filter(({ type }) => type === 'node_run_assigned')).toHaveLength(3);
  });

  test('H7 a key counts below its parent only', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const [one, two] = [await c.composite(), await c.composite()];
    const spec = { idempotency_key: 'k' };
    const ids = [
      (await c.create(one.runId, one.rootId, spec)).json.node_runs[0].node_run_id,
      (await c.create(two.runId, two.rootId, spec)).json.node_runs[0].node_run_id,
    ];
    const inner = (await c.create(one.runId, one.rootId, { node_type_ref: PLANNER })).json.node_runs[0]
      .node_run_id;
    ids.push((await c.create(one.runId, inner, spec)).json.node_runs[0].node_run_id);
    expect(new Set(ids).size).toBe(3);
  });

  test('G13 what differs is named, what is left out agrees', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const spec = {
      idempotency_key: 'k',
      inputs: { a: 1, b: [1, 2] },
      binding_decision: BINDING,
      constraints: { budgets: { max_steps: 3 } },
    };
    const { json } = await c.create(runId, rootId, spec);
    const others: readonly [Record<string, unknown>, readonly string[]][] = [
      [{ inputs: { a: 2, b: [1, 2] } }, ['inputs']],
      [{ node_type_ref: { ...ECHO, version: '2' } }, ['node_type_ref']],
      [{ node_type_ref: { ...ECHO, extensions: { 'a.b': 1 } } }, ['node_type_ref']],
      [{ binding_decision: { ...BINDING, rationale: 'other' } }, ['binding_decision']],
      [{ candidate_set_id: 'set-2' }, ['candidate_set_id']],
      [{ constraints: { budgets: { max_steps: 4 } } }, ['constraints']],
    ];
    for (const [change, differs] of others) {
      const answer = await c.create(runId, rootId, { ...spec, ...change });
      expect(said(answer)).toEqual([409, 'idempotency_conflict']);
      expect(answer.json.error.details.differs).toEqual(differs);
      expect(answer.json.error.message).toContain(differs.join(', '));
    }
    const { binding_decision: _, constraints: __, ...less } = spec;
    expect((await c.create(runId, rootId, { ...less, inputs: { b: [1, 2], a: 1 } })).json).toEqual(json);
    // A conflict creates nothing of the rest.
    expect(said(await c.create(runId, rootId, { idempotency_key: 'new' }, { ...spec, inputs: {} }))[0]).toBe(
      409,
    );
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.filter(({ type }) => type === 'composite_decomposed')).toHaveLength(1);
  });

  test('H10 the same key twice in one request is one child, or a conflict', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const spec = { idempotency_key: 'k', inputs: { a: 1 } };
    const { json } = await c.create(runId, rootId, spec, spec);
    expect(json.node_runs).toHaveLength(2);
    expect(json.node_runs[0]).toEqual(json.node_runs[1]);
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.filter(({ node_run_id: id }) => id === json.node_runs[0].node_run_id)).toHaveLength(1);
    const other = { idempotency_key: 'j', inputs: {} };
    const mixed = await c.create(runId, rootId, other, { ...other, inputs: { b: 1 } });
    expect(said(mixed)).toEqual([409, 'idempotency_conflict']);
  });

  test('H17 twenty equal requests at once create one child', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const spec = { idempotency_key: 'k', inputs: { a: 1 } };
    const answers = await Promise.all(Array.from({ length: 20 }, () => c.create(runId, rootId, spec)));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    const different = await Promise.all(
      [1, 2, 3, 4].map((a) => c.create(runId, rootId, { idempotency_key: 'j', inputs: { a } })),
    );
    expect(different.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(different.filter(({ status }) => status === 409)).toHaveLength(3);
    const events = await c.events(`/v1/runs/${runId}/events`);
    expect(events.filter(({ type }) => type === 'composite_decomposed')).toHaveLength(2);
  });

  test('H19 an outage of the registry between two requests is no conflict', async ({ stack }) => {
    let isUp = true;
    let asked = 0;
    const known = types({ ...ECHO, kind: 'atomic', extensions: { 'jarvis.side_effect': 'read' } });
    const nodeTypes = {
      get(id: string) {
        asked += 1;
        if (isUp) return known.get(id);
        throw new ArpError(502, 'node_registry_unavailable', 'away');
      },
    };
    const c = await openCoordinator(stack, { nodeTypes });
    const { runId, rootId } = await c.composite();
    const spec = { idempotency_key: 'k', constraints: { budgets: { max_steps: 1 } } };
    const first = await c.create(runId, rootId, spec);
    isUp = false;
    expect((await c.create(runId, rootId, spec)).json).toEqual(first.json);
    const before = asked;
    for (let n = 0; n < 5; n += 1) await c.create(runId, rootId, {});
    expect(asked).toBe(before); // H16
  });
});

test('G15 binding and candidate set stand on the child, and in the events in this order', async ({
  stack,
}) => {
  const c = await openCoordinator(stack);
  const { runId, rootId } = await c.composite();
  const body = {
    run_id: runId,
    parent_node_run_id: rootId,
    node_runs: [
      {
        node_type_ref: ECHO,
        inputs: { goal: 'x' },
        binding_decision: BINDING,
        requested_executor_instance_id: 'ignored',
        metadata: { labels: { ignored: 'too' } },
        extensions: { 'my.own': true },
      },
      { node_type_ref: ECHO, inputs: {}, candidate_set_id: 'set-2' },
    ],
    extensions: { 'a.b': 'echoed' },
  };
  const { json } = await c.send('POST', '/v1/node-runs', body);
  const [first, second] = json.node_runs;
  expect(json.extensions).toEqual({ 'a.b': 'echoed' });
  expect(first.extensions).toEqual({ 'my.own': true, binding_decision: BINDING, candidate_set_id: 'set-1' });
  expect(second.extensions).toEqual({ candidate_set_id: 'set-2' });
  for (const node of json.node_runs) delete node.extensions;
  expect(await fieldErrors(NODE_RUNS_CREATE_RESPONSE, json)).toEqual([]);
  const events = (await c.events(`/v1/runs/${runId}/events`)).slice(3);
  expect(events.map(({ type, node_run_id, data }) => [type, node_run_id, data])).toEqual([
    ['composite_decomposed', rootId, { node_run_count: 2 }],
    ['node_run_assigned', first.node_run_id, { parent_node_run_id: rootId }],
    ['subtask_mapped', first.node_run_id, BINDING],
    ['candidate_set_generated', first.node_run_id, { candidate_set_id: 'set-1', subtask_id: 'S1' }],
    ['node_run_assigned', second.node_run_id, { parent_node_run_id: rootId }],
    ['candidate_set_generated', second.node_run_id, { candidate_set_id: 'set-2' }],
  ]);
});
