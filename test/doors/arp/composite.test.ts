// The driver of composite NodeRuns, without a language model, against a coordinator in memory (contract arp §7.1).
import { describe, expect, test } from 'vitest';
import { compositeSettings } from '../../../src/doors/arp/composite/settings.ts';
import type { Selection } from '../../../src/doors/arp/ports.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import type { CandidateSet } from '../../../src/doors/arp/wire/requests.ts';
import {
  begin,
  LIMITS,
  MemoryCoordinator,
  nodeTypes,
  PLANNER,
  ref,
  Scene,
  works,
  type Fields,
  type Runs,
} from './composite-support.ts';

const TWO_STEPS = { goal: "Echo 'hello', then hash it with SHA256" };
const never: Runs = () => undefined;

describe('without a language model', () => {
  test('G42 runs children in order, each with what the one before gave, and succeeds', async () => {
    const scene = new Scene();
    const coordinator = await scene.drive(TWO_STEPS, {
      run_context: { tenant_id: 't' },
      constraints: { budgets: { max_steps: 5 } },
      extensions: { 'acme.x': 1, idempotency_key: 'k' },
    });
    const [echo, hash] = coordinator.children;
    expect(coordinator.end).toEqual({
      id: 'root',
      state: 'succeeded',
      outputs: {
        child_node_runs: [
          {
            node_run_id: echo?.node_run_id,
            node_type_ref: ref('jarvis.core.echo'),
            state: 'succeeded',
            outputs: { echo: 'hello' },
          },
          {
            node_run_id: hash?.node_run_id,
            node_type_ref: ref('jarvis.core.hash.sha256'),
            state: 'succeeded',
            outputs: { sha256: 'hash of hello' },
          },
        ],
      },
    });
    expect(coordinator.evaluations).toEqual([
      {
        evaluation_result: {
          status: 'success',
          reason_code: 'composite_evaluation',
          message: '2 steps succeeded',
          extensions: { 'jarvis.composite.strategy': 'deterministic' },
        },
      },
    ]);
    expect(coordinator.specs).toEqual([
      {
        node_type_ref: ref('jarvis.core.echo'),
        inputs: { echo: 'hello' },
        constraints: { budgets: { max_steps: 5 } },
        candidate_set_id: 'set_S1',
        binding_decision: {
          subtask_id: 'S1',
          chosen_node_type_ref: ref('jarvis.core.echo'),
          candidate_set_id: 'set_S1',
        },
        idempotency_key: 'root:S1',
        extensions: expect.objectContaining({ 'jarvis.composite.strategy': 'deterministic' }),
      },
      expect.objectContaining({ idempotency_key: 'root:S2', inputs: { text: 'hello' } }),
    ]);
    expect(scene.selection.requests[1]).toEqual({
      subtask_spec: {
        subtask_id: 'S2',
        goal: 'hash it with SHA256',
        extensions: { 'jarvis.root_goal': TWO_STEPS.goal },
      },
      run_context: { tenant_id: 't' },
      constraints: { budgets: { max_steps: 5 } },
      extensions: {
        'acme.x': 1,
        'jarvis.prior_steps': [{ action: 'jarvis.core.echo', outputs: { echo: 'hello' } }],
      },
    });
    expect(scene.notes).toEqual([]);
  });

  test.each([
    ['failed', 'failed'],
    ['canceled', 'canceled'],
  ] as const)('G42 a child that ends %s stops the rest with child_failed', async (state, end) => {
    const error = { code: 'handler_error', message: 'no' };
    const scene = new Scene(() => ({ state, error }));
    const coordinator = await scene.drive(TWO_STEPS);
    expect(coordinator.children).toHaveLength(1);
    expect(coordinator.end).toMatchObject({
      state: end,
      error: { code: 'child_failed', details: { state }, cause: error },
      outputs: { child_node_runs: [{ state }] },
    });
    expect(coordinator.evaluations[0]?.evaluation_result.status).toBe('fail');
  });

  test('G42 an empty plan succeeds', async () => {
    const coordinator = await new Scene().drive({ goal: 'nothing', steps: [] });
    expect(coordinator.evaluations[0]?.evaluation_result.status).toBe('success');
    expect(coordinator.end).toMatchObject({ state: 'succeeded', outputs: { child_node_runs: [] } });
  });

  test('G42 explicit steps are taken as they are: goals, notes, inputs, and the node type that may do it', async () => {
    const scene = new Scene();
    const steps = [
      'Echo this',
      {
        goal: 'say it',
        notes: 'twice',
        inputs: { echo: 'once, then twice' },
        node_type_id: 'jarvis.core.echo',
      },
    ];
    const coordinator = await scene.drive({ goal: 'whatever; else', steps, max_steps: '2' });
    expect(coordinator.specs.map(({ inputs }) => inputs)).toEqual([
      { echo: 'Echo this' },
      { echo: 'once, then twice' },
    ]);
    expect(scene.selection.requests[1]?.subtask_spec).toEqual({
      subtask_id: 'S2',
      goal: 'say it [jarvis.core.echo]',
      constraints: { candidates: { allowed_node_type_ids: ['jarvis.core.echo'] } },
      extensions: { 'jarvis.root_goal': 'whatever; else', 'jarvis.subtask.notes': 'twice' },
    });
  });

  test('a plan is cut to its limit, and the summary says so', async () => {
    const coordinator = await new Scene().drive({
      goal: 'x',
      steps: ['echo a', 'echo b', 'echo c'],
      max_steps: 2,
    });
    expect(coordinator.children).toHaveLength(2);
    expect(coordinator.end?.outputs?.['planner_summary']).toBe(
      '3 steps were planned; the limit of 2 cut the rest off.',
    );
  });
});

describe('what cannot be done fails with its code', () => {
  const noLimits = compositeSettings({});
  test.each<[string, Fields, Fields]>([
    ['composite_goal_missing', { goal: '  ', prompt: 7 }, {}],
    ['planner_invalid_max_steps', { goal: 'x', max_steps: 0 }, {}],
    ['planner_invalid_max_steps', { goal: 'x', max_steps: 'many' }, {}],
    ['planner_invalid_max_depth', { goal: 'x', max_depth: '-1' }, {}],
    ['planner_invalid_depth', { goal: 'x', depth: 1.5 }, {}],
    ['planner_depth_exceeded', { goal: 'x', depth: '4' }, {}],
    ['planner_depth_exceeded', { goal: 'x', max_depth: 9, depth: 1 }, { structural: { max_depth: 1 } }],
    ['planner_invalid_max_steps', { goal: 'x', max_steps: 9 }, { budgets: { max_steps: 0 } }],
    ['planner_invalid_output', { goal: 'x', steps: 'echo' }, {}],
    ['planner_invalid_subtask', { goal: 'x', steps: [{ goal: ' ' }] }, {}],
    ['planner_invalid_subtask', { goal: 'x', steps: ['echo', { goal: 'echo', tool: 'x' }] }, {}],
    [
      'constraint_violation',
      { goal: 'x', steps: ['echo', 'echo'] },
      { structural: { max_decomposition_rounds_per_node: 1 } },
    ],
    [
      'constraint_violation',
      { goal: 'x', steps: ['echo'] },
      { structural: { max_children_per_composite: 0 } },
    ],
    ['composite_no_candidates', { goal: 'dance' }, {}],
    ['arggen_validation_failed', { goal: 'sleep well' }, {}],
  ])('%s: %j %j', async (code, inputs, constraints) => {
    const coordinator = await new Scene().drive(inputs, { constraints });
    expect(coordinator.end).toMatchObject({ state: 'failed', error: { code } });
    expect(coordinator.children).toEqual([]);
    expect(coordinator.end).not.toHaveProperty('outputs');
  });

  test('composite_limit_missing where neither inputs, constraints nor settings say it', async () => {
    const driven = async (inputs: Fields, constraints: Fields): Promise<unknown> =>
      (await new Scene(works, { settings: noLimits }).drive(inputs, { constraints })).end;
    const goal = 'Echo x';
    for (const [inputs, constraints] of [
      [{ goal }, {}],
      [{ goal, max_steps: 1 }, {}],
      [{ goal, max_depth: null }, { budgets: { max_steps: 1 } }],
    ] as const)
      expect(await driven(inputs, constraints)).toMatchObject({ error: { code: 'composite_limit_missing' } });
    expect(await driven({ goal, max_steps: '1', max_depth: '1' }, {})).toMatchObject({ state: 'succeeded' });
    expect(await driven({ goal }, { budgets: { max_steps: 1 }, structural: { max_depth: 1 } })).toMatchObject(
      { state: 'succeeded' },
    );
  });

  test('H12 the stricter of inputs and constraints limits the steps', async () => {
    const steps = ['echo a', 'echo b', 'echo c'];
    for (const [max_steps, constraint] of [
      [1, 3],
      [3, 1],
    ] as const) {
      const scene = new Scene();
      const coordinator = await scene.drive(
        { goal: 'x', steps, max_steps },
        { constraints: { budgets: { max_steps: constraint } } },
      );
      expect(coordinator.children).toHaveLength(1);
    }
  });

  test.each<[string, Partial<NodeType>]>([
    ['arggen_schema_missing', {}],
    ['arggen_schema_invalid', { input_schema: { type: 'string' } }],
    ['arggen_schema_invalid', { input_schema: { type: 'object', properties: { a: { $ref: 'else' } } } }],
  ])('%s', async (code, { input_schema }) => {
    const type: NodeType = {
      ...ref('jarvis.core.echo'),
      kind: 'atomic',
      ...(input_schema === undefined ? {} : { input_schema }),
    };
    const coordinator = await new Scene(works, { nodeTypes: nodeTypes([type]) }).drive({ goal: 'echo' });
    expect(coordinator.end).toMatchObject({ state: 'failed', error: { code } });
  });

  test('what selection, registry and coordinator say passes through', async () => {
    const refusal = new ArpError(422, 'selection_blocked', 'not now', {
      details: { why: 1 },
      retryable: false,
    });
    const blocked = new Scene(works, { selection: { candidates: () => Promise.reject(refusal) } });
    expect((await blocked.drive({ goal: 'echo' })).end?.error).toEqual({
      code: 'selection_blocked',
      message: 'not now',
      details: { why: 1 },
      retryable: false,
    });
    const coordinator = new MemoryCoordinator(works);
    coordinator.failures.push({
      verb: 'create',
      error: new ArpError(409, 'constraint_violation', 'too deep'),
    });
    expect((await new Scene(coordinator).drive({ goal: 'echo' })).end?.error).toMatchObject({
      code: 'constraint_violation',
      message: 'too deep',
    });
    const none = new MemoryCoordinator(works);
    none.create = async () => [];
    expect((await new Scene(none).drive({ goal: 'echo' })).end?.error?.code).toBe('composite_no_child_runs');
  });

  test('a defect is composite_error, without internals, and the operator learns of it', async () => {
    const scene = new Scene(works, {
      selection: { candidates: () => Promise.reject(new TypeError('secret internals')) },
    });
    const { end } = await scene.drive({ goal: 'echo' });
    expect(end).toEqual({
      id: 'root',
      state: 'failed',
      error: { code: 'composite_error', message: 'the composite executor failed' },
    });
    expect(scene.notes.join()).toContain('secret internals');
  });

  test('what was done before a failure is told', async () => {
    const coordinator = await new Scene().drive({ goal: 'Echo x, then dance' });
    expect(coordinator.end).toMatchObject({
      state: 'failed',
      error: { code: 'composite_no_candidates', details: { subtask_id: 'S2' } },
      outputs: { child_node_runs: [{ outputs: { echo: 'Echo x' } }] },
    });
  });
});

describe('planners below', () => {
  const offering = (ids: readonly string[], extensions: Fields): Selection => ({
    async candidates({ subtask_spec: { subtask_id } }): Promise<CandidateSet> {
      const candidates = ids.map((id) => ({ node_type_ref: ref(id) }));
      return { candidate_set_id: 's', subtask_id, candidates, extensions };
    },
  });
  const needed = 'jarvis.selection.needs_planner';
  const which = 'jarvis.selection.planner_node_type_ref';

  test.each<[Fields, string | undefined]>([
    [{ [needed]: false }, 'jarvis.core.echo'],
    [{ [needed]: true }, PLANNER],
    [{ [needed]: true, [which]: ref(PLANNER) }, PLANNER],
    [{ [needed]: true, [which]: ref('jarvis.core.echo') }, 'jarvis.core.echo'],
    [{ [needed]: true, [which]: ref('other') }, undefined],
    [{ [needed]: true, [which]: { ...ref(PLANNER), version: '0' } }, undefined],
  ])('%j binds %s', async (extensions, bound) => {
    const selection = offering(['jarvis.core.echo', PLANNER], extensions);
    const coordinator = await new Scene(works, { selection }).drive({ goal: 'echo' });
    expect(coordinator.specs.map(({ node_type_ref }) => node_type_ref.node_type_id)).toEqual(
      bound === undefined ? [] : [bound],
    );
    if (bound === undefined) expect(coordinator.end?.error?.code).toBe('composite_no_candidates');
  });

  test('get goal, context, the limits, and what was done before', async () => {
    const selection = offering([PLANNER], { [needed]: true });
    const coordinator = await new Scene(works, { selection }).drive({
      goal: 'x',
      context: { who: 'me' },
      depth: 1,
      max_depth: '3',
      steps: ['first part', 'second part'],
    });
    expect(coordinator.specs.map(({ inputs }) => inputs)).toEqual([
      { goal: 'first part', context: { who: 'me' }, steps: null, depth: 2, max_depth: 3, max_steps: 8 },
      {
        goal: 'second part',
        context: { who: 'me', prior_steps: [{ action: PLANNER, outputs: {} }] },
        steps: null,
        depth: 2,
        max_depth: 3,
        max_steps: 8,
      },
    ]);
  });

  test('and use what was done before them', async () => {
    const prior_steps = [{ action: 'a', outputs: { text: 'from above' } }];
    const coordinator = await new Scene().drive({ goal: 'Sha256 of the text', context: { prior_steps } });
    expect(coordinator.specs[0]?.inputs).toEqual({ text: 'from above' });
  });
});

test('JARVIS_COMPOSITE_CONTEXT_WINDOW bounds what is told of earlier steps', async () => {
  const scene = new Scene(works, {
    settings: compositeSettings({ ...LIMITS, JARVIS_COMPOSITE_CONTEXT_WINDOW: '1' }),
  });
  await scene.drive({ goal: 'x', steps: ['echo a', 'echo b', 'echo c'] });
  const told = (echo: string) => [{ action: 'jarvis.core.echo', outputs: { echo } }];
  expect(scene.selection.requests.map(({ extensions }) => extensions?.['jarvis.prior_steps'])).toEqual([
    [],
    told('echo a'),
    told('echo b'),
  ]);
});

test('a begin without its parts is refused with 503 and the code of what is missing', async () => {
  const codes = {
    selection: 'selection_service_missing',
    nodeTypes: 'node_registry_missing',
    strategy: 'composite_llm_missing',
    settings: 'composite_config_missing',
  };
  for (const [part, code] of Object.entries(codes)) {
    const { executor } = new Scene(works, { [part]: undefined });
    await expect(executor.begin(begin({ goal: 'x' }))).rejects.toMatchObject({ status: 503, wireCode: code });
    expect(executor.missing()).toEqual([code]);
  }
});

test('a NodeRun that has ended, or that nobody knows, is left alone', async () => {
  const over = new MemoryCoordinator(never);
  over.put({ node_run_id: 'root', run_id: 'run_1', node_type_ref: ref(PLANNER), state: 'succeeded' });
  await new Scene(over).drive({ goal: 'echo' });
  expect([over.specs, over.completions, over.evaluations]).toEqual([[], [], []]);
  const scene = new Scene();
  await scene.drive({ goal: 'echo' }, { node_run_id: 'unknown' });
  expect(scene.notes.join()).toContain('could not be reported');
});
