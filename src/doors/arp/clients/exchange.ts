/**
 * One request and its answer, over connections that are kept. Not `fetch`: that gives up on whoever has not begun to answer
 * after five minutes, and an executor may take as long as its node does.
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';

export interface Sent {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
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
  return { status: answer.statusCode ?? 0, text: Buffer.concat(pieces).toString() };
}

/** An answer whose body is still to come. @throws what the connection throws; the signal's reason */
export function begin(url: string, { body, ...sent }: Sent): Promise<IncomingMessage> {
  const isSecure = url.startsWith('https:');
  return new Promise<IncomingMessage>((resolve, reject) => {
    const send = isSecure ? httpsRequest : httpRequest;
    const asked = send(url, {
      ...sent,
      agent: isSecure ? secure : plain,
      headers: {
        ...sent.headers,
        ...(sent.method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body ?? '') }),
      },
    });
    asked.on('error', (error) => reject(sent.signal.aborted ? sent.signal.reason : error));
    asked.on('socket', (socket) => socket.setKeepAlive(true, PROBE_MS));
    asked.on('response', resolve);
    asked.end(body);
  });
}
