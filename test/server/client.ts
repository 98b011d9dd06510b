/** HTTP as a client of ours would speak it, and as nobody should. */
import { request } from 'node:http';
import { connect } from 'node:net';
import type { Any } from '../cli/rig.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly bytes: Buffer;
  /** Parsed; undefined for what is no JSON. */
  readonly json: Any;
}

export interface Ask {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string;
  /** Sent as it is, with no type of its own. */
  readonly raw?: string;
  readonly signal?: AbortSignal;
}

/** One request on a connection of its own; the path goes out as it is written. */
export function ask(address: string, method: string, path: string, options: Ask = {}): Promise<Answer> {
  const { body, headers = {}, token, raw, signal } = options;
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const [host = '', port = ''] = address.split(/:(?=\d+$)/);
  return new Promise((resolve, reject) => {
    const sent = request({
      host,
      port: Number(port),
      method,
      path,
      agent: false,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(signal === undefined ? {} : { signal }),
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(parts);
        const text = bytes.toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          bytes,
          json: parsed(text),
        });
      });
    });
    sent.end(payload);
  });
}

/** Writes the pieces to a socket and returns everything that comes back until the server closes it. */
export function talk(address: string, ...pieces: readonly string[]): Promise<string> {
  const [host = '', port = ''] = address.split(/:(?=\d+$)/);
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    let heard = '';
    socket.setEncoding('latin1').on('data', (text) => (heard += text));
    socket.on('error', () => undefined); // a server may close while we still write
    socket.on('close', () => resolve(heard));
    for (const piece of pieces) socket.write(piece);
  });
}

/** The bodies of the answers in what `talk` heard. */
export function bodies(heard: string): Any[] {
  return [...heard.matchAll(/^\{.*\}$/gm)].map(([line]): Any => JSON.parse(line));
}

export function statuses(heard: string): number[] {
  return [...heard.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
}

function parsed(text: string): Any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
