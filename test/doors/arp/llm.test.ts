// Language models behind one port: two wires on real sockets, and the mock (contract arp §7.3).
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { expect } from 'vitest';
import { chatModel, type ChatModelSettings } from '../../../src/doors/arp/llm/chat-model.ts';
import { isClosedSchema } from '../../../src/doors/arp/llm/closed-schema.ts';
import { type Llm, LlmError } from '../../../src/doors/arp/llm/llm.ts';
import { llmSettings, openLlm } from '../../../src/doors/arp/llm/settings.ts';
import { completion, failure, LlmProvider, message, type Reply } from './llm-provider.ts';
import { test as base } from './support.ts';

const KEY = 'k3y-that-nobody-may-see';
const SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  additionalProperties: false,
  required: ['n'],
  properties: { n: { type: 'integer', format: 'odd' } },
};
const REQUEST = { system: 'You count.', prompt: 'How many?', name: 'count', schema: SCHEMA };

interface Wire {
  readonly settings: Pick<ChatModelSettings, 'provider' | 'model'>;
  readonly path: string;
  answer(text: string): Reply;
}
const OPENAI: Wire = {
  settings: { provider: 'openai', model: 'gpt-x' },
  path: '/v1/chat/completions',
  answer: (text) => completion(text),
};
const ANTHROPIC: Wire = {
  settings: { provider: 'anthropic', model: 'claude-sonnet-4-5' },
  path: '/v1/messages',
  answer: (text) => message([{ type: 'text', text }]),
};
const WIRES = [
  ['openai', OPENAI],
  ['anthropic', ANTHROPIC],
] as const;

const test = base
  .extend('provider', async ({ stack }, { onCleanup }) => {
    void stack;
    const provider = new LlmProvider();
    const baseUrl = await provider.start();
    onCleanup(() => provider.stop());
    return { baseUrl, says: provider.says.bind(provider), received: provider.received };
  })
  .extend('ask', async ({ provider }) => {
    return (wire: Wire, more: Partial<ChatModelSettings> = {}) => {
      const waits: number[] = [];
      const settings = {
        ...wire.settings,
        apiKey: KEY,
        baseUrl: provider.baseUrl,
        timeoutMs: 20_000,
        retriesMax: 2,
        temperature: undefined,
        ...more,
      };
      const llm = chatModel(settings, { wait: async (ms) => waits.push(ms) });
      return { waits, llm };
    };
  });

async function failing(llm: Llm): Promise<LlmError> {
  const error: unknown = await llm.structured(REQUEST).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof LlmError)) throw new Error(`it was ${inspect(error)}`);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(KEY); // I9
  return error;
}

test.for(WIRES)(
  '%s: a document that fits is given; key, model and schema go out',
  async ([, wire], { provider, ask }) => {
    provider.says(wire.answer('{"n":3}'));
    const { llm } = ask(wire, { temperature: 0 });
    expect(await llm.structured(REQUEST)).toEqual({ n: 3 });
    expect([llm.provider, llm.model]).toEqual([wire.settings.provider, wire.settings.model]);
    const [{ path, headers, body } = { path: '', headers: {}, body: {} }] = provider.received;
    expect(path).toBe(wire.path);
    expect(body).toMatchObject({ model: wire.settings.model, temperature: 0 });
    expect(JSON.stringify(body)).toContain('How many?');
    expect(JSON.stringify(body)).not.toContain(KEY);
    if (wire === OPENAI) {
      expect(headers.authorization).toBe(`Bearer ${KEY}`);
      expect(body.response_format).toMatchObject({
        type: 'json_schema',
        json_schema: { name: 'count', strict: true },
      });
      expect(body.messages[0]).toEqual({ role: 'system', content: 'You count.' });
    } else {
      expect(headers['x-api-key']).toBe(KEY);
      expect(body.output_config.format.type).toBe('json_schema');
      expect(JSON.stringify(body.system)).toContain('You count.');
    }
  },
);

test('anthropic: a model without structured output is given the schema as a tool', async ({
  provider,
  ask,
}) => {
  provider.says(message([{ type: 'tool_use', id: 't', name: 'json', input: { n: 4 } }], 'tool_use'));
  expect(await ask(ANTHROPIC, { model: 'claude-3-haiku-20240307' }).llm.structured(REQUEST)).toEqual({
    n: 4,
  });
  expect(provider.received[0]?.body.tools[0]).toMatchObject({ name: 'json' });
});

test('openai-compatible: a local endpoint needs no key, and may fence what it answers', async ({
  provider,
  ask,
}) => {
  provider.says(completion('```json\n{"n":5}\n```'));
  const { llm } = ask(OPENAI, { provider: 'openai-compatible', apiKey: undefined });
  expect(await llm.structured(REQUEST)).toEqual({ n: 5 });
  expect(provider.received[0]?.headers.authorization).toBeUndefined();
});

test.for(WIRES)(
  '%s: failures have codes; who may be asked again is asked again',
  async ([, wire], { provider, ask }) => {
    const good = wire.answer('{"n":1}');
    for (const [reply, code, told] of [
      [failure(401, `bad key ${KEY}`), 'auth', 'the language model answered 401'],
      [failure(403, 'no'), 'auth', 'the language model answered 403'],
      [
        failure(404, `no model; you sent\n${KEY}`),
        'invalid_request',
        'the language model answered 404: no model; you sent [key]',
      ],
      [
        { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' },
        'invalid_request',
        expect.stringContaining('302'),
      ],
    ] as const) {
      const { llm, waits } = ask(wire);
      provider.says(reply);
      expect(await failing(llm)).toMatchObject({ llmCode: code, retryable: false, message: told });
      expect(waits).toEqual([]);
    }
    for (const [reply, code] of [
      [failure(429, 'slow down'), 'rate_limit'],
      [failure(529, 'overloaded'), 'unavailable'],
      [failure(504, 'late'), 'timeout'],
      [{ body: 'no json' }, 'parse_error'],
      [{ body: '{"surprise":1}' }, 'parse_error'],
      [wire.answer('I think three'), 'parse_error'],
      [wire.answer('{"n":"three"}'), 'parse_error'],
      [wire.answer(''), 'parse_error'],
    ] as const) {
      const { llm, waits } = ask(wire);
      provider.says(reply, good);
      expect(await llm.structured(REQUEST)).toEqual({ n: 1 });
      expect(waits).toEqual([500]);
      provider.says(reply, reply, reply);
      expect(await failing(llm)).toMatchObject({ llmCode: code, retryable: true });
      expect(waits).toEqual([500, 500, 1000]);
    }
  },
);

test('what was cut off is no answer, even where it is JSON', async ({ provider, ask }) => {
  provider.says(completion('{"n":1}', 'length'));
  expect((await failing(ask(OPENAI, { retriesMax: 0 }).llm)).message).toContain('cut off');
});

test('an answer that is too large is not read', async ({ provider, ask }) => {
  provider.says({ body: `"${'x'.repeat(5 * 1_048_576)}"` });
  expect((await failing(ask(OPENAI, { retriesMax: 0 }).llm)).message).toContain('larger than 4194304 bytes');
});

test('who asks for patience gets it, up to 30 s', async ({ provider, ask }) => {
  const { llm, waits } = ask(OPENAI);
  provider.says(failure(429, 'x', { 'retry-after': '7' }), completion('{"n":1}'));
  await llm.structured(REQUEST);
  expect(waits).toEqual([7000]);
  provider.says(failure(429, 'x', { 'retry-after': '3600' }));
  expect((await failing(llm)).llmCode).toBe('rate_limit');
  expect(waits).toEqual([7000]);
});

test.for(WIRES)(
  '%s: who does not answer in time has failed, and who asked may lose patience',
  async ([, wire], { provider, ask }) => {
    provider.says('never');
    expect(await failing(ask(wire, { timeoutMs: 20, retriesMax: 0 }).llm)).toMatchObject({
      llmCode: 'timeout',
    });
    provider.says('never');
    const gone = new AbortController();
    const asked = ask(wire).llm.structured({ ...REQUEST, signal: gone.signal });
    gone.abort(new Error('the client is gone'));
    await expect(asked).rejects.toThrow('the client is gone');
  },
);

test('patience ends between tries too', async ({ provider }) => {
  provider.says(failure(429, 'slow down'));
  const gone = new AbortController();
  const settings = { ...OPENAI.settings, apiKey: KEY, baseUrl: provider.baseUrl };
  const llm = chatModel(
    { ...settings, timeoutMs: 20_000, retriesMax: 1, temperature: undefined },
    {
      wait: (_, signal) => {
        const waiting = delay(60_000, undefined, { signal });
        gone.abort(new Error('the client is gone'));
        return waiting;
      },
    },
  );
  await expect(llm.structured({ ...REQUEST, signal: gone.signal })).rejects.toThrow('the client is gone');
});

test('nobody there is unavailable', async ({ ask }) => {
  const gone = new LlmProvider();
  const baseUrl = await gone.start();
  await gone.stop();
  const { llm } = ask(OPENAI, { baseUrl, retriesMax: 1 });
  expect(await failing(llm)).toMatchObject({
    llmCode: 'unavailable',
    message: expect.stringContaining('ECONNREFUSED'),
  });
});

test('a schema that is none is our mistake', async ({ provider, ask }) => {
  provider.says(completion('{}'));
  const { llm } = ask(OPENAI);
  await expect(llm.structured({ ...REQUEST, schema: { type: 'objekt' } })).rejects.toMatchObject({
    llmCode: 'invalid_request',
  });
});

test('OpenAI is strict about schemas that leave nothing open, and only about those', () => {
  expect(isClosedSchema(SCHEMA)).toBe(true);
  for (const open of [
    { ...SCHEMA, required: [] },
    { ...SCHEMA, additionalProperties: true },
    { ...SCHEMA, properties: { n: { type: ['object', 'null'] } } },
    { ...SCHEMA, properties: { n: { type: 'array', items: { type: 'object' } } } },
  ])
    expect(isClosedSchema(open)).toBe(false);
});

test('dev-mock: fixtures in the order of calls, then invalid_request', async ({ stack }) => {
  const fixtures = [
    { text: 'x', parsed: { n: 1 } },
    { text: '{"n":2}' },
    { text: 'x', parsed: { n: 'two' } },
    { text: 'x' },
  ];
  await writeFile(stack.path('fixtures.json'), JSON.stringify(fixtures));
  const settings = llmSettings({
    ARP_LLM_PROFILE: 'dev-mock',
    ARP_LLM_DEV_MOCK_FIXTURES_PATH: 'fixtures.json',
  });
  if (settings === undefined) throw new Error('no settings');
  const llm = await openLlm(settings, stack.dir);
  expect([llm.provider, llm.model]).toEqual(['dev-mock', 'dev-mock']);
  expect(await llm.structured(REQUEST)).toEqual({ n: 1 });
  expect(await llm.structured(REQUEST)).toEqual({ n: 2 });
  for (const code of ['parse_error', 'parse_error', 'invalid_request', 'invalid_request'])
    expect(await failing(llm)).toMatchObject({ llmCode: code });
});

test('dev-mock without fixtures answers with a hash, which is no document', async () => {
  const llm = await openLlm({ provider: 'dev-mock', fixtures: undefined }, '/');
  expect(await failing(llm)).toMatchObject({ llmCode: 'parse_error' });
});
