// Selection by a language model, on real sockets (contract arp §7.2, G40).
import { describe, expect } from 'vitest';
import { type Llm, LlmError, type LlmErrorCode } from '../../../src/doors/arp/llm/llm.ts';
import { builtinTypes } from '../../../src/doors/arp/registry/builtin-types.ts';
import { selectionService } from '../../../src/doors/arp/selection/selection.ts';
import { idsOf, model, named, PLANNER, selecting, subtask, type } from './selecting.ts';
import { test } from './support.ts';

describe('by a language model', () => {
  test('G40 its order and words are kept; unknown and repeated candidates are dropped', async ({ stack }) => {
    const llm = model({
      candidates: [
        named('jarvis.web.fetch', '0.3.8', 0.7),
        named('made.up'),
        named('jarvis.core.echo', '9.9.9'),
        named('jarvis.core.uuid4', null, 0.9),
        named('jarvis.web.fetch'),
        named(PLANNER.node_type_id),
        named('jarvis.core.sleep'),
      ],
    });
    const { ask } = await selecting(stack, { llm });
    const limit = { constraints: { candidates: { max_candidates_per_subtask: 3 } } };
    const set = await ask({ ...subtask('do it'), ...limit });
    expect(set.candidates).toEqual([
      {
        node_type_ref: { node_type_id: 'jarvis.web.fetch', version: '0.3.8' },
        score: 0.7,
        rationale: 'fits',
      },
      {
        node_type_ref: { node_type_id: 'jarvis.core.uuid4', version: '0.3.8' },
        score: 0.9,
        rationale: 'fits',
      },
      { node_type_ref: { node_type_id: 'jarvis.core.sleep', version: '0.3.8' } },
    ]);
    expect(set.extensions).toEqual({
      'jarvis.selection.strategy': 'llm',
      'jarvis.selection.needs_planner': false,
      'jarvis.llm.provider': 'dev-mock',
      'jarvis.llm.model': 'dev-mock',
      'jarvis.llm.latency_ms': expect.any(Number),
    });
  });

  test('G40 who has to plan is the one candidate, at 0.1', async ({ stack }) => {
    const composites = [
      type('z.planner', { kind: 'composite', extensions: { 'jarvis.role': 'planner' } }),
      type('a.worker', { kind: 'composite' }),
      type('mine', { kind: 'composite' }),
      type('a.step', { extensions: { 'jarvis.role': 'planner' } }),
    ];
    const types = [...builtinTypes('0.3.8'), ...composites];
    const ranking = { needs_planner: true, candidates: [named('jarvis.core.echo')] };
    const { ask } = await selecting(stack, { types, llm: model(ranking, ranking, ranking) });
    const set = await ask(subtask('everything'));
    expect(set.candidates).toEqual([{ node_type_ref: PLANNER, score: 0.1 }]);
    expect(set.extensions).toMatchObject({
      'jarvis.selection.needs_planner': true,
      'jarvis.selection.planner_node_type_ref': PLANNER,
    });
    const only = (...allowed_node_type_ids: string[]): object => ({ candidates: { allowed_node_type_ids } });
    const other = await ask({ ...subtask('x'), constraints: only('z.planner', 'a.worker') });
    expect(idsOf(other)).toEqual(['z.planner']);
    expect(await ask({ ...subtask('x'), constraints: only('a.step', 'a.worker') })).toMatchObject({
      status: 422,
      code: 'selection_planner_missing',
    });
    const configured = await selecting(stack, { types, llm: model(ranking), plannerId: 'mine' });
    expect(idsOf(await configured.ask(subtask('x')))).toEqual(['mine']);
  });

  test('G40 a subtask that nobody can carry out is blocked, for good', async ({ stack }) => {
    const { ask } = await selecting(stack, {
      llm: model(
        { blocked_reason: 'no access', candidates: [named('jarvis.core.echo')] },
        { missing_inputs: ['url', 'token'], needs_planner: true },
        { blocked_reason: '  ', candidates: [named('jarvis.core.echo')] },
        { candidates: [named('made.up')] },
      ),
    });
    expect(await ask(subtask('x'))).toMatchObject({
      status: 422,
      code: 'selection_blocked',
      retryable: false,
      details: { subtask_id: 'S1', blocked_reason: 'no access', missing_inputs: [] },
    });
    expect(await ask(subtask('x'))).toMatchObject({
      code: 'selection_blocked',
      details: { blocked_reason: 'inputs are missing: url, token', missing_inputs: ['url', 'token'] },
    });
    expect(idsOf(await ask(subtask('x')))).toEqual(['jarvis.core.echo']);
    expect(await ask(subtask('x'))).toMatchObject({ status: 422, code: 'selection_no_candidates' });
  });

  test('it is shown the subtask and what is on offer, and no more than that', async ({ stack }) => {
    const prompts: string[] = [];
    const llm: Llm = {
      provider: 'p',
      model: 'm',
      async structured({ prompt, schema }) {
        prompts.push(prompt);
        expect(schema).toMatchObject({
          required: ['candidates', 'needs_planner', 'blocked_reason', 'missing_inputs'],
        });
        return {
          candidates: [named('many.299')],
          needs_planner: false,
          blocked_reason: null,
          missing_inputs: [],
        };
      },
    };
    const many = Array.from({ length: 300 }, (_, n) =>
      type(`many.${n}`, { description: 'd'.repeat(10_000) }),
    );
    const { ask } = await selecting(stack, { types: [...many, type('banned')], llm });
    const own = { 'jarvis.root_goal': 'the whole', 'jarvis.subtask.notes': 'a note' };
    await ask({
      ...subtask(`many 299 ${'g'.repeat(300_000)}`, { extensions: own }),
      constraints: { candidates: { denied_node_type_ids: ['banned'] } },
      extensions: {
        'jarvis.prior_steps': [{ action: 'before', outputs: { text: 'o'.repeat(300_000) } }],
        'x.y': 1,
      },
    });
    const [prompt = ''] = prompts;
    for (const word of ['the whole', 'a note', 'before', 'many.299"'])
      expect(prompt.includes(word), word).toBe(true);
    expect(prompt.includes('banned')).toBe(false);
    expect(prompt.length).toBeLessThan(200_000);
  });

  test.for<[LlmErrorCode, boolean]>([
    ['auth', false],
    ['rate_limit', true],
    ['timeout', true],
    ['unavailable', true],
    ['invalid_request', false],
    ['parse_error', true],
  ])('its failures are 502 with its code: %s', async ([code, retryable], { stack }) => {
    const structured = (): Promise<never> => Promise.reject(new LlmError(code, 'no'));
    const { ask } = await selecting(stack, { llm: { provider: 'p', model: 'm', structured } });
    expect(await ask(subtask('x'))).toEqual({
      status: 502,
      code: `selection_llm_${code}`,
      message: 'no',
      retryable,
    });
  });

  test('a defect of its client is 502 too, and says nothing', async ({ stack }) => {
    const structured = (): Promise<never> => Promise.reject(new TypeError('k3y'));
    const { ask } = await selecting(stack, { llm: { provider: 'p', model: 'm', structured } });
    expect(await ask(subtask('x'))).toEqual({
      status: 502,
      code: 'selection_llm_failed',
      message: 'the language model could not be asked',
    });
  });

  test('without one it is 503, under another name 400', async ({ stack }) => {
    const { ask, service } = await selecting(stack, { strategy: 'llm' });
    expect(await ask(subtask('echo'))).toMatchObject({ status: 503, code: 'selection_llm_missing' });
    expect((await service.get('/v1/health')).json.status).toBe('down');
    const odd = await selecting(stack, { strategy: 'dice' });
    expect(await odd.ask(subtask('echo'))).toMatchObject({
      status: 400,
      code: 'selection_strategy_unsupported',
      details: { strategy: 'dice', supported: ['llm', 'deterministic'] },
    });
  });
});

test('who asked and is gone stops the question to the language model', async () => {
  const asked: AbortSignal[] = [];
  const structured: Llm['structured'] = ({ signal }) => {
    if (signal !== undefined) asked.push(signal);
    gone.abort(new Error('the client is gone'));
    return Promise.reject(new Error('aborted'));
  };
  const gone = new AbortController();
  const llm = { provider: 'p', model: 'm', structured };
  const nodeTypes = { list: async () => builtinTypes('1.0.0') };
  const service = selectionService({ strategy: 'llm', llm, nodeTypes, nowMs: () => 0 });
  await expect(service.candidates(subtask('echo'), gone.signal)).rejects.toThrow('the client is gone');
  expect(asked).toEqual([gone.signal]);
});
