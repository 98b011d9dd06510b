/** `fetch` for who holds a key: it follows no redirect, which could lead anywhere, and takes no more than fits. */
import { LlmError } from './llm.ts';

const ANSWER_BYTES_MAX = 4 * 1_048_576;

/** @throws LlmError `unavailable`, and what `fetch` throws */
export async function oneAnswer(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const answer = await fetch(input, { ...init, redirect: 'manual' });
  if (answer.status >= 300 && answer.status < 400)
    throw new LlmError(
      'invalid_request',
      `the language model answered ${answer.status}, and no redirect is followed`,
    );
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of answer.body ?? []) {
    size += piece.length;
    if (size > ANSWER_BYTES_MAX)
      throw new LlmError('parse_error', `the answer is larger than ${ANSWER_BYTES_MAX} bytes`);
    pieces.push(piece);
  }
  const { status, statusText, headers } = answer;
  return new Response(Buffer.concat(pieces), { status, statusText, headers: kept(headers) });
}

/** The body is decoded by now, and as long as it is. */
function kept(headers: Headers): Headers {
  const left = new Headers(headers);
  for (const name of ['content-encoding', 'content-length']) left.delete(name);
  return left;
}
