import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JobSpec, JobStep } from '../../../src/doors/jobs/schema.ts';
import { lenientSteps } from '../../../src/doors/jobs/steps.ts';
import { limitsOf, toRun, wrapRun } from '../../../src/doors/jobs/to-run.ts';
import { parseProcessInput } from '../../../src/executors/process/input.ts';
import type { NodeSpec } from '../../../src/model/node.ts';
import { Driven, expectCode, specOf, STEPS, WHERE } from './support.ts';

const run = (steps: readonly JobStep[], changes: Partial<JobSpec> = {}) =>
  toRun(specOf(steps, changes), WHERE);
const nodeOf = (step: JobStep): NodeSpec => run([step]).nodes[0]!;
const config = (values: NonNullable<JobSpec['adapter']['config']>) => ({
  adapter: { name: 'reference', config: values },
});

test('a job is a plan with its steps in order', () => {
  const { root, nodes, labels, document, name, tenant, actor, requiredCheckpoints } = run(STEPS);
  expect(root).toEqual({
    id: 'job',
    kind: 'composite',
    drive: 'plan',
    before: { type: 'plan', summary: 'Do it.' },
    after: { type: 'completed', summary: 'job completed' },
  });
  expect(nodes.map(({ id, needs }) => [id, needs])).toEqual([
    ['0:collect', undefined],
    ['1:judge', ['0:collect']],
    ['2:publish', ['1:judge']],
  ]);
  expect(labels).toMatchObject({ adapter: 'reference' });
  expect(document).toEqual(specOf(STEPS));
  expect({ name, tenant, actor, requiredCheckpoints }).toEqual({
    name: 'notes_job',
    tenant: 'default',
    actor: 'tester',
    requiredCheckpoints: undefined,
  });
});

test('a step with a command runs it in a login shell, in the workspace', () => {
  const node = nodeOf({
    id: ' build ',
    command: ' make all ',
    artifacts: ['b', ' a ', 'b', ''],
    summary: ' built ',
  });
  expect(node).toEqual({
    id: '0:build',
    kind: 'atomic',
    name: 'build',
    executor: 'process',
    input: { argv: ['sh', '-lc', 'make all'], cwd: '/srv/here' },
    reserve: { steps: 1, toolCalls: 1 },
    onFailure: 'hold',
    onInterrupt: 'rerun',
    after: { type: 'progress', summary: 'built', delta: { added: ['a', 'b'], changed: [], removed: [] } },
    key: 'step:0:build',
  });
});

test('the options of a step reach its node', () => {
  const price = { input: 1, output: 2, cacheWrite: 1, cacheRead: 0 };
  const node = nodeOf({
    command: 'x',
    timeout_seconds: 1.5,
    env: ['FOO'],
    retries: 3,
    on_interrupt: 'block',
    usage_file: 'u.json',
    usage: { source: 'codex', prices: { m: price } },
    capture: 'full',
  });
  expect(node).toMatchObject({
    timeoutMs: 1500,
    retry: { max: 3, backoffMs: 1000, capMs: 60_000 },
    onInterrupt: 'block',
  });
  expect(parseProcessInput(node.input!)).toEqual({
    argv: ['sh', '-lc', 'x'],
    cwd: '/srv/here',
    env: { allow: ['FOO'] },
    usageFile: 'u.json',
    usageSource: { name: 'codex', prices: { m: price } },
    capture: 'full',
    captureDir: '/store/jobs/demo/steps/0',
  });
});

test.each<[string, JobStep, NodeSpec['labels']]>([
  ['executed: false', { command: 'rm -rf /', executed: false }, { executed: false, command: 'rm -rf /' }],
  ['no command', {}, undefined],
  ['a blank command', { command: ' ' }, undefined],
])('W40: with %s nothing runs', (_name, step, labels) => {
  const node = nodeOf(step);
  expect(node.executor).toBeUndefined();
  expect(node.input).toBeUndefined();
  expect(node.reserve).toEqual({ steps: 1 });
  expect(node.labels).toEqual(labels);
});

test('a decision step asks for its action, approval by default', () => {
  expect(nodeOf({ decision_needed: true }).after).toMatchObject({
    type: 'decision-needed',
    summary: 'step step',
    requiredAction: { kind: 'approval', instructions: 'decide about step step' },
  });
  expect(nodeOf({ decision_needed: true, required_action: 'sign' }).after?.requiredAction?.kind).toBe('sign');
});

test('W25, W30: summaries that we build are cut to 2000 bytes', () => {
  const long = 'ä'.repeat(1500);
  const { root, nodes } = run([{ summary: long }], { objective: long, expected_artifacts: [long] });
  for (const spec of [root.before, root.after, nodes[0]?.after]) {
    expect(Buffer.byteLength(spec?.summary ?? '')).toBeLessThanOrEqual(2000);
  }
});

test('expected artifacts that no step claims are named when the job completes', () => {
  const { root } = run(STEPS, { expected_artifacts: ['notes/published.txt', 'b.txt', ' a.txt '] });
  expect(root.after?.summary).toBe('job completed; expected artifacts never claimed: a.txt, b.txt');
});

test('noop has no steps, whatever its inputs', () => {
  const spec = toRun(specOf(STEPS, { adapter: { name: ' NoOp ' } }), WHERE);
  expect(spec.nodes).toEqual([]);
  expect(spec.labels).toMatchObject({ adapter: 'noop' });
});

test('an unknown adapter is refused', async () => {
  await expectCode('E_INVALID_INPUT_SCHEMA', () =>
    toRun(specOf(STEPS, { adapter: { name: 'wrap' } }), WHERE),
  );
});

describe('limits', () => {
  test('seconds become milliseconds and dollars millionths; 0 is none', () => {
    const budgets = { ...specOf().budgets, max_retries: 0, max_estimated_cost: 1.25, max_tokens: 9 };
    expect(run(STEPS, { budgets }).limits).toEqual({
      wallMs: 900_000,
      steps: 12,
      toolCalls: 30,
      costMicros: 1_250_000,
      tokens: 9,
    });
  });

  test('any cost limit above zero limits', () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: 1e9, noNaN: true }), (dollars) => {
        const { costMicros } = limitsOf({ max_estimated_cost: dollars });
        expect(Number.isSafeInteger(costMicros) && costMicros! >= 1).toBe(true);
        expect(Math.abs(costMicros! - dollars * 1e6)).toBeLessThanOrEqual(1);
      }),
    );
    expect(limitsOf({ max_estimated_cost: 0 })).toEqual({});
  });
});

test('a strict policy asks for what a run can have emitted by its end', () => {
  const checkpoint_policy = {
    min_interval_seconds: 7,
    required_types: ['blocked', 'plan', 'decision-needed', 'completed'] as const,
  };
  expect(run(STEPS, { ...config({ strict_policy: true }), checkpoint_policy })).toMatchObject({
    requiredCheckpoints: ['plan', 'completed'],
    minCheckpointIntervalMs: 7000,
  });
  expect(run(STEPS, { checkpoint_policy })).not.toHaveProperty('minCheckpointIntervalMs');
});

describe('needs', () => {
  const needs = (steps: readonly JobStep[], changes: Partial<JobSpec> = {}) =>
    run(steps, changes).nodes.map((node) => node.needs ?? []);

  test('without needs and max_parallel the steps are a chain', () => {
    expect(needs([{}, {}, {}])).toEqual([[], ['0:step'], ['1:step']]);
  });

  test('with max_parallel they wait for nothing', () => {
    const steps = [{ id: 'a' }, { id: 'b' }];
    expect(needs(steps, config({ max_parallel: 2 }))).toEqual([[], []]);
    expect(run(steps, config({ max_parallel: 2 })).root.maxParallel).toBe(2);
  });

  test('with needs they wait for what they name, also further down', () => {
    const steps = [{ id: 'a', needs: ['c'] }, { id: 'b' }, { id: 'c', needs: ['b', 'b'] }];
    expect(needs(steps)).toEqual([['2:c'], [], ['1:b']]);
  });

  test.each<[string, JobStep[], string]>([
    ['unknown', [{ id: 'a', needs: ['x'] }], '/inputs/steps/0/needs/0'],
    ['its own', [{ id: 'a' }, { id: 'b', needs: ['a', 'b'] }], '/inputs/steps/1/needs/1'],
    [
      'circular',
      [{ id: 'z' }, { id: 'a', needs: ['c'] }, { id: 'b', needs: ['a'] }, { id: 'c', needs: ['b'] }],
      '/inputs/steps/1/needs',
    ],
    ['ambiguous', [{ id: 'a' }, { id: 'a' }, { needs: ['a'] }], '/inputs/steps/1/id'],
  ])('%s needs are refused', async (_name, steps, field) => {
    const error = await expectCode('E_INVALID_INPUT_SCHEMA', () => run(steps));
    expect(error.details).toMatchObject({ field });
  });

  test('any order without circles is accepted by the model, and every step runs', () => {
    const graph = fc.array(fc.array(fc.nat(20), { maxLength: 3 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(graph, (edges) => {
        const steps = edges.map((list, i) => ({
          id: `s${i}`,
          needs: list.filter((to) => to < i).map((to) => `s${to}`),
        }));
        const driven = new Driven();
        expect(driven.do({ type: 'create', spec: run(steps.toReversed()) })).toBeUndefined();
        driven.claim();
        driven.work();
        expect(driven.state.standing).toEqual({ phase: 'succeeded' });
        expect(driven.state.used.steps).toBe(steps.length);
      }),
    );
  });

  test('a circle of 50,000 steps is found quickly', async () => {
    const steps = Array.from({ length: 50_000 }, (_, i) => ({
      id: `s${i}`,
      needs: [`s${(i + 1) % 50_000}`],
    }));
    await expectCode('E_INVALID_INPUT_SCHEMA', () => run(steps));
  });
});

describe('wrap', () => {
  test('runs the arguments as they are', () => {
    const { root, nodes, limits, labels } = wrapRun(
      ['tool', '', 'a b', '--json'],
      { artifacts: ['o', 'o'], limits: { wallMs: 5000 }, usageSource: 'codex' },
      WHERE,
    );
    expect(nodes[0]).toMatchObject({
      input: { argv: ['tool', '', 'a b', '--json'], cwd: '/srv/here', usageSource: { name: 'codex' } },
      after: { type: 'progress', delta: { added: ['o'] } },
      labels: { command: 'tool  a b --json' },
    });
    expect(parseProcessInput(nodes[0]!.input!).argv).toHaveLength(4);
    expect(root.before).toEqual({ type: 'plan', summary: 'tool  a b --json' });
    expect(limits).toEqual({ wallMs: 5000 });
    expect(labels).toMatchObject({ adapter: 'wrap' });
  });

  test('what --redact matches is not shown', () => {
    const { root, nodes } = wrapRun(
      ['curl', '-H', 'Bearer abc', '--token', 'xyz', 'sk-1'],
      { redact: ['Bearer \\S+', '--token \\S+', '^sk-.*$'] },
      WHERE,
    );
    expect(root.before?.summary).toBe('curl -H [REDACTED] [REDACTED] [REDACTED]');
    expect(nodes[0]?.labels).toEqual({ command: 'curl -H [REDACTED] [REDACTED] [REDACTED]' });
    expect(nodes[0]?.input).toMatchObject({ redact: ['Bearer \\S+', '--token \\S+', '^sk-.*$'] });
  });

  test('an unknown usage source is refused', async () => {
    await expectCode('E_INVALID_INPUT_SCHEMA', () => wrapRun(['a'], { usageSource: 'gpt' }, WHERE));
  });

  test.each<[string, string[], string[]]>([
    ['no program', [], []],
    ['a blank program', [' ', 'a'], []],
    ['NUL', ['a', 'b\0'], []],
    ['a broken expression', ['a'], ['(']],
  ])('%s is refused', async (_name, argv, redact) => {
    await expectCode('E_INVALID_INPUT_SCHEMA', () => wrapRun(argv, { redact }, WHERE));
  });
});

test('in steps of a job that was accepted elsewhere a wrong type is absent', () => {
  const raw = [
    { id: 5, executed: 'false', command: 'x', artifacts: ['a', 1], decision_needed: 1, retries: 3 },
    null,
  ];
  expect(lenientSteps(raw)).toEqual([{ command: 'x', artifacts: ['a'] }, {}]);
  expect(lenientSteps('none')).toEqual([]);
});
