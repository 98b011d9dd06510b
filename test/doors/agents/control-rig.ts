// A control plane on a real engine, a real database and a real socket, for tests.
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import {
  openControlPlane,
  type ControlPlane,
  type ControlPlaneOptions,
} from '../../../src/doors/agents/control/service.ts';
import { newToken, tokenHash } from '../../../src/doors/agents/control/tokens.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { systemChance, systemClock } from '../../../src/engine/system.ts';
import { digestOfCommand, signAllowList, textOf } from '../../../src/policy/allow-list/sign.ts';
import { generatePrivateKey, privateKeyFrom } from '../../../src/policy/keys.ts';
import { startServer, type RunningServer, type ServerOptions } from '../../../src/server/server.ts';
import { openStore, type Store } from '../../../src/store/open-store.ts';
import { openMetrics } from '../../../src/telemetry/prometheus.ts';

// Parsed JSON of an answer; tests look into it with matchers.
// oxlint-disable-next-line typescript/no-explicit-any
export type Any = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Any;
}

export const KEY = privateKeyFrom(generatePrivateKey(), 'test');
/** What allow-lists of tests allow. */
export const COMMAND = ['true'];
export const SKILL = { name: 'backup_integrity', version: '1.0.0' };
export const DIGEST = `sha256:${'ab'.repeat(32)}`;

export function allowList(tenant: string, serial = 1, more: object = {}): string {
  return textOf(
    signAllowList(
      {
        version: 1,
        tenant,
        serial,
        issued_at: '2026-01-01T00:00:00Z',
        expires_at: '2099-01-01T00:00:00Z',
        entries: [
          { kind: 'skill', ...SKILL, digest: DIGEST, env_refs: ['BACKUP_KEY'] },
          { kind: 'command', digest: digestOfCommand(COMMAND) },
        ],
        ...more,
      },
      [KEY],
    ),
  );
}

export interface Tokens {
  readonly operator: string;
  readonly enrolment: string;
}

export interface HandedOut {
  readonly task_id: string;
  readonly run_id: string;
  readonly lease_id: string;
  readonly attempt: number;
}

/** One process' worth: open it again on the same folder, and it is the process after that one. */
export class Plane {
  readonly dir: string;
  readonly tenants = new Map<string, Tokens>();
  readonly #choices: Partial<ControlPlaneOptions> & Partial<Pick<ServerOptions, 'limits'>>;
  readonly metrics = openMetrics();
  #store: Store | undefined;
  #server: RunningServer | undefined;
  #plane: ControlPlane | undefined;

  constructor(dir: string, choices: Plane['choices'] = {}) {
    this.dir = dir;
    this.#choices = choices;
    for (const tenant of ['default', 'acme'])
      this.tenants.set(tenant, { operator: newToken('operator'), enrolment: newToken('enrolment') });
  }

  get choices(): Partial<ControlPlaneOptions> & Partial<Pick<ServerOptions, 'limits'>> {
    return this.#choices;
  }

  get url(): string {
    return `http://${this.#server?.address ?? ''}`;
  }

  async open(): Promise<this> {
    const { limits, ...options } = this.#choices;
    this.#store = await openStore(join(this.dir, 'store'));
    const { runs, blobs } = this.#store;
    const engine = new Engine({ store: runs, blobs, clock: systemClock, chance: systemChance });
    const plane = await openControlPlane({
      engine,
      file: join(this.dir, 'agents.sqlite'),
      tokens: [...this.tenants].flatMap(([tenant, { operator, enrolment }]) => [
        { role: 'operator' as const, tenant, name: 'alice', sha256: tokenHash(operator) },
        { role: 'enrolment' as const, tenant, name: 'enrolment', sha256: tokenHash(enrolment) },
      ]),
      open: false,
      keys: [KEY.publicKey],
      meter: this.metrics,
      note: (text) => void process.stderr.write(`${text}\n`),
      ...options,
    });
    this.#plane = plane;
    this.#server = await startServer({
      groups: [plane.group],
      failures: plane.group.failures,
      title: 'control-plane',
      version: '0.0.0',
      listen: { host: '127.0.0.1', port: 0 },
      tokens: [],
      authenticate: plane.authenticate,
      names: [],
      bodyBytesMax: 1_048_576,
      limits: { connections: 4096, ...limits },
      note: (text) => void process.stderr.write(`${text}\n`),
      isReady: () => plane.isReady(),
      metrics: this.metrics,
    });
    this.metrics.beforeText(() => plane.measure());
    return this;
  }

  async close(): Promise<void> {
    await this.#plane?.stop();
    await this.#server?.stop(1000);
    this.#plane?.close();
    await this.#store?.close();
    this.#plane = undefined;
    this.#server = undefined;
    this.#store = undefined;
  }

  async send(
    method: string,
    path: string,
    { token, body, headers = {}, signal }: SendOptions = {},
  ): Promise<Answer> {
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
    return {
      status: answer.status,
      headers: answer.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  }

  /** As an operator. */
  async ask(method: string, path: string, body?: unknown, more: SendOptions = {}): Promise<Answer> {
    return this.send(method, path, {
      token: this.tokens().operator,
      ...(body === undefined ? {} : { body }),
      ...more,
    });
  }

  tokens(tenant = 'default'): Tokens {
    const tokens = this.tenants.get(tenant);
    if (tokens === undefined) throw new Error(`no tenant ${tenant}`);
    return tokens;
  }

  async publish(tenant = 'default', text = allowList(tenant)): Promise<Answer> {
    return this.send('PUT', '/allowlist', { token: this.tokens(tenant).operator, body: text });
  }

  async register(agent_id: string, about: object = {}, tenant = 'default'): Promise<PolledAgent> {
    const body = { agent_id, ...about };
    const { status, json, text } = await this.send('POST', '/register', {
      token: this.tokens(tenant).enrolment,
      body,
    });
    if (status !== 200) throw new Error(`${agent_id} was not registered: ${text}`);
    return new PolledAgent(this, agent_id, json.agent_token);
  }

  /** @returns its id */
  async task(more: object = {}, tenant = 'default'): Promise<string> {
    const { status, json, text } = await this.send('POST', '/tasks', {
      token: this.tokens(tenant).operator,
      body: { action: 'check', command: COMMAND, ...more },
    });
    if (status !== 201) throw new Error(`no task: ${text}`);
    return json.task_id;
  }

  async status(taskId: string): Promise<string> {
    return (await this.ask('GET', `/tasks/${taskId}`)).json.status;
  }
}

export interface SendOptions {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** What an agent says, as plain calls. */
export class PolledAgent {
  readonly plane: Plane;
  readonly id: string;
  readonly token: string;

  constructor(plane: Plane, id: string, token: string) {
    this.plane = plane;
    this.id = id;
    this.token = token;
  }

  async send(method: string, path: string, body?: unknown, more: SendOptions = {}): Promise<Answer> {
    return this.plane.send(method, path, {
      token: this.token,
      ...(body === undefined ? {} : { body }),
      ...more,
    });
  }

  async poll(waitS = 0, signal?: AbortSignal): Promise<HandedOut | null> {
    const { status, json, text } = await this.send(
      'GET',
      `/task?wait=${waitS}`,
      undefined,
      signal === undefined ? {} : { signal },
    );
    if (status !== 200) throw new Error(`poll: ${text}`);
    return json.task;
  }

  /** A task that must be there. */
  async take(waitS = 0): Promise<HandedOut> {
    const task = await this.poll(waitS);
    if (task === null) throw new Error(`${this.id} got no task`);
    return task;
  }

  async start({ task_id, lease_id }: HandedOut): Promise<Answer> {
    return this.send('POST', `/tasks/${task_id}/start`, { lease_id, started_at: '2026-01-31T12:00:00Z' });
  }

  async renew({ task_id, lease_id }: HandedOut): Promise<Answer> {
    return this.send('POST', `/tasks/${task_id}/lease`, { lease_id });
  }

  async result({ task_id, run_id, lease_id }: HandedOut, more: object = {}): Promise<Answer> {
    return this.send('POST', `/tasks/${task_id}/result`, {
      lease_id,
      outcome: 'succeeded',
      exit_code: 0,
      summary: {
        run_id,
        action: 'check',
        timestamp: '2026-01-31T12:00:03Z',
        exit_code: 0,
        status: 'SUCCESS',
      },
      started_at: '2026-01-31T12:00:00Z',
      finished_at: '2026-01-31T12:00:03Z',
      artifacts: [],
      ...more,
    });
  }

  async heartbeat(...running: readonly string[]): Promise<Any> {
    return (await this.send('POST', '/heartbeat', { running })).json;
  }
}

/** A test with a folder, and control planes on it that end with the test. */
export const test = base
  // oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
  .extend('dir', async ({}, { onCleanup }) => {
    const dir = await realpath(await mkdtemp(join(tmpdir(), 'reeve-agents-')));
    onCleanup(() => rm(dir, { recursive: true, force: true }));
    return dir;
  })
  .extend('open', async ({ dir }, { onCleanup }) => {
    const planes: Plane[] = [];
    onCleanup(async () => {
      for (const plane of planes) await plane.close();
    });
    return async (choices: Plane['choices'] = {}): Promise<Plane> => {
      const plane = new Plane(dir, choices);
      planes.push(plane);
      await plane.open();
      await plane.publish();
      return plane;
    };
  });
