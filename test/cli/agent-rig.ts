// A control plane and agents as processes of their own, and what may stand between them.
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { AllowListEntry } from '../../src/policy/allow-list/schema.ts';
import { KEY } from '../doors/agents/control-rig.ts';
import { commandEntry, listOf } from '../doors/agents/agent/fleet-rig.ts';
import { ask, type Answer } from '../server/client.ts';
import { freePort } from '../support/free-ports.ts';
import { test as base, until, type Any, type Home, type Running } from './rig.ts';

const OPERATOR = 'operator-of-this-test';
export const ENROL = 'enrolment-of-this-test';

interface AgentChoices {
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: object;
  /** Where it believes its control plane to be. */
  readonly url?: string;
  readonly flags?: readonly string[];
  /** Run under another program, as at the end of a cable. */
  readonly under?: readonly string[];
}

class Fleet {
  readonly home: Home;
  readonly proxies: Proxy[] = [];
  readonly #port: number;
  #plane: Running | undefined;
  #serial = 1;

  constructor(home: Home, port: number) {
    this.home = home;
    this.#port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Begins on the same folder and the same port each time. */
  async serve(env: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Promise<Running> {
    await this.home.write('key.pem', KEY.publicKey.pem);
    const port = String(this.#port);
    const argv = ['serve', 'control-plane', '--port', port, '--trust-keys', 'key.pem', ...flags];
    const plane = this.home.start(argv, {
      program: 'reeve',
      env: {
        JARVAS_OPERATOR_TOKEN: OPERATOR,
        JARVAS_ENROL_TOKEN: ENROL,
        JARVAS_LEASE_S: '6',
        JARVAS_POLL_S: '1',
        ...env,
      },
    });
    await plane.until('it listens', () => /listening on \S+\n/.test(plane.stdout));
    this.#plane = plane;
    return plane;
  }

  async killPlane(): Promise<void> {
    this.#plane?.kill('SIGKILL');
    await this.#plane?.ended;
  }

  async agent(id: string, { env, config, url, flags = [], under = [] }: AgentChoices = {}): Promise<Running> {
    const settings = { allow_raw: true, ...config };
    await this.home.write(`${id}/etc/config.json`, JSON.stringify(settings));
    return this.home.start(['agent', '--runs-dir', `${id}/runs`, ...flags], {
      program: 'jarvas_lite_run',
      under,
      env: {
        CONTROL_URL: url ?? `http://${this.address}`,
        JARVAS_AGENT_ID: id,
        JARVAS_ENROL_TOKEN: ENROL,
        JARVAS_TRUST_KEYS: 'key.pem',
        JARVAS_POLL_S: '0.2',
        JARVAS_ALLOW_ROOT: '1',
        DATA_DIR: `${id}/data`,
        CONFIG_DIR: `${id}/etc`,
        ...env,
      },
    });
  }

  send(method: string, path: string, body?: unknown): Promise<Answer> {
    return ask(this.address, method, path, { ...(body === undefined ? {} : { body }), token: OPERATOR });
  }

  async publish(...entries: readonly AllowListEntry[]): Promise<void> {
    this.#serial += 1;
    const { status, text } = await this.send(
      'PUT',
      '/allowlist',
      JSON.parse(listOf(entries, { serial: this.#serial })),
    );
    if (status !== 200) throw new Error(text);
  }

  /** A command that may run. @returns the id of a task for it */
  async command(script: string, more: object = {}): Promise<string> {
    const command = ['sh', '-c', script];
    await this.publish(commandEntry(command));
    return this.task({ command, ...more });
  }

  async task(body: object): Promise<string> {
    const { status, json, text } = await this.send('POST', '/tasks', { action: 'check', ...body });
    if (status !== 201) throw new Error(text);
    return json.task_id;
  }

  async view(id: string): Promise<Any> {
    return (await this.send('GET', `/tasks/${id}`)).json;
  }

  /** Waits until the task has this status. @param deadlineMs as in `until` */
  async has(id: string, status: string, deadlineMs?: number): Promise<Any> {
    let view: Any;
    await until(
      async () => {
        view = await this.view(id).catch(() => undefined); // the control plane may be away
        return view?.status === status;
      },
      `${status} of ${id}`,
      deadlineMs,
    ).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(view)}`);
    });
    return view;
  }

  async file(view: Any, path: string): Promise<string> {
    const { status, text } = await this.send('GET', `/runs/${view.run_id}/files/${path}`);
    return status === 200 ? text : `(${status})`;
  }

  /** How often something was done, by the audit. */
  async audited(action: string): Promise<number> {
    const { text } = await this.send('GET', '/audit');
    return text.split(`"action":"${action}"`).length - 1;
  }

  async proxy(): Promise<Proxy> {
    const proxy = await Proxy.open(this.#port);
    this.proxies.push(proxy);
    return proxy;
  }

  path(...names: readonly string[]): string {
    return join(this.home.cwd, ...names);
  }
}

/** A network that can be cut, and that hears everything. */
class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  heard = '';

  static async open(port: number): Promise<Proxy> {
    const proxy = new Proxy(port);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  private constructor(port: number) {
    this.#server = createServer((socket) => {
      if (this.#isCut) return void socket.destroy();
      const onward = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.on('data', (bytes: Buffer) => {
          this.heard += bytes.toString('latin1');
          to.write(bytes);
        });
      }
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export const test = base.extend('fleet', async ({ home }, { onCleanup }) => {
  const fleet = new Fleet(home, await freePort());
  onCleanup(async () => {
    for (const proxy of fleet.proxies) await proxy.close();
  });
  return fleet;
});
