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
