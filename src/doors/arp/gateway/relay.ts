/** Hands a request on to the coordinator and its answer back, both as they are (contract arp §2). */
import type { IncomingMessage } from 'node:http';
import { beginWithin } from '../../exchange.ts';
import { HttpFailure, type HttpRequest, type StreamReply } from '../../http.ts';
import { reasonOf, tokenFor, unavailable } from '../clients/failures.ts';

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
const COORDINATOR = { name: 'run_coordinator' };
const BODY_BYTES_MAX = 16 * 1_048_576;
const HEADERS_ON = ['accept', 'content-type', 'last-event-id', 'x-request-id'] as const;
const HEADERS_BACK = ['allow', 'cache-control', 'retry-after', 'www-authenticate'] as const;

/** @throws ArpError 502 `run_coordinator_unavailable`, and the codes of a token that cannot be had; HttpFailure 413 */
export async function relay(
  { baseUrl, authorization }: CoordinatorAddress,
  request: HttpRequest,
  { method, path }: Relayed,
): Promise<StreamReply> {
  const token = await tokenFor({ token: () => authorization(request) });
  const given = HEADERS_ON.flatMap((name) => {
    const value = request.headers[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const body = method === 'POST' ? await wholeBody(request) : undefined;
  let answer: IncomingMessage;
  try {
    answer = await beginWithin(ANSWER_MS, `${baseUrl}${path}${queryOf(request)}`, {
      method,
      signal: request.signal,
      headers: {
        ...Object.fromEntries(given),
        'accept-encoding': 'identity',
        ...(token === undefined ? {} : { authorization: token }),
      },
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    throw unavailable(COORDINATOR, reasonOf(error));
  }
  const { statusCode: status = 502, headers } = answer;
  if (status >= 300 && status < 400) {
    answer.destroy();
    throw unavailable(COORDINATOR, `it answered ${status}, and a token must not follow it elsewhere`);
  }
  return {
    status,
    type: headers['content-type'] ?? 'application/octet-stream',
    headers: Object.fromEntries(
      HEADERS_BACK.flatMap((name) => {
        const value = headers[name];
        return value === undefined ? [] : [[name, value] as const];
      }),
    ),
    stream: answer,
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
