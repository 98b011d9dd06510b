/**
 * One request and its answer, over connections that are kept. Not `fetch`: that gives up on whoever has not begun to answer
 * after five minutes, and an executor may take as long as its node does.
 */
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';

export interface Sent {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  /** A stream's length is told by its `content-length` header, or it goes in chunks. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Default: connections that all calls of this process share, with the machine's certificates. */
  readonly tls?: TlsAgent;
  /** Aborts the call, also while its answer is read. */
  readonly signal: AbortSignal;
}

export interface Exchange extends Sent {
  /** Of the answer, bytes. */
  readonly bytesMax: number;
}

export interface Answered {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

/** Of a connection on which nothing is said, milliseconds: a machine that is gone is noticed. */
const PROBE_MS = 30_000;
const plain = new Agent({ keepAlive: true });
const secure = new TlsAgent({ keepAlive: true });

/** @throws RangeError for an answer that is too large; what the connection throws; the signal's reason */
export async function exchange(url: string, { bytesMax, ...sent }: Exchange): Promise<Answered> {
  const answer = await begin(url, sent);
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > bytesMax) throw new RangeError(`its answer is larger than ${bytesMax} bytes`);
      pieces.push(piece);
    }
  } catch (error) {
    throw sent.signal.aborted ? sent.signal.reason : error;
  }
  const { statusCode: status = 0, headers } = answer;
  return { status, text: Buffer.concat(pieces).toString(), headers };
}

/** An answer whose body is still to come. @throws what the connection throws; the signal's reason */
export function begin(url: string, { body, tls = secure, ...sent }: Sent): Promise<IncomingMessage> {
  const isSecure = url.startsWith('https:');
  const whole = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  return new Promise<IncomingMessage>((resolve, reject) => {
    const fail = (error: unknown): void => reject(sent.signal.aborted ? sent.signal.reason : error);
    const send = isSecure ? httpsRequest : httpRequest;
    const asked = send(url, {
      ...sent,
      agent: isSecure ? tls : plain,
      headers: {
        ...(sent.method === 'GET' || !whole ? {} : { 'content-length': Buffer.byteLength(body ?? '') }),
        ...sent.headers,
      },
    });
    asked.on('error', fail);
    asked.on('socket', (socket) => socket.setKeepAlive(true, PROBE_MS));
    asked.on('response', resolve);
    if (whole) {
      asked.end(body);
      return;
    }
    const stream = Readable.from(body);
    // An answer may come before all is sent: then the rest is not wanted.
    asked.on('close', () => stream.destroy());
    stream.on('error', (error) => asked.destroy(error));
    stream.pipe(asked);
  });
}

/** The same, begun within a time; its body may then last. @throws as `begin`; a TimeoutError after `ms` */
export async function beginWithin(ms: number, url: string, sent: Sent): Promise<IncomingMessage> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new DOMException('', 'TimeoutError')), ms);
  try {
    return await begin(url, { ...sent, signal: AbortSignal.any([sent.signal, late.signal]) });
  } finally {
    clearTimeout(timer);
  }
}
