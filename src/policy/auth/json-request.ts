/**
 * One request to an identity provider: only to a URL that may be asked, within a time, with an answer of limited size, and
 * never further along a redirect, which could lead anywhere.
 */

const ANSWER_BYTES_MAX = 1_048_576;

export interface JsonRequest {
  readonly url: URL;
  /** Until the whole answer is there, milliseconds. */
  readonly timeoutMs: number;
  /** Sent with POST; without it, GET. */
  readonly form?: URLSearchParams;
}

export interface JsonAnswer {
  readonly status: number;
  /** Undefined for what is no JSON. */
  readonly json: unknown;
}

/** There was no answer. The message never holds what was sent. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** Why a URL is not asked; undefined: it may be. */
export function urlProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return 'it is no URL';
  if (url.username !== '' || url.password !== '') return 'it holds credentials';
  if (url.hash !== '') return 'it has a fragment';
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))) return undefined;
  return `${url.protocol}//${url.host} would be asked in the open`;
}

/** @throws NoAnswer */
export async function requestJson({ url, timeoutMs, form }: JsonRequest): Promise<JsonAnswer> {
  try {
    const answer = await fetch(url, {
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/json' },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    });
    return { status: answer.status, json: parsed(await textOf(answer)) };
  } catch (error) {
    throw error instanceof NoAnswer ? error : new NoAnswer(`${url.href}: ${reasonOf(error, timeoutMs)}`);
  }
}

async function textOf(answer: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of answer.body ?? []) {
    size += piece.length;
    if (size > ANSWER_BYTES_MAX)
      throw new NoAnswer(`${answer.url}: its answer is larger than ${ANSWER_BYTES_MAX} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a person can act on; `fetch failed` is not that. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return 'it cannot be reached';
  if (error.name === 'TimeoutError') return `it did not answer within ${timeoutMs} ms`;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return `it cannot be reached (${code ?? error.message})`;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
