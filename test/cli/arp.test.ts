// `reeve serve <service>` and `reeve policy test`, from real processes (contract arp §2, §5, §6).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { SERVICES, type ServiceKey } from '../../src/doors/arp/services.ts';
import { ask, type Answer } from '../server/client.ts';
import { test, type Any, type Home, type Running } from './rig.ts';

interface Served {
  readonly running: Running;
  readonly address: string;
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
}

async function serve(home: Home, service: ServiceKey, env: Record<string, string> = {}): Promise<Served> {
  const running = home.start(['serve', service, '--port', '0'], { program: 'reeve', env });
  await running.until('the service listens', () => /listening on \S+\n/.test(running.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
  return {
    running,
    address,
    get: (path) => ask(address, 'GET', path),
    post: (path, body) => ask(address, 'POST', path, { body }),
  };
}

const COMPOSITE = { ARP_SELECTION_URL: 'http://s', ARP_NODE_REGISTRY_URL: 'http://r' };
const EXAMPLES = join(import.meta.dirname, '../../examples/arp-policy');

describe.concurrent('serve <service>', () => {
  test('G1 each one serves where the environment says, keeps its data below, and stops on a signal', async ({
    home,
  }) => {
    const env = {
      JARVIS_NODE_REGISTRY_DB_URL: 'sqlite:///./registry.sqlite',
      JARVIS_RUN_STORE_DB_URL: `sqlite:///${home.path('abs/run.sqlite')}`,
      JARVIS_SELECTION_STRATEGY: 'deterministic',
    };
    const coordinator = await serve(home, 'run-coordinator', env);
    const asking = { ...env, JARVIS_RUN_COORDINATOR_URL: `http://${coordinator.address}/v1` };
    const opened: [ServiceKey, Served][] = [];
    for (const key of Object.keys(SERVICES) as ServiceKey[]) {
      // The composite executor does not start without addresses, and asks nobody before it has work.
      const more = key === 'composite-executor' ? COMPOSITE : {};
      opened.push([
        key,
        key === 'run-coordinator' ? coordinator : await serve(home, key, { ...asking, ...more }),
      ]);
    }
    for (const [key, { get, running }] of opened) {
      expect((await get('/v1/version')).json.service_name).toBe(SERVICES[key].name);
      // selection has no registry here
      expect((await get('/v1/health')).json.status).toBe(key === 'selection' ? 'degraded' : 'ok');
      running.kill('SIGTERM');
      expect(await running.ended).toMatchObject({ code: 0, stderr: '' });
    }
    const made = [
      'registry.sqlite',
      'abs/run.sqlite',
      'runs/jarvis_event_store.sqlite',
      'artifacts/artifacts.sqlite',
    ];
    expect(made.filter((name) => !existsSync(home.path(name)))).toEqual([]);
  });

  test('G39 registry and PDP as two processes: seeded types, a policy file, a decision', async ({ home }) => {
    const registry = await serve(home, 'node-registry', {
      JARVIS_NODE_REGISTRY_SEED: 'true',
      STACK_VERSION: '1.2.3',
    });
    const types = (await registry.get('/v1/node-types')).json;
    expect(types.map((type: Any) => type.version)).toEqual(Array.from({ length: 7 }, () => '1.2.3'));
    const pdp = await serve(home, 'pdp', {
      ARP_POLICY_PATH: join(EXAMPLES, 'policy.json'),
      JARVIS_NODE_REGISTRY_URL: `http://${registry.address}/v1/`,
    });
    const request = {
      action: 'run.start',
      node_type_ref: { node_type_id: 'jarvis.core.echo', version: '1.2.3' },
    };
    expect((await pdp.post('/v1/policy:decide', request)).json).toMatchObject({ decision: 'allow' });
    registry.running.kill('SIGKILL');
    await registry.running.ended;
    expect((await pdp.post('/v1/policy:decide', request)).json).toMatchObject({
      decision: 'deny',
      reason_code: 'node_registry_unavailable',
    });
  });

  test.for([
    ['run-store', { JARVIS_RUN_STORE_DB_URL: 'postgres://u:secret@h/d' }, 'JARVIS_RUN_STORE_DB_URL'],
    ['run-store', { JARVIS_RUN_STORE_MAX_SIZE_MB: '-1' }, 'JARVIS_RUN_STORE_MAX_SIZE_MB'],
    ['event-stream', { JARVIS_EVENT_RETENTION_DAYS: 'soon' }, 'JARVIS_EVENT_RETENTION_DAYS'],
    ['artifact-store', { JARVIS_ARTIFACT_MAX_SIZE_MB: '0' }, 'JARVIS_ARTIFACT_MAX_SIZE_MB'],
    ['composite-executor', { JARVIS_SELECTION_URL: 'http://s' }, 'JARVIS_NODE_REGISTRY_URL'],
    ['composite-executor', { ARP_NODE_REGISTRY_URL: 'http://r' }, 'JARVIS_SELECTION_URL'],
    ['composite-executor', { JARVIS_MAX_CONCURRENCY: 'some' }, 'JARVIS_MAX_CONCURRENCY'],
    ['composite-executor', { ...COMPOSITE, JARVIS_COMPOSITE_STRATEGY: 'best' }, 'JARVIS_COMPOSITE_STRATEGY'],
    ['composite-executor', { ...COMPOSITE, ARP_SELECTION_URL: 'no url' }, 'ARP_SELECTION_URL'],
    ['pdp', { JARVIS_NODE_REGISTRY_URL: 'registry:8084' }, 'JARVIS_NODE_REGISTRY_URL'],
  ] as const)(
    'refuses to start with what it cannot read: %s %j',
    async ([service, env, variable], { home }) => {
      const error = await home.fails(['serve', service, '--port', '0'], {
        program: 'reeve',
        env: { ...env },
      });
      expect([error.code, error.details.variable]).toEqual(['E_INVALID_INPUT_SCHEMA', variable]);
      expect(JSON.stringify(error)).not.toContain('secret');
    },
  );

  test('refuses to be reachable without a token', async ({ home }) => {
    const error = await home.fails(['serve', 'pdp', '--host', '0.0.0.0', '--port', '0'], {
      program: 'reeve',
    });
    expect(error.code).toBe('E_UNSAFE_OPERATION');
    const unknown = await home.fails(['serve', 'pdq'], { program: 'reeve' });
    expect(unknown.code).toBe('E_INVALID_INPUT_SCHEMA');
  });

  test('H22 H23 kill -9 under load: what was acknowledged is there, and no number is given twice', async ({
    home,
  }) => {
    const acknowledged = new Map<number, string>();
    let sent = 0;
    for (let life = 1; life <= 3; life += 1) {
      const service = await serve(home, 'event-stream');
      const goal = acknowledged.size + 60;
      const write = async (writer: number): Promise<void> => {
        for (;;) {
          sent += 1;
          const name = `${life}-${writer}-${sent}`;
          const events = [0, 1].map((at) => ({ run_id: 'r', type: 'x', data: { name: `${name}-${at}` } }));
          const answer = await service.post('/v1/run-events', { events }).catch(() => undefined);
          if (answer?.status !== 200) return; // killed
          for (const [at, { seq }] of answer.json.items.entries()) {
            expect(acknowledged.has(seq), `${seq} twice`).toBe(false);
            acknowledged.set(seq, `${name}-${at}`);
          }
          if (acknowledged.size >= goal) service.running.kill('SIGKILL');
        }
      };
      await Promise.all([1, 2, 3, 4].map(write));
      await service.running.ended;
    }
    const service = await serve(home, 'event-stream');
    const lines = (await service.get('/v1/runs/r/events')).text.trimEnd().split('\n');
    const stored = lines.map((line): Any => JSON.parse(line));
    expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, at) => at + 1));
    const names = new Map(stored.map(({ seq, data }) => [seq, data.name]));
    expect([...acknowledged].filter(([seq, name]) => names.get(seq) !== name)).toEqual([]);
    expect(acknowledged.size).toBeGreaterThanOrEqual(180);
  });
});

describe.concurrent('policy test', () => {
  const file = join(EXAMPLES, 'policy.json');
  const echo = { action: 'run.start', node_type_ref: { node_type_id: 'jarvis.core.echo', version: '0.3.8' } };

  test('G39 shows decision, reason, the statement that decided, and the hash', async ({ home }) => {
    const { code, stdout } = await home.run(['policy', 'test', file, '--request', JSON.stringify(echo)], {
      program: 'reeve',
    });
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(0, 4)).toEqual([
      'allow explicit_allow',
      '  action:    run.start',
      '  resource:  node_type:jarvis.core.echo',
      '  statement: 2 of 2 (AllowFirstPartyAtomics)',
    ]);
    expect(stdout).toMatch(/\n {2}policy: {4}statements sha256:[0-9a-f]{64}\n$/);
    await home.write('request.json', JSON.stringify({ action: 'run.start', run_id: 'r' }));
    const json = await home.json([
      'policy',
      'test',
      join(EXAMPLES, 'policy.cedar'),
      '--request',
      'request.json',
    ]);
    expect(json).toEqual({
      decision: 'deny',
      reason_code: 'default_deny',
      statements: [],
      action: 'run.start',
      resource: 'run:r',
      language: 'cedar',
      policy_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test('takes a node type that is described for it', async ({ home }) => {
    const request = { ...echo, node_type_ref: { node_type_id: 'mine', version: '1' } };
    const args = ['policy', 'test', file, '--request', JSON.stringify(request)];
    expect((await home.fails(args)).details.flag).toBe('--node-type');
    const type = { node_type_id: 'mine', version: '1', kind: 'composite' };
    expect(await home.json([...args, '--node-type', JSON.stringify(type)])).toMatchObject({
      message: 'AllowComposites',
    });
  });

  test('refuses what is no policy or no request, and says why', async ({ home }) => {
    await home.write(
      'bad.json',
      '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","NotAction":"x"}]}',
    );
    const refused = await home.fails(['policy', 'test', 'bad.json', '--request', '{"action":"a"}']);
    expect(refused.details.field).toBe('/Statement/0/NotAction');
    for (const request of ['', '{', '{}', '{"action":"a","x":1}', 'absent.json'])
      expect((await home.fails(['policy', 'test', file, '--request', request])).details.flag).toBe(
        '--request',
      );
    expect((await home.fails(['policy', 'test', 'absent.json', '--request', '{"action":"a"}'])).code).toBe(
      'E_INVALID_INPUT_SCHEMA',
    );
  });
});
