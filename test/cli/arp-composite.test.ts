// `reeve serve composite-executor` with registry and selection as processes, and a coordinator in the test (G42).
import { expect } from 'vitest';
import type { ServiceKey } from '../../src/doors/arp/services.ts';
import { HttpCoordinator } from '../doors/arp/composite-coordinator.ts';
import { begin, LIMITS, works, type Runs } from '../doors/arp/composite-support.ts';
import { Stack } from '../doors/arp/support.ts';
import { CLIENT, Issuer } from '../policy/auth/issuer.ts';
import { ask } from '../server/client.ts';
import { test as base, type Home, type Running } from './rig.ts';

const test = base.extend('stack', async ({ home }, { onCleanup }) => {
  const stack = new Stack(home.path('stack'));
  onCleanup(() => stack.close());
  return stack;
});

const BEGIN = '/v1/composite-node-runs:begin';
const TWO_STEPS = { goal: "Echo 'hello', then hash it with SHA256" };

async function serve(
  home: Home,
  service: ServiceKey,
  env: Record<string, string>,
): Promise<{ readonly running: Running; readonly address: string; readonly url: string }> {
  const running = home.start(['serve', service, '--port', '0'], { program: 'reeve', env });
  await running.until('the service listens', () => /listening on \S+\n/.test(running.stdout));
  const address = /listening on (\S+)/.exec(running.stdout)?.[1] ?? '';
  return { running, address, url: `http://${address}` };
}

async function coordinated(stack: Stack, runs: Runs) {
  const http = new HttpCoordinator(runs);
  const { url } = await stack.serve(http.group());
  return { coordinator: http.coordinator, tokens: http.tokens, url };
}

test('G42 by words alone: a goal is planned, children run in order, the root succeeds', async ({
  home,
  stack,
}) => {
  const { coordinator, url } = await coordinated(stack, works);
  const registry = await serve(home, 'node-registry', { JARVIS_NODE_REGISTRY_SEED: 'true' });
  const others = { JARVIS_NODE_REGISTRY_URL: registry.url };
  const selection = await serve(home, 'selection', { ...others, JARVIS_SELECTION_STRATEGY: 'deterministic' });
  const { address, running } = await serve(home, 'composite-executor', {
    ...others,
    ...LIMITS,
    JARVIS_SELECTION_URL: selection.url,
  });
  const body = begin(TWO_STEPS, { coordinator_endpoint: `${url}/` });
  expect((await ask(address, 'POST', BEGIN, { body })).json).toEqual({ accepted: true });
  const end = await coordinator.until(() => coordinator.end);
  expect(end).toMatchObject({
    state: 'succeeded',
    outputs: { child_node_runs: [{ outputs: { echo: 'hello' } }, { outputs: { sha256: 'hash of hello' } }] },
  });
  running.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 0, stderr: '' });
});

test.for(['SIGTERM', 'SIGKILL'] as const)(
  'H29 after %s another process goes on where the first one stopped',
  async (signal, { home, stack }) => {
    const { coordinator, url } = await coordinated(stack, (node) =>
      node.node_type_ref.node_type_id === 'jarvis.core.echo' ? undefined : works(node),
    );
    const registry = await serve(home, 'node-registry', { JARVIS_NODE_REGISTRY_SEED: 'true' });
    const others = { JARVIS_NODE_REGISTRY_URL: registry.url };
    const selection = await serve(home, 'selection', {
      ...others,
      JARVIS_SELECTION_STRATEGY: 'deterministic',
    });
    const env = { ...others, ...LIMITS, JARVIS_SELECTION_URL: selection.url };
    const body = begin(TWO_STEPS, { coordinator_endpoint: url });
    const first = await serve(home, 'composite-executor', env);
    await ask(first.address, 'POST', BEGIN, { body });
    const child = await coordinator.until(() => coordinator.children[0]);
    first.running.kill(signal);
    await first.running.ended;
    expect(coordinator.completions).toEqual([]);
    await coordinator.complete(child.node_run_id, { state: 'succeeded', outputs: { echo: 'hello' } });
    const second = await serve(home, 'composite-executor', env);
    await ask(second.address, 'POST', BEGIN, { body });
    expect(await coordinator.until(() => coordinator.end)).toMatchObject({ state: 'succeeded' });
    expect(coordinator.specs.map((spec) => spec.idempotency_key)).toEqual(['root:S1', 'root:S2']);
  },
);

test('H3 H25 with an issuer: tokens of its own, and the token of the run for the coordinator', async ({
  home,
  stack,
}) => {
  const issuer = new Issuer();
  await issuer.start();
  try {
    const { coordinator, tokens, url } = await coordinated(stack, works);
    const common = { ARP_AUTH_ISSUER: issuer.url };
    const registry = await serve(home, 'node-registry', {
      ...common,
      ARP_AUTH_AUDIENCE: 'arp-node-registry',
      JARVIS_NODE_REGISTRY_SEED: 'true',
    });
    const client = { ARP_AUTH_CLIENT_ID: CLIENT.id, ARP_AUTH_CLIENT_SECRET: CLIENT.secret };
    const named = {
      JARVIS_NODE_REGISTRY_URL: registry.url,
      JARVIS_NODE_REGISTRY_AUDIENCE: 'arp-node-registry',
    };
    const selection = await serve(home, 'selection', {
      ...common,
      ...client,
      ...named,
      ARP_AUTH_AUDIENCE: 'arp-selection',
      JARVIS_SELECTION_STRATEGY: 'deterministic',
    });
    const env = {
      ...common,
      ...named,
      ...LIMITS,
      ARP_AUTH_AUDIENCE: 'arp-composite-executor',
      JARVIS_SELECTION_URL: selection.url,
      JARVIS_SELECTION_AUDIENCE: 'arp-selection',
    };
    const { address } = await serve(home, 'composite-executor', { ...env, ...client });
    const token = await issuer.sign({ aud: 'arp-composite-executor' });
    const body = begin(TWO_STEPS, { coordinator_endpoint: url, assignment_token: 'of-the-run' });
    expect((await ask(address, 'POST', BEGIN, { body })).status).toBe(401);
    expect((await ask(address, 'POST', BEGIN, { body, token })).json).toEqual({ accepted: true });
    expect(await coordinator.until(() => coordinator.end)).toMatchObject({ state: 'succeeded' });
    expect([...new Set(tokens)]).toEqual(['Bearer of-the-run']);
    const refused = await home.fails(['serve', 'composite-executor', '--port', '0'], {
      program: 'reeve',
      env,
    });
    expect(refused.details.variable).toBe('ARP_AUTH_CLIENT_ID');
  } finally {
    await issuer.http.stop();
  }
});
