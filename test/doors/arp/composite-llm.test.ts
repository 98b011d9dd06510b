// Plans and arguments from a language model: what it answers is checked (contract arp §7.1).
import { describe, expect, test } from 'vitest';
import { llmStrategy } from '../../../src/doors/arp/composite/llm-strategy.ts';
import { devMock } from '../../../src/doors/arp/llm/dev-mock.ts';
import { LlmError, type Llm, type StructuredRequest } from '../../../src/doors/arp/llm/llm.ts';
import { begin, MemoryCoordinator, PLANNER, ref, Scene, works } from './composite-support.ts';

/** A mock of a model that keeps what it was asked. */
function model(answers: readonly unknown[]): Llm & { readonly asked: StructuredRequest[] } {
  const asked: StructuredRequest[] = [];
  const mock = devMock(answers.map((parsed) => ({ text: '', parsed })));
  return { ...mock, asked, structured: (request) => (asked.push(request), mock.structured(request)) };
}

const plan = (...goals: readonly string[]) => ({
  summary: 'so',
  subtasks: goals.map((goal) => ({ goal, notes: null })),
});
const driven = (llm: Llm, retries = 1): Scene => new Scene(works, { strategy: llmStrategy(llm, retries) });

describe('a language model', () => {
  test('plans, and finds arguments', async () => {
    const llm = model([plan('echo it', 'hash by sha256'), { echo: 'hi' }, { text: 'hi' }]);
    const scene = driven(llm);
    const { specs, end, evaluations } = await scene.drive(
      { goal: 'Do both', context: { who: 'me' }, max_steps: 3 },
      { constraints: { structural: { max_children_per_composite: 2 } } },
    );
    expect(specs.map(({ inputs }) => inputs)).toEqual([{ echo: 'hi' }, { text: 'hi' }]);
    expect(specs[0]?.extensions).toMatchObject({ 'jarvis.composite.strategy': 'llm' });
    expect(evaluations[0]?.evaluation_result.extensions).toEqual({ 'jarvis.composite.strategy': 'llm' });
    expect(end).toMatchObject({ state: 'succeeded', outputs: { planner_summary: 'so' } });
    const [planning, , hashing] = llm.asked.map(({ prompt }) => JSON.parse(prompt));
    expect(planning).toEqual({ goal: 'Do both', context: { who: 'me' }, max_steps: 2 });
    expect(hashing).toMatchObject({
      step: { goal: 'hash by sha256' },
      whole_goal: 'Do both',
      earlier_steps: [{ action: 'jarvis.core.echo', outputs: { echo: 'hi' } }],
      tool: { id: 'jarvis.core.hash.sha256' },
    });
  });

  test.each([
    ['planner_invalid_output', { subtasks: [] }],
    ['planner_invalid_output', 'nothing'],
    ['planner_invalid_subtask', plan('echo', ' ')],
  ])('%s', async (code, answer) => {
    expect((await driven(model([answer])).drive({ goal: 'x' })).end?.error?.code).toBe(code);
  });

  test('a plan longer than its limit is cut', async () => {
    const llm = model([plan('echo a', 'echo b'), { echo: 'a' }]);
    const { end } = await driven(llm).drive({ goal: 'x', max_steps: 1 });
    expect(end?.outputs).toMatchObject({
      planner_summary: 'so 2 steps were planned; the limit of 1 cut the rest off.',
      child_node_runs: [{}],
    });
  });

  test('JARVIS_COMPOSITE_ARGGEN_MAX_RETRIES: is told what was wrong, and asked again so often', async () => {
    const bad = { echo: 5 };
    const llm = model([plan('echo'), bad, bad, { echo: 'ok' }]);
    expect((await driven(llm, 2).drive({ goal: 'x' })).end?.state).toBe('succeeded');
    expect(llm.asked.map(({ prompt }) => JSON.parse(prompt).previous_answer_was_wrong)).toEqual([
      undefined,
      undefined,
      expect.stringContaining('/echo'),
      expect.stringContaining('/echo'),
    ]);
    const { end } = await driven(model([plan('echo'), bad, bad, { echo: 'ok' }]), 1).drive({ goal: 'x' });
    expect(end?.error?.code).toBe('arggen_validation_failed');
  });

  test('is not asked for what is known: explicit steps, and the inputs of a planner', async () => {
    const llm = model([{ echo: 'said', more: 1 }, { echo: 'said' }]);
    const steps = [{ goal: 'echo', inputs: { echo: 'fixed' } }];
    const { specs } = await driven(llm).drive({ goal: 'x', steps });
    expect(specs[0]?.inputs).toEqual({ echo: 'fixed' });
    const none = model([]);
    const selection = {
      candidates: async () => ({
        candidate_set_id: 's',
        subtask_id: 'S1',
        candidates: [{ node_type_ref: ref(PLANNER) }],
      }),
    };
    const scene = new Scene(works, { strategy: llmStrategy(none, 1), selection });
    const coordinator = await scene.drive({ goal: 'x', steps: ['plan on'] });
    expect(coordinator.specs[0]?.inputs).toMatchObject({
      goal: 'plan on',
      context: {},
      depth: 1,
      max_depth: 4,
    });
  });

  test('that fails, fails the composite with what it says', async () => {
    const failing: Llm = {
      ...model([]),
      structured: () => Promise.reject(new LlmError('rate_limit', 'too many')),
    };
    expect((await driven(failing).drive({ goal: 'x' })).end?.error).toEqual({
      code: 'composite_llm_rate_limit',
      message: 'too many',
      retryable: true,
    });
  });

  test('is given up on a cancel', async () => {
    const asked = Promise.withResolvers<AbortSignal | undefined>();
    const slow: Llm = {
      ...model([]),
      structured: ({ signal }) => {
        asked.resolve(signal);
        return new Promise(() => undefined);
      },
    };
    const coordinator = new MemoryCoordinator(works);
    const scene = new Scene(coordinator, { strategy: llmStrategy(slow, 1) });
    await scene.executor.begin(begin({ goal: 'x' }));
    const signal = await asked.promise;
    await scene.executor.cancel('root');
    await scene.executor.settled();
    expect([signal?.aborted, coordinator.end?.state]).toEqual([true, 'canceled']);
  });
});
