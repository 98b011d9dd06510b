/**
 * Models behind OpenAI's chat completions, whoever serves them, and behind Anthropic's messages. The wire is the AI SDK's
 * business, which is imported when first asked; time, retries and what counts as an answer are ours.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { LanguageModelV4, LanguageModelV4GenerateResult } from '@ai-sdk/provider';
import { documentIn } from './document.ts';
import { type Llm, LlmError, type StructuredRequest } from './llm.ts';
import { isClosedSchema } from './closed-schema.ts';
import { oneAnswer } from './one-answer.ts';

export interface ChatModelSettings {
  readonly provider: 'openai' | 'anthropic' | 'openai-compatible';
  readonly model: string;
  /** Undefined: a provider that asks for none. */
  readonly apiKey: string | undefined;
  /** Up to and without `/chat/completions` or `/messages`. */
  readonly baseUrl: string;
  /** Of one try, milliseconds. */
  readonly timeoutMs: number;
  /** Tries after the first one. */
  readonly retriesMax: number;
  /** 0 to 2; undefined: the provider's own. */
  readonly temperature: number | undefined;
}

export interface ChatModelWorld {
  /** Waits between tries. Default: a timer. */
  wait?(ms: number, signal: AbortSignal | undefined): Promise<unknown>;
}

/** Before the second try, milliseconds; doubled before each further one. */
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 8000;
/** Who wants us to wait longer than that has to be asked again by somebody else, milliseconds. */
const AFTER_MS_MAX = 30_000;

export function chatModel(settings: ChatModelSettings, world: ChatModelWorld = {}): Llm {
  const { provider, model: name, retriesMax, apiKey } = settings;
  const wait = world.wait ?? ((ms, signal) => delay(ms, undefined, { signal }));
  let model: Promise<LanguageModelV4> | undefined;
  return {
    provider,
    model: name,
    async structured(request) {
      const { failureOf } = await import('./failures.ts');
      model ??= modelOf(settings);
      for (let retries = 0; ; retries += 1) {
        try {
          return await once(await model, settings, request);
        } catch (thrown) {
          request.signal?.throwIfAborted();
          const { error, afterMs = Math.min(PAUSE_MS * 2 ** retries, PAUSE_MS_MAX) } = failureOf(
            thrown,
            apiKey,
          );
          if (!error.retryable || retries >= retriesMax || afterMs > AFTER_MS_MAX) throw error;
          await wait(afterMs, request.signal).catch(() => request.signal?.throwIfAborted());
        }
      }
    },
  };
}

async function modelOf({ provider, model, apiKey, baseUrl }: ChatModelSettings): Promise<LanguageModelV4> {
  if (provider === 'anthropic') {
    const { createAnthropic } = await import('@ai-sdk/anthropic');
    return createAnthropic({ baseURL: baseUrl, apiKey: apiKey ?? '', fetch: oneAnswer })(model);
  }
  const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
  const key = apiKey === undefined ? {} : { apiKey };
  const options = {
    name: 'reeve',
    baseURL: baseUrl,
    fetch: oneAnswer,
    supportsStructuredOutputs: true,
    ...key,
  };
  return createOpenAICompatible(options)(model);
}

async function once(
  model: LanguageModelV4,
  { timeoutMs, temperature }: ChatModelSettings,
  { system, prompt, name, schema, signal }: StructuredRequest,
): Promise<unknown> {
  const inTime = AbortSignal.timeout(timeoutMs);
  const result = await model.doGenerate({
    prompt: [
      { role: 'system', content: system },
      { role: 'user', content: [{ type: 'text', text: prompt }] },
    ],
    responseFormat: { type: 'json', name, schema },
    // OpenAI refuses a schema that leaves anything open when it is to be strict about it
    providerOptions: { reeve: { strictJsonSchema: isClosedSchema(schema) } },
    abortSignal: signal === undefined ? inTime : AbortSignal.any([inTime, signal]),
    ...(temperature === undefined ? {} : { temperature }),
  });
  return documentIn(textOf(result), schema);
}

/** @throws LlmError `parse_error` */
function textOf({ content, finishReason }: LanguageModelV4GenerateResult): string {
  const text = content.map((part) => (part.type === 'text' ? part.text : '')).join('');
  if (finishReason.unified === 'length')
    throw new LlmError('parse_error', 'the answer was cut off: it is longer than the model may write');
  if (text.trim() === '')
    throw new LlmError('parse_error', `the language model gave no answer (${finishReason.unified})`);
  return text;
}
