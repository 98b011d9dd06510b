// A control plane that says whatever a test wants it to say: an agent must not depend on its good will.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HandedOut, ResultRequest } from '../../../../src/doors/agents/wire/tasks.ts';

type Saying = (response: ServerResponse, request: IncomingMessage) => void;

export class FakePlane {
  /** Answers to polls, in order; after them there is nothing to do. */
  readonly polls: Saying[] = [];
  readonly results: ResultRequest[] = [];
  /** Method and path of every call. */
  readonly asked: string[] = [];
  /** Of a registration. */
  registered: object = {};
  allowList: string | undefined;
  /** Answers to whoever asks for a package or an approval, in order; after them what there is. */
  readonly troubles: Saying[] = [];
  /** By `name/version`. */
  readonly packages = new Map<string, Buffer>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  tokens(): { readonly enrolment: string } {
    return { enrolment: 'enrolment-of-this-test' };
  }

  /** Polls that were answered with nothing to do. */
  get idle(): number {
    return this.asked.filter((line) => line === 'idle').length;
  }

  /** Hands it out at the next poll. */
  hand(task: object): HandedOut {
    const whole = { ...taskOf(), ...task };
    this.polls.push(json({ task: whole }));
    return whole as HandedOut;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const [path = ''] = url.split('?');
    this.asked.push(`${method} ${path}`);
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const say = (saying: Saying): void => saying(response, request);
    if (path === '/register')
      return say(json({ status: 'ok', agent_token: 'token-of-this-agent', ...this.registered }));
    if (path === '/task') {
      const next = this.polls.shift();
      if (next === undefined) this.asked.push('idle');
      return say(next ?? json({ task: null }));
    }
    if (path === '/heartbeat') return say(json({ cancel: [], drain: false, allowlist_serial: 1 }));
    if (path === '/allowlist' && this.allowList !== undefined) return say(text(this.allowList));
    if (path.endsWith('/result')) this.results.push(JSON.parse(Buffer.concat(pieces).toString()));
    const trouble = /^\/skills\/|\/approval$/.test(path) ? this.troubles.shift() : undefined;
    if (trouble !== undefined) return say(trouble);
    if (path.startsWith('/skills/')) {
      const bytes = this.packages.get(path.slice('/skills/'.length));
      return say(bytes === undefined ? status(404) : (answer) => answer.end(bytes));
    }
    if (path.endsWith('/approval') || path === '/allowlist') return say(status(404));
    say(json({}));
  }
}

export function json(value: unknown): Saying {
  return text(JSON.stringify(value));
}

export function text(said: string): Saying {
  return (response) => void response.setHeader('content-type', 'application/json').end(said);
}

export function status(code: number, headers: Readonly<Record<string, string>> = {}): Saying {
  return (response) => void response.writeHead(code, headers).end('{}');
}

/** More than anybody wants to hear. */
export const endless: Saying = (response) => {
  const piece = Buffer.alloc(1_048_576, 0x20);
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on('drain', more);
  more();
};

function taskOf(): object {
  return {
    task_id: randomUUID(),
    run_id: `run-${randomUUID()}`,
    action: 'check',
    args: {},
    timeout_s: 60,
    max_output_bytes: 1_048_576,
    env_refs: [],
    attempt: 1,
    lease_id: randomUUID(),
    lease_expires_at: '2099-01-01T00:00:00Z',
    created_at: '2026-01-01T00:00:00Z',
  };
}
