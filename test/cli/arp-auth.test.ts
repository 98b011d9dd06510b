// The services of ARP with tokens of an issuer, from real processes (contract arp §5.1, §5.2).
import { expect } from 'vitest';
import type { ServiceKey } from '../../src/doors/arp/services.ts';
import { CLIENT, Issuer } from '../policy/auth/issuer.ts';
import { ask } from '../server/client.ts';
import { test as base, type Home } from './rig.ts';

const test = base.extend('issuer', async ({ home }, { onCleanup }) => {
  void home; // it is cleaned up after us
  const issuer = new Issuer();
  await issuer.start();
  onCleanup(() => issuer.http.stop());
  return issuer;
});

async function serve(home: Home, service: ServiceKey, env: Record<string, string>): Promise<string> {
  const running = home.start(['serve', service, '--port', '0'], { program: 'reeve', env });
  await running.until('the service listens', () => /listening on \S+\n/.test(running.stdout));
  return /listening on (\S+)/.exec(running.stdout)?.[1] ?? '';
}

test('G33 H25 a registry lets in who has a token, and the decision point gets its own for it', async ({
  home,
  issuer,
}) => {
  const common = { ARP_AUTH_ISSUER: issuer.url };
  const registry = await serve(home, 'node-registry', {
    ...common,
    ARP_AUTH_AUDIENCE: 'arp-jarvis-noderegistry',
    JARVIS_NODE_REGISTRY_SEED: 'true',
    STACK_VERSION: '1.0.0',
  });
  for (const path of ['/v1/health', '/v1/version'])
    expect((await ask(registry, 'GET', path)).status).toBe(200);
  const refused = await ask(registry, 'GET', '/v1/node-types');
  expect(refused).toMatchObject({
    status: 401,
    json: { error: { code: 'unauthorized', message: 'Missing Authorization header' } },
  });
  expect(refused.headers['www-authenticate']).toBe(
    'Bearer error="invalid_request", error_description="Missing Authorization header"',
  );
  const token = await issuer.sign({ aud: 'arp-jarvis-noderegistry' });
  expect((await ask(registry, 'GET', '/v1/node-types', { token })).json).toHaveLength(7);

  await home.write('policy.json', '{"Statement":{"Effect":"Allow","Action":"*","Resource":"node_type:*"}}');
  const decision = {
    action: 'run.start',
    node_type_ref: { node_type_id: 'jarvis.core.echo', version: '1.0.0' },
  };
  const pdp = {
    ...common,
    ARP_AUTH_SERVICE_ID: 'arp-jarvis-pdp',
    ARP_POLICY_PATH: home.path('policy.json'),
    JARVIS_NODE_REGISTRY_URL: `http://${registry}`,
  };
  const decide = async (secret: string): Promise<unknown> => {
    const address = await serve(home, 'pdp', {
      ...pdp,
      ARP_AUTH_CLIENT_ID: CLIENT.id,
      ARP_AUTH_CLIENT_SECRET: secret,
    });
    const own = await issuer.sign({ aud: 'arp-jarvis-pdp' });
    return (await ask(address, 'POST', '/v1/policy:decide', { body: decision, token: own })).json;
  };
  expect(await decide(CLIENT.secret)).toMatchObject({ decision: 'allow' });
  expect(await decide('wrong')).toMatchObject({ decision: 'deny', reason_code: 'token_request_failed' });
  const started = await home.run(['serve', 'pdp', '--port', '0', '--json'], { program: 'reeve', env: pdp });
  expect(started).toMatchObject({
    code: 6,
    error: { message: expect.stringContaining('ARP_AUTH_CLIENT_ID is not set') },
  });
});

test('G34 the gateway asks on behalf of who asks it, and as itself for who brings no token', async ({
  home,
  issuer,
}) => {
  const common = { ARP_AUTH_ISSUER: issuer.url, JARVIS_POLICY_PROFILE: 'dev-allow' };
  const coordinator = await serve(home, 'run-coordinator', {
    ...common,
    ARP_AUTH_AUDIENCE: 'arp-run-coordinator',
  });
  expect((await ask(coordinator, 'GET', '/v1/runs/x')).json.error.code).toBe('unauthorized');
  const gateway = await serve(home, 'run-gateway', {
    ...common,
    ARP_AUTH_AUDIENCE: 'arp-run-gateway',
    ARP_AUTH_MODE: 'optional',
    ARP_AUTH_CLIENT_ID: CLIENT.id,
    ARP_AUTH_CLIENT_SECRET: CLIENT.secret,
    JARVIS_RUN_COORDINATOR_URL: `http://${coordinator}`,
  });
  const body = { root_node_type_ref: { node_type_id: 'atomic.x', version: '1' }, input: {} };
  const token = await issuer.sign({ aud: 'arp-run-gateway', sub: 'ada' });
  const asAda = { ...body, run_context: { actor: { type: 'user', id: 'ada' } } };
  const exchanged = await ask(gateway, 'POST', '/v1/runs', { body: asAda, token });
  expect(exchanged).toMatchObject({ status: 200, json: { state: 'running' } });
  const asItself = await ask(gateway, 'POST', '/v1/runs:start', { body });
  expect(asItself).toMatchObject({ status: 200, json: { state: 'running' } });
  // Whoever it is, the coordinator only believes the token.
  const refused = await ask(gateway, 'POST', '/v1/runs', { body: asAda });
  expect(refused).toMatchObject({ status: 403, json: { error: { code: 'forbidden' } } });
  const defect = await ask(gateway, 'GET', '/v1/runs/x', { token: 'no.token.atall' });
  expect(defect).toMatchObject({ status: 401, json: { error: { code: 'unauthorized' } } });
  const health = await ask(gateway, 'GET', '/v1/health');
  expect(health.json).toMatchObject({ status: 'ok' });
});
