/** What went wrong between us and a provider, in our codes. */
import { APICallError } from '@ai-sdk/provider';
import { LlmError, type LlmErrorCode } from './llm.ts';

const MESSAGE_CHARS_MAX = 300;

export interface Failed {
  readonly error: LlmError;
  /** When the provider wants to be asked again, milliseconds from now. */
  readonly afterMs?: number;
}

/** @param secret never shown, also where the provider repeats it. */
export function failureOf(error: unknown, secret: string | undefined): Failed {
  if (error instanceof LlmError) return { error };
  if ((error as Error).name === 'TimeoutError')
    return { error: new LlmError('timeout', 'the language model did not answer in time') };
  if (!APICallError.isInstance(error)) return { error: unreadable() };
  const { statusCode: status } = error;
  if (status === undefined) {
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    return { error: new LlmError('unavailable', `the language model cannot be reached${inWords(code)}`) };
  }
  if (status < 400) return { error: unreadable() };
  const code = codeOf(status);
  // What a provider says of a request helps to correct it; of a key it says too much.
  const told = code === 'invalid_request' ? inWords(cleaned(error.message, secret)) : '';
  const after = Number(error.responseHeaders?.['retry-after'] ?? Number.NaN);
  return {
    error: new LlmError(code, `the language model answered ${status}${told}`),
    ...(after >= 0 ? { afterMs: after * 1000 } : {}),
  };
}

function codeOf(status: number): LlmErrorCode {
  if (status === 401 || status === 403) return 'auth';
  if (status === 408 || status === 504) return 'timeout';
  if (status === 429) return 'rate_limit';
  return status < 500 ? 'invalid_request' : 'unavailable';
}

function unreadable(): LlmError {
  return new LlmError('parse_error', 'what the provider of the language model answered cannot be read');
}

function inWords(text: string | undefined): string {
  return text === undefined || text === '' ? '' : `: ${text}`;
}

function cleaned(text: string, secret: string | undefined): string {
  const safe = secret === undefined ? text : text.replaceAll(secret, '[key]');
  return safe.replaceAll(/\s+/g, ' ').trim().slice(0, MESSAGE_CHARS_MAX);
}
