/** A provider of language models on a real socket, as OpenAI and as Anthropic: it says what a test wrote down. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Any } from '../../cli/rig.ts';

export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is. */
  readonly body: string;
}

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Any;
}

export class LlmProvider {
  readonly received: Received[] = [];
  readonly #replies: (Reply | 'never')[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** What it answers next, in this order. */
  says(...replies: readonly (Reply | 'never')[]): this {
    this.#replies.push(...replies);
    return this;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request));
    this.received.push({ path: request.url ?? '', headers: request.headers, body });
    const reply = this.#replies.shift() ?? { status: 500, body: 'nothing more was written down' };
    if (reply === 'never') return;
    const headers = { 'content-type': 'application/json', ...reply.headers };
    response.writeHead(reply.status ?? 200, headers).end(reply.body);
  }

  /** @returns its base URL. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A chat completion of OpenAI's. */
export function completion(content: unknown, finish_reason = 'stop'): Reply {
  const answer = typeof content === 'string' ? content : JSON.stringify(content);
  return {
    body: JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_795_000_000,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: answer }, finish_reason }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    }),
  };
}

/** A message of Anthropic's with these blocks. */
export function message(content: readonly object[], stop_reason = 'end_turn'): Reply {
  const usage = { input_tokens: 1, output_tokens: 1 };
  return {
    body: JSON.stringify({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content,
      stop_reason,
      stop_sequence: null,
      usage,
    }),
  };
}

/** A failure in the words of OpenAI (Anthropic's have `type: "error"` around the same). */
export function failure(status: number, told: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers, body: JSON.stringify({ type: 'error', error: { type: 'x', message: told } }) };
}
