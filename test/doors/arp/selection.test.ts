// Selection on real sockets, with a real registry behind it (contract arp §7.2, §7.3, G40).
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { selectionClient } from '../../../src/doors/arp/clients/selection-client.ts';
import { selectionService } from '../../../src/doors/arp/selection/selection.ts';
import { rankByWords, wordsOf } from '../../../src/doors/arp/selection/words.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import type { Any } from '../../cli/rig.ts';
import { idsOf, model, PLANNER, selecting, subtask, type } from './selecting.ts';
import { test, WORLD } from './support.ts';

describe('by words', () => {
  test('G40 without a language model: what shares words with the goal, best first, and why', async ({
    stack,
  }) => {
    const { ask } = await selecting(stack);
    const set = await ask(subtask('Hash this text with SHA-256'));
    expect(set).toMatchObject({
      candidate_set_id: expect.stringMatching(/^cs_[0-9a-f]{32}$/),
      subtask_id: 'S1',
      generated_at: '2026-01-02T03:04:05.678Z',
      extensions: { 'jarvis.selection.strategy': 'deterministic', 'jarvis.selection.needs_planner': false },
    });
    expect(set.candidates[0]).toEqual({
      node_type_ref: { node_type_id: 'jarvis.core.hash.sha256', version: '0.3.8' },
      score: expect.closeTo(0.9167, 4), // hash, sha and 256 in the id, text in the description
      rationale: 'shares 4 of 4 words with the goal: hash, text, sha, 256',
    });
    expect(set.top_k).toBeUndefined();
    for (const [goal, id] of [
      ['fetch the page https://example.org/a', 'jarvis.web.fetch'],
      ['Wait three seconds', 'jarvis.core.sleep'],
      ['draw a random UUID', 'jarvis.core.uuid4'],
      ['echo hello', 'jarvis.core.echo'],
      ['what time is it?', 'jarvis.core.time.now'],
    ] as const)
      expect([goal, idsOf(await ask(subtask(goal)))[0]]).toEqual([goal, id]);
  });

  test('G40 what the answer has to look like counts too', async ({ stack }) => {
    const { ask } = await selecting(stack);
    const expected_output_schema = { type: 'object', properties: { slept_seconds: { type: 'number' } } };
    expect(idsOf(await ask(subtask('xyzzy', { expected_output_schema })))).toEqual(['jarvis.core.sleep']);
  });

  test('G40 composites are no candidates', async ({ stack }) => {
    const types = ['b.copy', 'a.copy', 'C.copy'].map((id) => type(id));
    const { ask } = await selecting(stack, { types: [...types, type('copy.all', { kind: 'composite' })] });
    expect(idsOf(await ask(subtask('copy')))).toEqual(['C.copy', 'a.copy', 'b.copy']);
  });

  test('G40 ties go by id, then by version', () => {
    const types = [type('b'), type('a', { version: '2' }), type('a', { version: '10' })];
    const ranked = rankByWords(
      wordsOf('copies'),
      types.map((one) => ({ ...one, description: 'copy' })),
    );
    expect(ranked.map((one) => `${one.type.node_type_id} ${one.type.version}`)).toEqual([
      'a 10',
      'a 2',
      'b 1.0.0',
    ]);
  });

  test('G40 nothing in common, an empty registry, none at all: 422', async ({ stack }) => {
    const nothing = { status: 422, code: 'selection_no_candidates' };
    expect(await (await selecting(stack)).ask(subtask('xyzzy'))).toMatchObject({
      ...nothing,
      details: { subtask_id: 'S1', node_types_offered: 6 },
    });
    expect(await (await selecting(stack, { types: [] })).ask(subtask('echo'))).toMatchObject(nothing);
    const alone = await stack.selection({ strategy: 'deterministic' });
    const answer = await alone.send('POST', '/v1/candidate-sets', subtask('echo'));
    expect([answer.status, answer.json.error.code]).toEqual([422, 'selection_no_candidates']);
  });
});

describe('limits', () => {
  const list = (more: object): object => ({ constraints: { candidates: more } });
  const types = ['a.copy', 'b.copy', 'c.copy'].map((id) => type(id));

  test('G40 top_k: the lowest bound of the request, else the default', async ({ stack }) => {
    const { ask } = await selecting(stack, { types, topDefault: 2 });
    expect(await ask(subtask('copy'))).toMatchObject({ top_k: 2, candidates: { length: 2 } });
    const three = list({ max_candidates_per_subtask: 3 });
    expect(await ask({ ...subtask('copy'), ...three })).toMatchObject({
      top_k: 3,
      candidates: { length: 3 },
    });
    const one = { ...subtask('copy', list({ max_candidates_per_subtask: 1 })), ...three };
    expect(await ask(one)).toMatchObject({ top_k: 1, candidates: { length: 1 } });
  });

  test('G40 allow and deny lists; an allow-list of nothing allows nothing (D11)', async ({ stack }) => {
    const { ask } = await selecting(stack, { types });
    const both = { ...subtask('copy', list({ allowed_node_type_ids: ['c.copy', 'a.copy'] })) };
    expect(idsOf(await ask(both))).toEqual(['a.copy', 'c.copy']);
    const within = { ...both, ...list({ allowed_node_type_ids: ['b.copy', 'c.copy'] }) };
    const set = await ask(within);
    expect(idsOf(set)).toEqual(['c.copy']);
    expect(set.constraints).toEqual({ candidates: { allowed_node_type_ids: ['c.copy'] } });
    expect(idsOf(await ask({ ...both, ...list({ denied_node_type_ids: ['a.copy'] }) }))).toEqual(['c.copy']);
    expect(await ask({ ...subtask('copy'), ...list({ allowed_node_type_ids: [] }) })).toMatchObject({
      status: 422,
      code: 'selection_no_candidates',
    });
  });

  test('H12 the lower ceiling of side effects holds; without a word a type reads, with an odd one it may do anything', async ({
    stack,
  }) => {
    const effects = ['read', 'write', 'irreversible', 'harmless'];
    const some = effects.map((effect) =>
      type(`${effect}.copy`, { extensions: { 'jarvis.side_effect': effect } }),
    );
    const { ask } = await selecting(stack, { types: [...some, type('copy')] });
    const gate = (side_effect_class: string): object => ({ constraints: { gates: { side_effect_class } } });
    const all = ['copy', 'harmless.copy', 'irreversible.copy', 'read.copy', 'write.copy'];
    expect(idsOf(await ask(subtask('copy'))).toSorted()).toEqual(all);
    expect(idsOf(await ask(subtask('copy', gate('irreversible')))).toSorted()).toEqual(all);
    expect(idsOf(await ask(subtask('copy', gate('write')))).toSorted()).toEqual([
      'copy',
      'read.copy',
      'write.copy',
    ]);
    for (const request of [
      { ...subtask('copy', gate('read')), ...gate('irreversible') },
      { ...subtask('copy', gate('irreversible')), ...gate('read') },
    ])
      expect(idsOf(await ask(request)).toSorted()).toEqual(['copy', 'read.copy']);
  });

  test('G40 of an id only the highest version that fits, with its constraints', async ({ stack }) => {
    const constraints = { budgets: { max_steps: 1 } };
    const write = { 'jarvis.side_effect': 'write' };
    const versions = [
      type('copy', { version: '1.9.0', constraints }),
      type('copy', { version: '1.10.0', extensions: write }),
      type('copy', { version: '1.10.1-rc.1', description: 'copy' }),
    ];
    const { ask } = await selecting(stack, { types: versions.slice(0, 2) });
    const newest = await ask(subtask('copy'));
    expect(newest.candidates).toMatchObject([{ node_type_ref: { version: '1.10.0' } }]);
    const reading = await ask(subtask('copy', { constraints: { gates: { side_effect_class: 'read' } } }));
    expect(reading.candidates).toMatchObject([{ node_type_ref: { version: '1.9.0' }, constraints }]);
    expect(reading.candidates).toHaveLength(1);
  });
});

test('extensions of the request come back, without prior steps and without what only we say', async ({
  stack,
}) => {
  const { ask } = await selecting(stack);
  const extensions = {
    'my.note': { deep: [1] },
    'jarvis.prior_steps': [],
    'jarvis.selection.planner_node_type_ref': PLANNER,
    'jarvis.selection.needs_planner': true,
    'jarvis.llm.model': 'pretended',
    'jarvis.selection.hint': 'kept',
  };
  expect((await ask({ ...subtask('echo'), extensions })).extensions).toEqual({
    'my.note': { deep: [1] },
    'jarvis.selection.hint': 'kept',
    'jarvis.selection.strategy': 'deterministic',
    'jarvis.selection.needs_planner': false,
  });
});

test('text that is no Unicode is refused, not a defect', async ({ stack }) => {
  const { ask } = await selecting(stack);
  expect(await ask(subtask('echo \ud800'))).toMatchObject({ status: 400, code: 'invalid_request' });
});

test('a registry that does not answer is 502; health says so, and by what is selected', async ({ stack }) => {
  const nodeTypes = registryClient({ baseUrl: (await stack.runStore()).url }); // knows no such route
  const service = await stack.selection({ strategy: 'deterministic', nodeTypes });
  const health = (await service.get('/v1/health')).json;
  expect([health.status, health.checks]).toEqual([
    'down',
    [
      { name: 'node_registry', status: 'down', message: 'does not answer' },
      { name: 'strategy', status: 'ok', message: 'deterministic' },
    ],
  ]);
  const none = await stack.selection({ strategy: 'llm', llm: model() });
  expect((await none.get('/v1/health')).json).toMatchObject({
    status: 'degraded',
    checks: [{ status: 'degraded' }, { message: 'llm (dev-mock, dev-mock)' }],
  });
  const gone = { list: () => registryClient({ baseUrl: 'http://127.0.0.1:1' }).list({}) };
  const answer = await (await stack.selection({ strategy: 'deterministic', nodeTypes: gone })).send(
    'POST',
    '/v1/candidate-sets',
    subtask('echo'),
  );
  expect([answer.status, answer.json.error.code]).toEqual([502, 'node_registry_unavailable']);
});

test('the client passes answers and failures on as they are', async ({ stack }) => {
  const { service, ask } = await selecting(stack);
  const client = selectionClient({ baseUrl: service.url });
  expect(await client.candidates(subtask('echo'))).toEqual(await ask(subtask('echo')));
  await expect(client.candidates(subtask('xyzzy'))).rejects.toMatchObject({
    status: 422,
    wireCode: 'selection_no_candidates',
    details: { subtask_id: 'S1' },
  });
  const gone = selectionClient({ baseUrl: 'http://127.0.0.1:1' });
  await expect(gone.candidates(subtask('x'))).rejects.toMatchObject({
    wireCode: 'selection_service_unavailable',
  });
});

const WORD = fc.constantFrom(
  'copy',
  'copies',
  'file',
  'hash',
  'text',
  'the',
  'SHA256',
  'ü',
  '中文',
  '__proto__',
);
const GOAL = fc.array(WORD, { minLength: 1, maxLength: 6 }).map((words) => words.join(' '));
const TYPES = fc.uniqueArray(
  fc.record({ id: GOAL, version: fc.constantFrom('1.0.0', '1.2.0', 'v2', '1.2.0-rc.1'), description: GOAL }),
  { selector: ({ id, version }) => `${id} ${version}`, maxLength: 12 },
);

test('G40 equal inputs give equal candidate sets, whatever the order of the registry', async () => {
  const set = async (goal: string, types: readonly NodeType[], nowMs: number): Promise<unknown> => {
    const nodeTypes = { list: async () => types };
    const service = selectionService({
      strategy: 'deterministic',
      topDefault: 3,
      nodeTypes,
      nowMs: () => nowMs,
    });
    const answer = await service.candidates(subtask(goal)).catch((error: unknown) => error as Any);
    if (!('candidates' in answer)) return answer.wireCode;
    const { generated_at, ...rest } = answer;
    expect(generated_at).toBe(new Date(nowMs).toISOString());
    expect(rest.candidates.length).toBeLessThanOrEqual(3);
    const scores = rest.candidates.map(({ score = 0 }: Any) => score);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
    return rest;
  };
  const cases = TYPES.chain((types) =>
    fc.tuple(fc.constant(types), fc.shuffledSubarray(types, { minLength: types.length }), GOAL),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ([some, shuffled, goal]) => {
      const typed = (all: typeof some) => all.map(({ id, ...more }) => type(id, more));
      expect(await set(goal, typed(some), 0)).toEqual(await set(goal, typed(shuffled), WORLD.nowMs()));
    }),
  );
});

test('G40 another subtask or another answer is another set', async ({ stack }) => {
  const { ask, registry } = await selecting(stack);
  const id = async (request: object): Promise<string> => (await ask(request)).candidate_set_id;
  const ids = [
    await id(subtask('echo')),
    await id(subtask('echo it')),
    await id(subtask('echo', { subtask_id: 'S2' })),
  ];
  const run_context = { trace: { trace_id: 't' } };
  expect(await id({ ...subtask('echo'), run_context })).toBe(ids[0]); // who asks does not matter
  await registry.publish(type('echo.more'));
  expect(new Set([...ids, await id(subtask('echo'))]).size).toBe(4);
});
