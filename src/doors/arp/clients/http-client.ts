/**
 * How one service asks another: with a time limit, a limit of size, and few retries (H15). A failure of the other service
 * passes through as it is; one on the way is 502 `<service>_unavailable` (contract arp §2).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ReeveError } from '../../../model/errors.ts';
import { outgoingCall } from '../../../telemetry/request-context.ts';
import { ArpError } from '../wire/errors.ts';
import { answerAs } from '../wire/validate.ts';
import { exchange, type Answered } from '../../exchange.ts';
import { failureIn, parsed, reasonOf, tokenFor, unavailable } from './failures.ts';

export interface ServiceAddress {
  /** Of the service, in codes: `node_registry`. */
  readonly name: string;
  /** As `baseUrlOf` gives it. */
  readonly baseUrl: string;
  /** Token for the service; undefined: it is asked without one. */
  token?(): Promise<string | undefined>;
  /** Of one try, milliseconds. */
  readonly timeoutMs?: number;
  /** An internal store: it may say `{"detail"}` instead of an ErrorEnvelope, and its status counts (contract arp §2). */
  readonly isStore?: boolean;
}

export interface Call {
  /** From the base on, with everything encoded. */
  readonly path: string;
  /** Of a 2xx answer that has a body; of NDJSON, of the list of its lines. */
  readonly schema: object;
  /** How a 2xx answer is written. Default JSON. */
  readonly form?: 'ndjson';
}

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 16 * 1_048_576;
/** Pauses before the second and the third try, milliseconds. */
const PAUSES_MS = [100, 400];

/**
 * A configured URL without blanks around it, trailing slashes, and a final `/v1` (contract arp §4.7).
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export function baseUrlOf(text: string, variable: string): string {
  const base = text.trim().replace(/\/+$/, '').replace(/\/v1$/, '').replace(/\/+$/, '');
  const url = URL.parse(base);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${variable} must be an http or https URL`, { variable });
  }
  return base;
}

/** A GET, which may be repeated. @throws ArpError */
export async function get(service: ServiceAddress, call: Call): Promise<unknown> {
  return again(() => once(service, call, { method: 'GET' }));
}

export interface PostCall extends Call {
  readonly body?: unknown;
  /** Aborts the call. */
  readonly signal?: AbortSignal;
  /** Whether the other side takes the same call twice as one: only then it is repeated. Default: no. */
  readonly repeatable?: boolean;
}

/** A POST. @returns undefined when the answer has no body. @throws ArpError */
export async function post(service: ServiceAddress, call: PostCall): Promise<unknown> {
  const { body, signal, repeatable = false } = call;
  const send = (): Promise<unknown> =>
    once(service, call, {
      method: 'POST',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  return repeatable ? again(send) : send();
}

/** Tells an executor that a NodeRun was canceled. @throws ArpError */
export async function postCancel(
  service: ServiceAddress,
  of: 'atomic' | 'composite',
  nodeRunId: string,
): Promise<void> {
  const path = `/v1/${of}-node-runs/${encodeURIComponent(nodeRunId)}:cancel`;
  await post(service, { path, schema: {}, repeatable: true });
}

/** A PUT, once: whoever replaces documents knows when to try again. @throws ArpError */
export async function put(
  service: ServiceAddress,
  call: Call & { readonly body: unknown; readonly signal: AbortSignal },
): Promise<unknown> {
  return once(service, call, { method: 'PUT', body: JSON.stringify(call.body), signal: call.signal });
}

/** A GET, once. @throws ArpError */
export async function getOnce(
  service: ServiceAddress,
  call: Call & { readonly signal: AbortSignal },
): Promise<unknown> {
  return once(service, call, { method: 'GET', signal: call.signal });
}

async function again(ask: () => Promise<unknown>): Promise<unknown> {
  for (const pauseMs of PAUSES_MS) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ArpError) || error.retryable !== true) throw error;
      await delay(pauseMs);
    }
  }
  return ask();
}

interface Sent {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly body?: string;
  readonly signal?: AbortSignal;
}

async function once(
  service: ServiceAddress,
  { path, schema, form }: Call,
  { method, body, signal }: Sent,
): Promise<unknown> {
  const token = await tokenFor(service);
  const call = outgoingCall(service.name, method, path);
  const inTime = AbortSignal.timeout(service.timeoutMs ?? TIMEOUT_MS);
  let answer: Answered;
  try {
    // A redirect is not followed: a token must not go elsewhere.
    answer = await exchange(`${service.baseUrl}${path}`, {
      method,
      signal: signal === undefined ? inTime : AbortSignal.any([inTime, signal]),
      bytesMax: ANSWER_BYTES_MAX,
      ...(body === undefined ? {} : { body }),
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...call.headers,
      },
    });
    call.end(answer.status);
  } catch (error) {
    call.end(undefined);
    throw unavailable(service, reasonOf(error));
  }
  const { status, text } = answer;
  if (status === 204) return undefined;
  if (status < 200 || status > 299) throw await failureIn(service, answer);
  const { value, wrong } = await answerAs(schema, form === 'ndjson' ? parsedLines(text) : parsed(text));
  if (wrong === undefined) return value;
  throw unavailable(service, `its answer is wrong: ${wrong.loc.join('.')} ${wrong.msg}`, false);
}

/** Lines of JSON; some send them as one JSON text (D4). @returns undefined when a line cannot be read. */
function parsedLines(text: string): readonly unknown[] | undefined {
  const whole = text.startsWith('"') ? parsed(text) : text;
  if (typeof whole !== 'string') return undefined;
  const values = whole
    .split('\n')
    .filter((line) => line !== '')
    .map(parsed);
  return values.includes(undefined) ? undefined : values;
}
