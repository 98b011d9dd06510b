// `reeve runs`, `nodes` and `doctor --stack` against real services in real processes.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect } from 'vitest';
import type { ServiceKey } from '../../src/doors/arp/services.ts';
import { CLIENT, Issuer } from '../policy/auth/issuer.ts';
import { test, type Any, type Home, type RunOptions } from './rig.ts';

type Env = Record<string, string>;
const VERSION = '0.3.8';
const ECHO = `jarvis.core.echo@${VERSION}`;

async function listening(home: Home, argv: readonly string[], env: Env = {}): Promise<string> {
  const running = home.start([...argv, '--port', '0'], { program: 'reeve', env });
  await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
  return `http://${/listening on (\S+)/.exec(running.stdout)?.[1] ?? ''}`;
}

const serve = (home: Home, service: ServiceKey, env: Env = {}, ...flags: string[]): Promise<string> =>
  listening(home, ['serve', service, ...flags], env);
const up = (home: Home): Promise<string> => listening(home, ['up', '--dev-allow']);
const reeve = (env: Env = {}): RunOptions => ({ program: 'reeve', env });

/** Registry, executor and coordinator, each in a process, and how the environment names them. */
async function stack(home: Home): Promise<Env> {
  const [registry, atomic] = await Promise.all([
    serve(home, 'node-registry', { JARVIS_NODE_REGISTRY_SEED: 'true' }),
    serve(home, 'atomic-executor'),
  ]);
  const coordinator = await serve(home, 'run-coordinator', {
    JARVIS_POLICY_PROFILE: 'dev-allow',
    JARVIS_NODE_REGISTRY_URL: registry,
    JARVIS_ATOMIC_EXECUTOR_URL: atomic,
  });
  return {
    JARVIS_RUN_COORDINATOR_URL: coordinator,
    JARVIS_NODE_REGISTRY_URL: registry,
    JARVIS_ATOMIC_EXECUTOR_URL: atomic,
  };
}

const linesIn = (text: string): Any[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Any => JSON.parse(line));

describe.concurrent('runs', () => {
  test('a run is started, followed to its end, and looked at', async ({ home }) => {
    const options = reeve(await stack(home));
    const args = ['runs', 'start', 'jarvis.core.echo', '--input', 'echo=a b', '--run-id', 'r1'];
    const followed = await home.run([...args, '--tenant', 'acme', '--follow'], options);
    expect(followed).toMatchObject({ code: 0, stderr: '' });
    const [id, ...lines] = followed.stdout.trimEnd().split('\n');
    expect(id).toBe('r1');
    expect(lines.slice(0, 7).map((line) => line.trim().split(/\s+/)[2])).toEqual([
      'run_started',
      'node_run_assigned',
      'policy_decided',
      'policy_decided',
      'node_evaluated',
      'atomic_executed',
      'run_completed',
    ]);
    expect(lines[7]).toBe('r1  succeeded');
    expect(lines[8]).toMatch(new RegExp(`^${ECHO} · took .* · tenant acme$`));
    expect(lines[9]).toBe('outputs: {"echo":"a b"}');

    const got = await home.json(['runs', 'get', 'r1'], options);
    expect(got).toMatchObject({
      run: { run_id: 'r1', state: 'succeeded', run_context: { tenant_id: 'acme' } },
      root_node_run: { node_type_ref: { version: VERSION }, outputs: { echo: 'a b' } },
    });
    const events = linesIn((await home.run(['runs', 'events', 'r1', '--json'], options)).stdout);
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    for (const cursor of ['5', 'NQ=='])
      expect(
        linesIn(
          (await home.run(['runs', 'events', 'r1', '--json', '--follow', '--cursor', cursor], options))
            .stdout,
        ),
      ).toEqual(events.slice(5));
    expect((await home.json(['runs', 'tree', 'r1'], options)).root).toMatchObject({
      node_run_id: got.run.root_node_run_id,
      node_type_id: 'jarvis.core.echo',
      state: 'succeeded',
      children: [],
    });
  });

  test('what fails is told, and decides the exit code', async ({ home }) => {
    const url = await up(home);
    const options = reeve({ JARVIS_RUN_GATEWAY_URL: url });
    const hash = ['runs', 'start', 'jarvis.core.hash.sha256', '--input', 'no=text', '--run-id', 'bad'];
    const failed = await home.run([...hash, '--follow', '--json'], options);
    expect(failed).toMatchObject({
      code: 1,
      error: {
        code: 'E_RUN_FAILED',
        details: { run_id: 'bad', state: 'failed', run_error: { code: 'invalid_inputs' } },
      },
      json: { run: { state: 'failed' }, root_node_run: { state: 'failed' } },
    });
    const tree = await home.run(['runs', 'tree', 'bad'], options);
    expect(tree.stdout).toMatch(/^jarvis\.core\.hash\.sha256@\S+ {2}failed .*\n {2}invalid_inputs: /m);

    const following = home.start(
      ['runs', 'start', 'jarvis.core.sleep', '--input', 'seconds:=60', '--run-id', 's1', '--follow'],
      options,
    );
    await following.until('the run goes', () => following.stdout.includes('node.run.execute allow'));
    expect(await home.json(['runs', 'cancel', 's1'], options)).toMatchObject({ run: { state: 'canceled' } });
    expect(await following.ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('E_RUN_CANCELED: run s1 canceled'),
    });
    expect(await home.json(['runs', 'cancel', 's1'], options)).toMatchObject({ run: { state: 'canceled' } });

    expect(await home.fails([...hash], options)).toMatchObject({
      code: 'E_SERVICE_REFUSED',
      details: { service_code: 'run_already_exists', status: 409, url },
    });
    for (const verb of ['get', 'cancel', 'events', 'tree'])
      expect(await home.fails(['runs', verb, 'no/such run'], options)).toMatchObject({
        code: 'E_SERVICE_REFUSED',
        details: { service_code: 'run_not_found', status: 404 },
      });
  });

  test('the tree shows who created whom; a gateway tells less of it', async ({ home }) => {
    const url = await up(home);
    const gateway = await serve(home, 'run-gateway', { JARVIS_RUN_COORDINATOR_URL: url });
    const start = ['runs', 'start', 'jarvis.composite.planner.general', '--run-id', 'c1', '--follow'];
    const started = await home.run(
      [...start, '--url', url, '--input', "goal=Echo 'a'. Then hash it."],
      reeve(),
    );
    expect(started).toMatchObject({ code: 0 });
    const tree = await home.run(['runs', 'tree', 'c1', '--url', url], reeve());
    expect(tree.stderr).toBe('');
    const rows = tree.stdout.split('\n').slice(4);
    expect(rows.map((row) => row.split('  ')[0])).toEqual([
      `jarvis.composite.planner.general@${VERSION}`,
      `├─ ${ECHO}`,
      `└─ jarvis.core.hash.sha256@${VERSION}`,
      '',
    ]);
    const whole = (await home.json(['runs', 'tree', 'c1', '--url', url], reeve())).root;
    const byGateway = await home.run(['runs', 'tree', 'c1', '--url', gateway, '--json'], reeve());
    expect(byGateway.stderr).toContain('tells of no NodeRuns');
    const named = (node: Any): Any => ({
      id: node.node_run_id,
      state: node.state,
      children: node.children.map(named),
    });
    expect(named(byGateway.json.root)).toEqual(named(whole));
    expect(byGateway.json.root.children[0].node_type_id).toBe('jarvis.core.echo');
    // Where the coordinator is known, it is asked.
    const both = reeve({ JARVIS_RUN_GATEWAY_URL: gateway, JARVIS_RUN_COORDINATOR_URL: url });
    expect((await home.json(['runs', 'tree', 'c1'], both)).root).toEqual(whole);
  });

  test('a signal ends the follower and not the run; a reader that goes away ends it too', async ({
    home,
  }) => {
    const options = reeve({ JARVIS_RUN_GATEWAY_URL: await up(home) });
    const start = ['runs', 'start', 'jarvis.core.sleep', '--input', '{"seconds":60}'];
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const running = home.start([...start, '--run-id', signal, '--follow'], options);
      await running.until('events come', () => running.stdout.includes('run_started'));
      running.kill(signal);
      expect(await running.ended).toMatchObject({ code, stderr: `the run goes on: ${signal}\n` });
      expect(await home.json(['runs', 'get', signal], options)).toMatchObject({ run: { state: 'running' } });
    }
    const events = ['runs', 'events', 'SIGINT', '--follow', '--json'];
    const under = ['sh', '-c', '"$@" | head -n 1', 'sh'];
    const first = await home.run(events, { ...options, under });
    expect(linesIn(first.stdout)).toMatchObject([{ seq: 1 }]);
  });

  test('arguments are checked before anybody is asked', async ({ home }) => {
    const options = reeve({ JARVIS_RUN_GATEWAY_URL: 'http://127.0.0.1:9' });
    const start = ['runs', 'start', ECHO];
    await home.write('list.yaml', '- 1\n');
    for (const [more, message] of [
      [['--input', '{'], '--input is no JSON: '],
      [['--input', '[1]'], '--input is no JSON object'],
      [['--input', '@list.yaml'], '--input is no JSON object'],
      [['--input', '@absent.json'], '--input names a file that does not exist'],
      [['--input', 'n:=x'], '--input n is no JSON'],
      [
        ['--constraints', '{"structural":{"max_depth":-1}}'],
        '--constraints is not valid: structural.max_depth',
      ],
      [['--url', 'ftp://x'], '--url must be an http or https URL'],
      [['--token-file', 'absent'], 'absent'],
    ] as const)
      expect(await home.fails([...start, ...more], options)).toMatchObject({
        code: 'E_INVALID_INPUT_SCHEMA',
        message: expect.stringContaining(message),
      });
    expect(await home.fails(['runs', 'events', 'x', '--cursor', 'here'], options)).toMatchObject({
      details: { flag: '--cursor', value: 'here' },
    });
    expect(await home.fails(['runs', 'start', 'jarvis.core.echo'], options)).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      message: expect.stringMatching(/write jarvis\.core\.echo@<version>, or set JARVIS_NODE_REGISTRY_URL/),
    });
    expect(await home.fails(start, options)).toMatchObject({
      code: 'E_SERVICE_UNAVAILABLE',
      message: expect.stringMatching(
        /the run service at http:\/\/127\.0\.0\.1:9 cannot be asked: ECONNREFUSED; start one \(reeve serve run-/,
      ),
      details: { url: 'http://127.0.0.1:9', reason: 'ECONNREFUSED' },
    });
  });

  test('a token of a file, of the environment, or of an issuer', async ({ home }) => {
    await home.write('token', 'let-me-in\n');
    const shared = await serve(home, 'node-registry', {}, '--auth-token-file', 'token');
    const list = (url: string): string[] => ['nodes', 'list', '--url', url];
    expect(await home.fails(list(shared), reeve())).toMatchObject({
      code: 'E_SERVICE_REFUSED',
      details: { status: 401, service_code: 'unauthorized' },
    });
    const none = { node_types: [] };
    expect(await home.json([...list(shared), '--token-file', 'token'], reeve())).toEqual(none);
    expect(await home.json(list(shared), reeve({ REEVE_ARP_TOKEN_FILE: 'token' }))).toEqual(none);

    const issuer = new Issuer();
    await issuer.start();
    try {
      const auth = { ARP_AUTH_ISSUER: issuer.url, ARP_AUTH_AUDIENCE: 'arp-node-registry' };
      const url = await serve(home, 'node-registry', auth);
      const client = {
        ARP_AUTH_TOKEN_ENDPOINT: `${issuer.url}/protocol/openid-connect/token`,
        ARP_AUTH_CLIENT_ID: CLIENT.id,
        ARP_AUTH_CLIENT_SECRET: CLIENT.secret,
      };
      const asked = [...list(url), '--audience', 'arp-node-registry'];
      expect(await home.json(asked, reeve(client))).toEqual(none);
      expect(await home.fails(list(url), reeve(client))).toMatchObject({ details: { status: 401 } });
      expect(await home.fails(asked, reeve({ ...client, ARP_AUTH_CLIENT_SECRET: 'wrong' }))).toMatchObject({
        details: { service_code: 'token_request_failed' },
      });
    } finally {
      await issuer.http.stop();
    }
  });

  test('what a service says reaches the terminal without its control characters', async ({ home }) => {
    const evil = '\u001b]0;owned\u0007';
    const server = createServer((request, response) => {
      const event = { run_id: 'x', seq: 1, type: `t${evil}`, data: { text: evil } };
      const isEvents = request.url?.endsWith('/events') === true;
      response.statusCode = isEvents ? 200 : 409;
      response.end(JSON.stringify(isEvents ? event : { error: { code: `c${evil}`, message: `m${evil}` } }));
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const said = await home.run(['runs', 'get', 'x', '--url', url], reeve());
      expect(said).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(String.raw`c\u001b]0;owned\u0007: m`),
      });
      const events = await home.run(['runs', 'events', 'x', '--url', url], reeve());
      expect(events.code).toBe(0);
      expect(said.stderr + events.stdout).not.toContain('\u001b');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe.concurrent('nodes', () => {
  const A = { node_type_id: 'my.a', version: '1.0.0', kind: 'atomic', description: 'does A' };

  test('types are checked, published once, and listed', async ({ home }) => {
    const options = reeve({ JARVIS_NODE_REGISTRY_URL: await serve(home, 'node-registry') });
    const publish = (...args: string[]): string[] => ['nodes', 'publish', ...args];
    await home.write('a.json', JSON.stringify(A));
    await home.write('more.yaml', 'node_type_id: my.b\nversion: 1.0.0\nkind: composite\n');
    await home.write('bad.json', JSON.stringify([A, { ...A, kind: 'odd' }]));
    expect(await home.fails(publish('more.yaml', 'bad.json'), options)).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      message: expect.stringContaining('bad.json [1] is not valid: kind must be one of atomic, composite'),
    });
    expect(await home.json(['nodes', 'list'], options)).toEqual({ node_types: [] });

    expect((await home.run(publish('a.json', 'more.yaml'), options)).stdout).toBe(
      'published  my.a@1.0.0\npublished  my.b@1.0.0\n',
    );
    expect(await home.fails(publish('a.json'), options)).toMatchObject({
      code: 'E_SERVICE_REFUSED',
      details: {
        service_code: 'node_type_already_exists',
        status: 409,
        service_details: { identical: true },
      },
    });
    const again = await home.json(publish('a.json', 'more.yaml', '--skip-existing'), options);
    expect(again.node_types.map(({ outcome }: Any) => outcome)).toEqual(['skipped', 'skipped']);
    await home.write('a.json', JSON.stringify({ ...A, description: 'does B' }));
    expect(await home.fails(publish('a.json', '--skip-existing'), options)).toMatchObject({
      message: expect.stringContaining('with other content; give it a new version'),
      details: { service_details: { identical: false } },
    });

    const listed = await home.run(['nodes', 'list', '--q', ' MY. ', '--kind', 'atomic'], options);
    expect(listed.stdout).toBe(
      'NODE TYPE  VERSION  KIND    DESCRIPTION\nmy.a       1.0.0    atomic  does A\n',
    );
    expect((await home.run(['nodes', 'list', '--q', 'zzz'], options)).stdout).toBe('no node types fit\n');
  });

  test('the registry of a stack in one process is found at its URL', async ({ home }) => {
    const url = await up(home);
    await home.write('a.json', JSON.stringify(A));
    await home.json(['nodes', 'publish', 'a.json', '--url', url], reeve());
    const found = await home.json(['nodes', 'list', '--q', 'my.', '--url', url], reeve());
    expect(found).toEqual({ node_types: [A] });
  });
});

describe.concurrent('doctor --stack', () => {
  test('asks every service that the environment names', async ({ home }) => {
    const env = await stack(home);
    const well = await home.json(['doctor', '--stack'], reeve(env));
    expect(well).toMatchObject({ profile: 'stack', ok: true });
    expect(well.checks.map(({ name, ok, status }: Any) => [name, ok, status])).toEqual([
      ['run-coordinator', true, 'ok'],
      ['atomic-executor', true, 'ok'],
      ['node-registry', true, 'ok'],
    ]);
    const { JARVIS_NODE_REGISTRY_URL: registry = '' } = env;
    const ill = await home.run(
      ['doctor', '--stack'],
      reeve({ ...env, JARVIS_PDP_URL: registry, JARVIS_SELECTION_URL: 'http://127.0.0.1:9' }),
    );
    expect(ill.code).toBe(1);
    expect(ill.stdout).toMatch(
      /^doctor profile=stack ok=false checks=5\nSERVICE +STATUS +VERSION +MS +CHECKS +URL\n/,
    );
    expect(ill.stdout).toContain(
      '- selection ok=false severity=critical ECONNREFUSED\n  remediation=start it (reeve serve selection), or correct JARVIS_SELECTION_URL\n',
    );
    expect(ill.stdout).toContain('- pdp ok=false severity=critical arp-jarvis-node-registry answers there\n');
    const gateway = await serve(home, 'run-gateway', { JARVIS_RUN_COORDINATOR_URL: 'http://127.0.0.1:9' });
    const degraded = await home.json(['doctor', '--stack'], reeve({ JARVIS_RUN_GATEWAY_URL: gateway }));
    expect(degraded).toMatchObject({
      ok: true,
      checks: [
        {
          name: 'run-gateway',
          ok: false,
          severity: 'warning',
          status: 'degraded',
          remediation: 'look at run_coordinator',
        },
      ],
    });
  });

  test('finds the services of a stack in one process', async ({ home }) => {
    const url = await up(home);
    const report = await home.json(['doctor', '--stack', '--url', url], reeve());
    expect(report.ok).toBe(true);
    expect(report.checks.map(({ name }: Any) => name)).toEqual(
      expect.arrayContaining(['run-coordinator', 'atomic-executor', 'node-registry', 'selection', 'pdp']),
    );
    expect(report.checks.every(({ version }: Any) => /^\d/.test(version))).toBe(true);
    const secret = 'http://me:secret@127.0.0.1:9';
    const nobody = await home.run(['doctor', '--stack', '--url', secret, '--json'], reeve());
    const refused = await home.fails(['runs', 'get', 'x', '--url', secret], reeve());
    expect(nobody.stdout + JSON.stringify(refused)).not.toContain('secret');
    expect(nobody).toMatchObject({
      code: 1,
      json: { ok: false, checks: [{ name: 'stack', status: 'down' }] },
    });
    expect(await home.fails(['doctor', '--stack'], reeve())).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
    });
    expect(await home.fails(['doctor', '--url', url], reeve())).toMatchObject({ details: { flag: '--url' } });
  });
});
