/** Which language model `ARP_LLM_…` names (contract arp §5). What is blank counts as not set. */
import { resolve } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import type { ChatModelSettings } from './chat-model.ts';
import type { Llm } from './llm.ts';

type Variables = Readonly<Record<string, string | undefined>>;

export type LlmSettings =
  | ChatModelSettings
  | { readonly provider: 'dev-mock'; readonly fixtures: string | undefined };

const PROFILES = ['openai', 'anthropic', 'openai-compatible', 'dev-mock'] as const;
const BASE_URLS: Partial<Readonly<Record<string, string>>> = {
  openai: 'https://api.openai.com/v1',
  anthropic: 'https://api.anthropic.com/v1',
};
const NAMES = [
  'PROFILE',
  'API_KEY',
  'CHAT_MODEL',
  'BASE_URL',
  'TIMEOUT_SECONDS',
  'MAX_RETRIES',
  'TEMPERATURE',
  'DEV_MOCK_FIXTURES_PATH',
] as const;
type Name = (typeof NAMES)[number];

/**
 * @returns undefined when no variable is set: there is no language model.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for one that is missing or cannot be read; never with the key in it
 */
export function llmSettings(env: Variables): LlmSettings | undefined {
  if (NAMES.every((name) => textOf(env, name) === undefined)) return undefined;
  const profile = textOf(env, 'PROFILE')?.toLowerCase() ?? 'openai';
  const provider = PROFILES.find((known) => known === profile);
  if (provider === undefined) throw refusal('PROFILE', profile, `one of ${PROFILES.join(', ')}`);
  if (provider === 'dev-mock') return { provider, fixtures: textOf(env, 'DEV_MOCK_FIXTURES_PATH') };
  return {
    provider,
    apiKey: provider === 'openai-compatible' ? textOf(env, 'API_KEY') : needed(env, 'API_KEY', provider),
    model: needed(env, 'CHAT_MODEL', provider),
    baseUrl: urlOf(textOf(env, 'BASE_URL') ?? BASE_URLS[provider] ?? needed(env, 'BASE_URL', provider)),
    timeoutMs: (numberOf(env, 'TIMEOUT_SECONDS', { least: 0.001, most: 3600 }) ?? 30) * 1000,
    retriesMax: numberOf(env, 'MAX_RETRIES', { least: 0, most: 10, step: 1 }) ?? 2,
    temperature: numberOf(env, 'TEMPERATURE', { least: 0, most: 2 }),
  };
}

/** @param cwd where a relative path of fixtures begins. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function openLlm(settings: LlmSettings, cwd: string): Promise<Llm> {
  if (settings.provider !== 'dev-mock') return (await import('./chat-model.ts')).chatModel(settings);
  const { devMock, fixturesIn } = await import('./dev-mock.ts');
  const { fixtures } = settings;
  if (fixtures === undefined) return devMock(undefined);
  return devMock(await fixturesIn(resolve(cwd, fixtures), variable('DEV_MOCK_FIXTURES_PATH')));
}

function variable(name: Name): string {
  return `ARP_LLM_${name}`;
}

function textOf(env: Variables, name: Name): string | undefined {
  const text = env[variable(name)]?.trim() ?? '';
  return text === '' ? undefined : text;
}

function needed(env: Variables, name: Name, provider: string): string {
  const text = textOf(env, name);
  if (text !== undefined) return text;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${variable(name)} is not set; ${provider} needs it`, {
    variable: variable(name),
  });
}

function urlOf(text: string): string {
  const base = text.replace(/\/+$/, '');
  const url = URL.parse(base);
  const isPlain =
    url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (isPlain && /^https?:$/.test(url.protocol)) return base;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable('BASE_URL')} must be an http or https URL without credentials, query and fragment`,
    { variable: variable('BASE_URL') },
  );
}

function numberOf(
  env: Variables,
  name: Name,
  { least, most, step }: { readonly least: number; readonly most: number; readonly step?: 1 },
): number | undefined {
  const text = textOf(env, name);
  if (text === undefined) return undefined;
  const value = (step === 1 ? /^\d{1,4}$/ : /^\d{1,4}(\.\d{1,6})?$/).test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw refusal(name, text, `a${step === 1 ? ' whole' : ''} number, ${least} to ${most}`);
}

function refusal(name: Name, value: string, accepted: string): ReeveError {
  const shown = value.slice(0, 100);
  return new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable(name)} is ${JSON.stringify(shown)}; accepted is ${accepted}`,
    { variable: variable(name), value: shown, accepted },
  );
}
