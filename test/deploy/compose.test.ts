// The compose file: what it says fits together, and its ten services, started here as ten processes with the very
// arguments and variables of the file, carry runs out. Only addresses, ports and paths are others; what an engine does with
// the file (networks, secrets, limits of a container) is not seen here.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { SERVICES, type ServiceKey } from '../../src/doors/arp/services.ts';
import { serveProblems } from '../../src/doors/serve-rules.ts';
import { parseStoreUrl } from '../../src/store/store-address.ts';
import { test, until, type Any, type Home, type Running } from '../cli/rig.ts';
import { ask, type Ask, type Answer } from '../server/client.ts';
import { freePorts } from '../support/free-ports.ts';
import {
  COMPOSE_TEXT,
  composeFile,
  DEPLOY,
  ENV_EXAMPLE,
  servicesWithoutProfile,
  variablesOf,
  type Service,
} from './compose-file.ts';
import { healthCommand, imageEnvironment } from './container-file.ts';

const compose = composeFile();
type Services = readonly (readonly [string, Service])[];
const TEN: Services = servicesWithoutProfile(compose);
const CLIENT = 'token-of-clients';
const INNER = 'token-of-services';
const AT = { gateway: 'run-gateway', coordinator: 'run-coordinator' };

describe('the file', () => {
  test('has the ten services, each by its name, and its ports as the stack of ARP has them', () => {
    expect(TEN.map(([name, { command = [] }]) => [name, command.slice(0, 2)])).toEqual(
      expect.arrayContaining(Object.keys(SERVICES).map((key) => [key, ['serve', key]])),
    );
    expect(TEN).toHaveLength(10);
    expect(compose.services['run-gateway']?.ports).toEqual(['127.0.0.1:8081:8080']);
    expect(compose.services['run-coordinator']?.ports).toEqual(['127.0.0.1:8082:8081']);
    const published = Object.values(compose.services).filter(({ ports }) => ports !== undefined);
    expect(published).toHaveLength(3); // and the one that is all in one
  });

  test('every command is one, with flags that it has, and may be reached by others with a token only', () => {
    for (const [name, { command = [], secrets = [], image }] of Object.entries(compose.services)) {
      if (name === 'postgres') continue;
      expect(image).toBe('reeve');
      const fits = COMMANDS.filter(({ path }) => path.every((word, at) => command[at] === word));
      const spec = fits.toSorted((a, b) => b.path.length - a.path.length)[0];
      const flags = command.filter((word) => word.startsWith('--')).map((word) => word.slice(2));
      expect(spec, name).toBeDefined();
      expect(Object.keys(spec?.flags ?? {}), name).toEqual(expect.arrayContaining(flags));
      const file = command[command.indexOf('--auth-token-file') + 1] ?? '';
      expect(secrets.map((secret) => `/run/secrets/${secret}`)).toContain(file);
      const rules = { listen: '0.0.0.0:1', allowNonLoopback: flags.includes('allow-non-loopback') };
      expect(serveProblems({ ...rules, authToken: file, maxBodyBytes: 1 }), name).toEqual([]);
    }
  });

  test('services, volumes, secrets and URLs that are named are there; who asks another waits for it', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      const { environment = {}, depends_on: needs = {}, volumes = [], secrets = [] } = service;
      for (const [needed, { condition }] of Object.entries(needs)) {
        expect(Object.keys(compose.services)).toContain(needed);
        expect(condition).toBe('service_healthy');
      }
      for (const secret of secrets) expect(compose.secrets).toHaveProperty(secret);
      for (const volume of volumes) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('.')) expect(existsSync(resolve(DEPLOY, source)), source).toBe(true);
        else expect(compose.volumes).toHaveProperty(source);
      }
      for (const [variable, value] of Object.entries(environment)) {
        const [, host = '', port = ''] = /^http:\/\/([^:/]+):(\d+)/.exec(value) ?? [];
        if (host === '') continue;
        const callee = host === '127.0.0.1' ? name : host;
        if (callee !== 'one') expect(SERVICES[callee as ServiceKey].port, variable).toBe(Number(port));
        const isBack = callee === name || variable === 'JARVIS_RUN_COORDINATOR_URL';
        if (!isBack) expect(Object.keys(needs), `${name} ${variable}`).toContain(callee);
      }
      expect(service.restart, name).toBe('unless-stopped');
      if (name !== 'postgres') expect(service.read_only, name).toBe(true);
    }
    const inUse = new Set(
      Object.values(compose.services).flatMap(({ volumes = [] }) =>
        volumes.map((volume) => volume.split(':')[0]),
      ),
    );
    expect(Object.keys(compose.volumes).filter((volume) => !inUse.has(volume))).toEqual([]);
  });

  test('.env.example names every variable that the file reads, with its default, and no other', () => {
    const variables = variablesOf(COMPOSE_TEXT);
    const shown = new Map(
      [...ENV_EXAMPLE.matchAll(/^#?([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
    );
    expect(new Set(shown.keys())).toEqual(new Set([...variables.keys(), 'COMPOSE_PROFILES']));
    for (const [name, value] of variables) if (value !== '') expect(shown.get(name), name).toBe(value);
    const { environment = {} } = compose.services['postgres'] ?? {};
    const url = shown.get('REEVE_STORE_URL')?.replace(/\$\{.*\}/, 'secret') ?? '';
    expect(parseStoreUrl(url).shown).toBe(
      `postgres://${environment['POSTGRES_USER']}@postgres:5432/${environment['POSTGRES_DB']}?schema=reeve`,
    );
  });
});

describe('the ten services', () => {
  test('start as the file says, are healthy, know their names and tokens, and carry runs out', async ({
    home,
  }) => {
    const stack = await Stack.start(home, TEN);

    for (const [name] of TEN) {
      const { port } = SERVICES[name as ServiceKey];
      const version = await stack.ask(name, 'GET', '/v1/version', { headers: { host: `${name}:${port}` } });
      expect(version.json, name).toMatchObject({ service_name: SERVICES[name as ServiceKey].name });
      const foreign = await stack.ask(name, 'GET', '/v1/version', { headers: { host: 'elsewhere:80' } });
      expect(foreign.status, name).toBe(403);
      expect(await stack.healthCheck(name), name).toBe(0);
      expect((await stack.ask(name, 'GET', '/v1/health')).json, name).toMatchObject({ status: 'ok' });
    }

    // Whom either token opens.
    const runs = async (name: string, path: string, token: string): Promise<number> =>
      (await stack.ask(name, 'GET', path, { token })).status;
    expect(await runs('node-registry', '/v1/node-types', CLIENT)).toBe(401);
    expect(await runs('node-registry', '/v1/node-types', INNER)).toBe(200);
    expect(await runs('run-gateway', '/v1/runs/run_none', INNER)).toBe(401);
    expect(await runs('run-gateway', '/v1/runs/run_none', CLIENT)).toBe(404);

    // gateway → coordinator → policy → atomic executor
    const echo = await stack.run('jarvis.core.echo', { echo: 'hello' });
    expect(echo.root).toMatchObject({ state: 'succeeded', outputs: { echo: 'hello' } });
    // … → composite executor → selection, registry → back to the coordinator, with the token of the assignment
    const plan = await stack.run('jarvis.composite.planner.general', { goal: "Echo 'a'. Echo 'b'." });
    expect(plan.root).toMatchObject({ state: 'succeeded' });
    expect(plan.root.outputs.child_node_runs.map(({ outputs }: Any) => outputs)).toEqual([
      { echo: 'a' },
      { echo: 'b' },
    ]);
    // What the policy does not allow.
    const denied = await stack.run('nobody.knows.it', {});
    expect(denied.root.extensions.completion_error.code).toBe('policy_denied');

    await stack.stop();
    expect(await stack.healthCheck('run-gateway')).toBe(1);
    // The root file system is read-only: who has no volume has written nothing.
    for (const [name, { volumes = [] }] of TEN)
      if (!volumes.some((volume) => volume.endsWith(':/data')))
        expect(readdirSync(stack.dir(name))).toEqual([]);
    expect(readdirSync(home.dir).toSorted()).toEqual(['data', 'work']);
  });
});

test('all in one starts as the file says, is healthy, and carries runs out', async ({ home }) => {
  const { one } = compose.services;
  if (one === undefined) throw new Error('there is no service that is all in one');
  expect(one.profiles).toEqual(['one']);
  const stack = await Stack.start(home, [['one', one]]);
  expect(await stack.healthCheck('one')).toBe(0);
  const at = { gateway: 'one', coordinator: 'one' };
  const { root } = await stack.run('jarvis.composite.planner.general', { goal: "Echo 'a'" }, at);
  expect(root).toMatchObject({ state: 'succeeded' });
  expect((await stack.ask('one', 'GET', '/v1/jobs')).status).toBe(401);
  const denied = await stack.run('nobody.knows.it', {}, at);
  expect(denied.root.extensions.completion_error.code).toBe('policy_denied');
  await stack.stop();
  expect(readdirSync(home.dir).toSorted()).toEqual(['data', 'work']);
});

class Stack {
  readonly #home: Home;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #running = new Map<string, Running>();

  static async start(home: Home, services: Services): Promise<Stack> {
    await home.write('secrets/client-token', `${CLIENT}\n`);
    await home.write('secrets/service-token', `${INNER}\n`);
    const ports = await freePorts(services.length);
    const stack = new Stack(home, new Map(services.map(([name], at) => [name, ports[at] ?? 0])));
    const healthy = new Map<string, Promise<void>>();
    const start = (name: string, service: Service): Promise<void> => {
      const started = healthy.get(name) ?? stack.#start(name, service, start);
      healthy.set(name, started);
      return started;
    };
    await Promise.all(services.map(([name, service]) => start(name, service)));
    return stack;
  }

  private constructor(home: Home, ports: ReadonlyMap<string, number>) {
    this.#home = home;
    this.#ports = ports;
  }

  /** What stands for /data of a service. */
  dir(name: string): string {
    return join(this.#home.dir, 'data', name);
  }

  /** After what it depends on, and until it is healthy. */
  async #start(
    name: string,
    service: Service,
    before: (name: string, service: Service) => Promise<void>,
  ): Promise<void> {
    const needs = Object.keys(service.depends_on ?? {});
    await Promise.all(
      TEN.filter(([other]) => needs.includes(other)).map(([other, its]) => before(other, its)),
    );
    await mkdir(this.dir(name), { recursive: true });
    const { command = [], environment = {} } = service;
    const env = Object.entries({ ...imageEnvironment(), ...environment });
    const at = command.indexOf('--port');
    const words = [...(at === -1 ? command : command.toSpliced(at, 2)), '--port', `${this.#ports.get(name)}`];
    const running = this.#home.start(
      words.map((word) => this.#here(name, word)),
      {
        program: 'reeve',
        env: Object.fromEntries(env.map(([key, value]) => [key, this.#here(name, value)])),
        cwd: this.dir(name),
      },
    );
    this.#running.set(name, running);
    await running.until(`${name} is healthy`, async () => {
      const answer = await this.ask(name, 'GET', '/v1/health').catch(() => undefined);
      return answer?.json?.status === 'ok';
    });
  }

  /** The same word, where addresses and paths are those of this test. */
  #here(name: string, word: string): string {
    const volume = compose.services[name]?.volumes?.find((one) => one.includes(':/etc/reeve/'));
    const [source = '', target = '/etc/reeve/'] = volume?.split(':') ?? [];
    return word
      .replace(/^0\.0\.0\.0$/, '127.0.0.1')
      .replace('/run/secrets/', `${this.#home.path('secrets')}/`)
      .replace(target, resolve(DEPLOY, source))
      .replace(/(^|\/\/\/)\/data(?=\/|$)/, (_, before: string) => `${before}${this.dir(name)}`)
      .replace(/^http:\/\/([^:/]+):\d+/, (_, host: string) => {
        return `http://127.0.0.1:${this.#ports.get(host === '127.0.0.1' ? name : host)}`;
      });
  }

  ask(name: string, method: string, path: string, options: Ask = {}): Promise<Answer> {
    return ask(`127.0.0.1:${this.#ports.get(name)}`, method, path, options);
  }

  /** Starts a run and waits for its end. */
  async run(type: string, input: object, at = AT): Promise<{ run: Any; root: Any }> {
    const ref = { node_type_id: type, version: '0.3.8' };
    const body = { root_node_type_ref: ref, input };
    let { json: run } = await this.ask(at.gateway, 'POST', '/v1/runs', { body, token: CLIENT });
    await until(async () => {
      ({ json: run } = await this.ask(at.gateway, 'GET', `/v1/runs/${run.run_id}`, { token: CLIENT }));
      return run.state !== 'running';
    }, `the end of ${type}`);
    const path = `/v1/node-runs/${run.root_node_run_id}`;
    const { json: root } = await this.ask(at.coordinator, 'GET', path, { token: CLIENT });
    return { run, root };
  }

  /** The exit code of the image's health check, as it would run beside the service. */
  async healthCheck(name: string): Promise<number> {
    const [, ...args] = healthCommand();
    const url = compose.services[name]?.environment?.['REEVE_HEALTH_URL'] ?? '';
    const env = this.#home.env({ REEVE_HEALTH_URL: this.#here(name, url) });
    return promisify(execFile)(process.execPath, args, { env }).then(
      () => 0,
      ({ code }: { code: number }) => code,
    );
  }

  async stop(): Promise<void> {
    const all = [...this.#running.values()];
    for (const running of all) running.kill('SIGTERM');
    const codes = await Promise.all(all.map(async ({ ended }) => (await ended).code));
    expect(new Set(codes)).toEqual(new Set([0]));
  }
}
