/** Streams of lines (NDJSON), read as they come (contract arp §2). */
import type { IncomingMessage } from 'node:http';
import { beginWithin } from '../../exchange.ts';
import { failureIn, parsed, reasonOf, tokenFor, unavailable } from './failures.ts';
import type { ServiceAddress } from './http-client.ts';

/** Until the answer begins, milliseconds; after that a stream may be silent for as long as it likes. */
const ANSWER_MS = 30_000;
/** Of one line, or of a failure, characters. */
const CHARS_MAX = 16 * 1_048_576;

/**
 * Lines of an answer that are not empty. Some coordinators send them all as one JSON string (D4): that is read as well.
 * @param path from the base on, with everything encoded
 * @throws ArpError; the signal's reason
 */
export async function* linesOf(
  service: ServiceAddress,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const answer = await opened(service, path, signal);
  try {
    const status = answer.statusCode ?? 0;
    if (status < 200 || status > 299)
      throw await failureIn(service, {
        status,
        text: await restOf(service, answer),
        headers: answer.headers,
      });
    yield* split(service, answer);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw 'wireCode' in (error as object) ? error : unavailable(service, reasonOf(error));
  }
}

async function opened(service: ServiceAddress, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  const token = await tokenFor(service);
  try {
    const answer = await beginWithin(service.timeoutMs ?? ANSWER_MS, `${service.baseUrl}${path}`, {
      method: 'GET',
      signal,
      headers: {
        accept: 'application/x-ndjson, application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    return answer.setEncoding('utf8');
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw unavailable(service, reasonOf(error));
  }
}

async function* split(service: ServiceAddress, answer: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of answer as AsyncIterable<string>) {
    rest += piece;
    if (rest.startsWith('"')) return yield* quoted(service, rest + (await restOf(service, answer)));
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield line;
    if (rest.length > CHARS_MAX) throw unavailable(service, `a line is longer than ${CHARS_MAX} characters`);
  }
  if (rest.trim() !== '') yield rest;
}

function* quoted(service: ServiceAddress, text: string): Generator<string> {
  const whole = parsed(text);
  if (typeof whole !== 'string')
    throw unavailable(service, 'its answer is wrong: neither lines nor a text of lines', false);
  for (const line of whole.split('\n')) if (line.trim() !== '') yield line;
}

async function restOf(service: ServiceAddress, answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of answer as AsyncIterable<string>) {
    text += piece;
    if (text.length > CHARS_MAX)
      throw unavailable(service, `its answer is longer than ${CHARS_MAX} characters`);
  }
  return text;
}
