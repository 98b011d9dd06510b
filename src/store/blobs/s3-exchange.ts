/** One request to S3, and what its failures mean. */
import { setTimeout as delay } from 'node:timers/promises';
import { ReeveError } from '../../model/errors.ts';

export interface S3Timing {
  /** Until the headers of an answer are there, milliseconds. */
  readonly answerMs?: number;
  /** Before a request that failed is sent again, milliseconds; doubled each time. */
  readonly retryMs?: number;
}

const ANSWER_MS = 60_000;
const RETRY_MS = 200;
const TRIES = 4;
/** The server was not able to, this time. */
const PASSING: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/**
 * `fetch` that waits for an answer so long and no longer, tries again what failed in passing, and follows no redirect: it
 * would carry the signature elsewhere. Every request of ours can be repeated, and its body is in memory.
 */
export function patientFetch({ answerMs = ANSWER_MS, retryMs = RETRY_MS }: S3Timing = {}): typeof fetch {
  return async (input, init) => {
    for (let attempt = 1; ; attempt += 1) {
      const isLast = attempt === TRIES;
      try {
        const answer = await fetchOnce(input, init ?? {}, answerMs);
        if (isLast || !PASSING.has(answer.status)) return answer;
        await answer.body?.cancel();
      } catch (error) {
        if (isLast) throw error;
      }
      await delay(retryMs * 2 ** (attempt - 1));
    }
  };
}

/** The time counts until the headers are there: a body may be read slowly. */
async function fetchOnce(
  input: string | URL | Request,
  init: RequestInit,
  answerMs: number,
): Promise<Response> {
  const tooLate = new AbortController();
  const timer = setTimeout(() => tooLate.abort(new Error(`no answer within ${answerMs} ms`)), answerMs);
  try {
    return await fetch(input, { ...init, redirect: 'error', signal: tooLate.signal });
  } finally {
    clearTimeout(timer);
  }
}

/** HTTP status that an error of the client tells; undefined where there was no answer. */
export function statusOf(error: unknown): number | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { status } = at as { status?: unknown };
    if (typeof status === 'number') return status;
  }
  return undefined;
}

/** What a failure of S3 means to the user of a store; what is none of its own stays what it is. */
export function s3Error(error: unknown): unknown {
  if (error instanceof ReeveError) return error;
  const status = statusOf(error);
  if (status !== undefined) {
    const { serviceCode } = rootOf(error) as { serviceCode?: unknown };
    const code = typeof serviceCode === 'string' ? serviceCode : 'Unknown';
    const isFull = status === 507 || code === 'QuotaExceeded';
    const what = isFull ? 'the bucket is full' : 'the bucket cannot be used';
    // The body of the answer is left out: it repeats the access key.
    return new ReeveError(
      isFull ? 'E_STORE_FULL' : 'E_STORE_UNAVAILABLE',
      `${what}: S3 answered ${status} ${code}`,
      {
        status,
        cause: code,
      },
    );
  }
  if (!isOfTheNetwork(error)) return error;
  const { code = (rootOf(error) as Error).message } = rootOf(error) as { code?: string };
  return new ReeveError('E_STORE_UNAVAILABLE', `the bucket cannot be reached (${code})`, { cause: code });
}

function rootOf(error: unknown): unknown {
  let at = error;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  return at;
}

/** `fetch` and its bodies fail with a TypeError that has a cause; our own limit of time with its reason. */
function isOfTheNetwork(error: unknown): boolean {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  return (
    name === 'S3NetworkError' ||
    (typeof message === 'string' && message.startsWith('no answer within')) ||
    (error instanceof TypeError && ['fetch failed', 'terminated'].includes(error.message))
  );
}
