// What the variables ARP_LLM_… say (contract arp §5, §7.3).
import { writeFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { expect } from 'vitest';
import { llmSettings, openLlm } from '../../../src/doors/arp/llm/settings.ts';
import { test } from './support.ts';

const KEY = 'k3y-that-nobody-may-see';

test.for(['absent', '{', '{}', '[{"parsed":1}]', '[{"text":"a","more":1}]'])(
  'dev-mock refuses fixtures that are none: %s',
  async (content, { stack }) => {
    if (content !== 'absent') await writeFile(stack.path('fixtures.json'), content);
    const opening = openLlm({ provider: 'dev-mock', fixtures: 'fixtures.json' }, stack.dir);
    await expect(opening).rejects.toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      message: expect.stringContaining('ARP_LLM_DEV_MOCK_FIXTURES_PATH'),
    });
  },
);

const OPENAI_ENV = { ARP_LLM_API_KEY: KEY, ARP_LLM_CHAT_MODEL: 'gpt-x' };

test('ARP_LLM_… has defaults where there can be some', () => {
  expect(llmSettings({})).toBeUndefined();
  expect(llmSettings({ ARP_LLM_PROFILE: ' ', ARP_LLM_API_KEY: '' })).toBeUndefined();
  const limits = { timeoutMs: 30_000, retriesMax: 2, temperature: undefined };
  expect(llmSettings(OPENAI_ENV)).toEqual({
    provider: 'openai',
    apiKey: KEY,
    model: 'gpt-x',
    baseUrl: 'https://api.openai.com/v1',
    ...limits,
  });
  expect(llmSettings({ ...OPENAI_ENV, ARP_LLM_PROFILE: 'Anthropic' })).toMatchObject({
    provider: 'anthropic',
    baseUrl: 'https://api.anthropic.com/v1',
  });
  const local = {
    ARP_LLM_PROFILE: 'openai-compatible',
    ARP_LLM_CHAT_MODEL: 'm',
    ARP_LLM_BASE_URL: 'http://127.0.0.1:11434/v1/',
    ARP_LLM_TIMEOUT_SECONDS: '0.5',
    ARP_LLM_MAX_RETRIES: '0',
    ARP_LLM_TEMPERATURE: '0.2',
  };
  expect(llmSettings(local)).toEqual({
    provider: 'openai-compatible',
    apiKey: undefined,
    model: 'm',
    baseUrl: 'http://127.0.0.1:11434/v1',
    timeoutMs: 500,
    retriesMax: 0,
    temperature: 0.2,
  });
});

test.for<[Record<string, string>, string]>([
  [{ ARP_LLM_PROFILE: 'gpt' }, 'ARP_LLM_PROFILE'],
  [{ ARP_LLM_PROFILE: 'openai' }, 'ARP_LLM_API_KEY'],
  [{ ARP_LLM_API_KEY: KEY }, 'ARP_LLM_CHAT_MODEL'],
  [{ ARP_LLM_PROFILE: 'openai-compatible', ARP_LLM_CHAT_MODEL: 'm' }, 'ARP_LLM_BASE_URL'],
  [{ ...OPENAI_ENV, ARP_LLM_BASE_URL: 'localhost:11434' }, 'ARP_LLM_BASE_URL'],
  [{ ...OPENAI_ENV, ARP_LLM_BASE_URL: `https://u:${KEY}@h/v1` }, 'ARP_LLM_BASE_URL'],
  [{ ...OPENAI_ENV, ARP_LLM_TIMEOUT_SECONDS: '0' }, 'ARP_LLM_TIMEOUT_SECONDS'],
  [{ ...OPENAI_ENV, ARP_LLM_MAX_RETRIES: '1.5' }, 'ARP_LLM_MAX_RETRIES'],
  [{ ...OPENAI_ENV, ARP_LLM_TEMPERATURE: 'warm' }, 'ARP_LLM_TEMPERATURE'],
])('ARP_LLM_… that cannot be read or is missing is named, without the key: %j', ([env, variable]) => {
  try {
    llmSettings(env);
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', details: { variable } });
    expect(inspect(error)).not.toContain(KEY);
  }
});
