/** Hands a request on to the coordinator and its answer back, both as they are (contract arp §2). */
import { setTimeout as delay } from 'node:timers/promises';
import { HttpFailure, type HttpRequest, type StreamReply } from '../../http.ts';
import { TokenFailure } from '../../../policy/auth/token-source.ts';
import { ArpError } from '../wire/errors.ts';

export interface CoordinatorAddress {
  /** As `baseUrlOf` gives it. */
  readonly baseUrl: string;
  /** The header with which the coordinator is asked; undefined: none. @throws TokenFailure */
  authorization(request: Pick<HttpRequest, 'headers' | 'principal'>): Promise<string | undefined>;
}

export interface Relayed {
  readonly method: 'GET' | 'POST';
  /** From the base on, with everything encoded. */
  readonly path: string;
}

/** How long the coordinator may take until it begins to answer, milliseconds; a stream may then last. */
const ANSWER_MS = 60_000;
const BODY_BYTES_MAX = 16 * 1_048_576;
const HEADERS_ON = ['accept', 'content-type', 'last-event-id', 'x-request-id'] as const;
const HEADERS_BACK = ['allow', 'cache-control', 'retry-after', 'www-authenticate'] as const;

/** @throws ArpError 502 `run_coordinator_unavailable`, and the codes of a token that cannot be had; HttpFailure 413 */
export async function relay(
  { baseUrl, authorization }: CoordinatorAddress,
  request: HttpRequest,
  { method, path }: Relayed,
): Promise<StreamReply> {
  const token = await authorization(request).catch((error: unknown) => {
    if (!(error instanceof TokenFailure)) throw error;
    const { status, reason, message } = error;
    throw new ArpError(status, reason, message, { retryable: status >= 500 });
  });
  const given = HEADERS_ON.flatMap((name) => {
    const value = request.headers[name];
    return value === undefined ? [] : [[name, String(value)] as const];
  });
  const body = method === 'POST' ? await wholeBody(request) : undefined;
  const answered = new AbortController();
  const late = new AbortController();
  void delay(ANSWER_MS, undefined, { signal: answered.signal, ref: false }).then(
    () => late.abort('it did not answer in time'),
    () => undefined,
  );
  let answer: Response;
  try {
    answer = await fetch(`${baseUrl}${path}${queryOf(request)}`, {
      method,
      redirect: 'error', // a token must not follow it
      signal: AbortSignal.any([request.signal, late.signal]),
      headers: {
        ...Object.fromEntries(given),
        'accept-encoding': 'identity',
        ...(token === undefined ? {} : { authorization: token }),
      },
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    throw unavailable(error);
  } finally {
    answered.abort();
  }
  return {
    status: answer.status,
    type: answer.headers.get('content-type') ?? 'application/octet-stream',
    headers: Object.fromEntries(
      HEADERS_BACK.flatMap((name) => {
        const value = answer.headers.get(name);
        return value === null ? [] : [[name, value] as const];
      }),
    ),
    stream: answer.body ?? nothing(),
  };
}

async function wholeBody({ bytes, headers }: HttpRequest): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLarge();
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bytes) {
    size += piece.length;
    if (size > BODY_BYTES_MAX) throw tooLarge();
    pieces.push(piece);
  }
  return size === 0 ? undefined : Buffer.concat(pieces);
}

function tooLarge(): HttpFailure {
  return new HttpFailure(413, 'E_INVALID_INPUT_SCHEMA', `the body is larger than ${BODY_BYTES_MAX} bytes`, {
    limit: BODY_BYTES_MAX,
  });
}

function queryOf({ query }: HttpRequest): string {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) text.set(name, String(value));
  return text.size === 0 ? '' : `?${text.toString()}`;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function unavailable(error: unknown): ArpError {
  const { code } = ((error as Error).cause ?? {}) as { readonly code?: unknown };
  const reason =
    typeof code === 'string' ? code : typeof error === 'string' ? error : 'the connection failed';
  return new ArpError(502, 'run_coordinator_unavailable', `the run coordinator cannot be asked: ${reason}`, {
    retryable: true,
  });
}
