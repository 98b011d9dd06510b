/** Calls of a control plane: its token, its envelope of failures, its idempotency keys (contract agents §2). */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Agent as TlsAgent } from 'node:https';
import { ReeveError } from '../../../model/errors.ts';
import { exchange, type Sent } from '../../exchange.ts';

export interface ControlAddress {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly token?: string;
  readonly tls?: TlsAgent;
}

export interface ControlCall {
  readonly method: Sent['method'];
  /** From the base on, with everything encoded. */
  readonly path: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: Sent['body'];
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a POST: the same key makes the same call once. Default: a new one. */
  readonly key?: string;
  readonly signal?: AbortSignal;
  /** Until the answer is there whole, milliseconds. Default 30 s. */
  readonly timeoutMs?: number;
}

export interface ControlAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Undefined where there is no body, or no JSON. */
  readonly json: unknown;
}

const TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 64 * 1_048_576;

/** The control plane said no, and why. */
export class ControlRefusal extends ReeveError {
  readonly status: number;
  /** Its own code, such as `lease_lost`. */
  readonly wireCode: string;
  /** After that it may be asked again, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, wireCode: string, message: string, details: object, retryAfterMs?: number) {
    super('E_SERVICE_REFUSED', `the control plane refused: ${message}`, {
      ...details,
      status,
      code: wireCode,
    });
    this.status = status;
    this.wireCode = wireCode;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether asking again would be answered in the same way. A redirection is a proxy's, and 401 may be of a token that is coming. */
export function isFinal(status: number): boolean {
  return status >= 400 && status < 500 && ![401, 408, 425, 429].includes(status);
}

/** @throws ControlRefusal for another status than 2xx and 304; ReeveError E_SERVICE_UNAVAILABLE when nobody answers */
export async function callControl(address: ControlAddress, call: ControlCall): Promise<ControlAnswer> {
  const { method, path, json, body, headers, key, signal, timeoutMs = TIMEOUT_MS } = call;
  const { baseUrl, token, tls } = address;
  const inTime = AbortSignal.timeout(timeoutMs);
  const sent = json === undefined ? body : JSON.stringify(json);
  let answer: Awaited<ReturnType<typeof exchange>>;
  try {
    answer = await exchange(`${baseUrl}${path}`, {
      method,
      bytesMax: ANSWER_BYTES_MAX,
      signal: signal === undefined ? inTime : AbortSignal.any([inTime, signal]),
      ...(tls === undefined ? {} : { tls }),
      ...(sent === undefined ? {} : { body: sent }),
      headers: {
        accept: 'application/json',
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'POST' ? { 'idempotency-key': key ?? randomUUID() } : {}),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    });
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    throw new ReeveError(
      'E_SERVICE_UNAVAILABLE',
      `the control plane at ${baseUrl} cannot be asked: ${reasonOf(cause)}`,
      { url: baseUrl },
      { cause },
    );
  }
  const { status, text } = answer;
  const value = parsed(text);
  if ((status >= 200 && status < 300) || status === 304) return { ...answer, json: value };
  throw refusalIn(status, value, answer.headers);
}

function refusalIn(status: number, value: unknown, headers: IncomingHttpHeaders): ReeveError {
  const { error } = (value ?? {}) as {
    readonly error?: { readonly code?: unknown; readonly message?: unknown; readonly details?: unknown };
  };
  const { code, message, details } = error ?? {};
  const after = Number(headers['retry-after']);
  return new ControlRefusal(
    status,
    typeof code === 'string' ? code : `http_${status}`,
    typeof message === 'string' ? message : `it answered ${status}`,
    typeof details === 'object' && details !== null ? details : {},
    Number.isFinite(after) && after >= 0 ? after * 1000 : undefined,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a person can act on. */
function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return error.message;
  if ((error as Error).name === 'TimeoutError') return 'it did not answer in time';
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string') return 'the connection failed';
  const [, words] = TLS_WORDS.find(([codes]) => codes.test(code)) ?? [];
  return words === undefined ? code : `${words} (${code})`;
}

/** What a failed handshake means to whoever sets certificates up. */
const TLS_WORDS: readonly (readonly [RegExp, string])[] = [
  [
    /SELF_SIGNED|^UNABLE_TO_(VERIFY|GET)/,
    'its certificate is of nobody who is trusted here, see JARVAS_TLS_CA',
  ],
  [/CERTIFICATE_REQUIRED/, 'it asks for a certificate, see JARVAS_TLS_CERT and JARVAS_TLS_KEY'],
  [/^ECONNRESET$/, 'it ended the connection, as one does that speaks https, or wants another certificate'],
  [/CERT_ALTNAME_INVALID/, 'its certificate is for another name'],
  [/CERT_HAS_EXPIRED/, 'its certificate has expired'],
  [/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/, 'it does not speak TLS; perhaps http:// is meant'],
  [/KEY_VALUES_MISMATCH/, 'JARVAS_TLS_KEY is not the key of JARVAS_TLS_CERT'],
];
