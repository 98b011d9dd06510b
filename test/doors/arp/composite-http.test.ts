// The Composite Executor on real sockets, with a coordinator, a registry and a selection on others (contract arp §2, §5.2).
import { describe, expect } from 'vitest';
import { callbacksTo, type CallbackOptions } from '../../../src/doors/arp/composite/callbacks.ts';
import type { CompositeParts } from '../../../src/doors/arp/composite/executor.ts';
import { compositeClient } from '../../../src/doors/arp/clients/composite-client.ts';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { builtinTypes, STACK_VERSION } from '../../../src/doors/arp/registry/builtin-types.ts';
import { HttpCoordinator } from './composite-coordinator.ts';
import { begin, Scene, works, type Runs } from './composite-support.ts';
import { test, type Served, type Stack } from './support.ts';

const never: Runs = () => undefined;
const TWO_STEPS = { goal: "Echo 'hello', then hash it with SHA256" };

interface Opened {
  readonly coordinator: HttpCoordinator;
  readonly url: string;
  readonly scene: Scene;
  readonly service: Served;
}

async function opened(
  stack: Stack,
  runs: Runs,
  { options = {}, parts = {} }: { options?: CallbackOptions; parts?: Partial<CompositeParts> } = {},
): Promise<Opened> {
  const coordinator = new HttpCoordinator(runs);
  const { url } = await stack.serve(coordinator.group());
  const scene = new Scene(coordinator.coordinator, {
    coordinator: (endpoint, token) => callbacksTo(endpoint, token, options),
    ...parts,
  });
  return { coordinator, url, scene, service: await stack.composite(scene.executor) };
}

test('G42 over HTTP: begin answers at once, children run in order, the root succeeds', async ({ stack }) => {
  const registry = stack.registry();
  const { url: registryUrl } = await registry;
  registry.registry.seed(builtinTypes(STACK_VERSION));
  const nodeTypes = registryClient({ baseUrl: registryUrl });
  const { coordinator, url, scene, service } = await opened(stack, works, { parts: { nodeTypes } });
  const executor = compositeClient({ baseUrl: service.url });
  const request = begin(TWO_STEPS, {
    coordinator_endpoint: ` ${url}/v1/`.trim(),
    extensions: { idempotency_key: 'k' },
  });
  expect(await executor.begin(request)).toEqual({ accepted: true });
  await scene.executor.settled();
  expect(coordinator.coordinator.end).toMatchObject({
    state: 'succeeded',
    outputs: {
      child_node_runs: [{ outputs: { echo: 'hello' } }, { outputs: { sha256: 'hash of hello' } }],
    },
  });
  expect(coordinator.tokens.every((token) => token === undefined)).toBe(true);
  expect(scene.notes).toEqual([]);
});

test('G42 over HTTP: a child that fails stops the rest with child_failed', async ({ stack }) => {
  const error = { code: 'handler_error', message: 'no' };
  const { coordinator, url, scene, service } = await opened(stack, () => ({ state: 'failed', error }));
  await compositeClient({ baseUrl: service.url }).begin(begin(TWO_STEPS, { coordinator_endpoint: url }));
  await scene.executor.settled();
  expect(coordinator.coordinator.children).toHaveLength(1);
  expect(coordinator.coordinator.end).toMatchObject({
    state: 'failed',
    error: { code: 'child_failed', cause: error },
  });
});

test('a cancel over HTTP is 204, in progress or not', async ({ stack }) => {
  const { coordinator, url, scene, service } = await opened(stack, never);
  const executor = compositeClient({ baseUrl: service.url });
  await executor.begin(begin(TWO_STEPS, { coordinator_endpoint: url }));
  await coordinator.coordinator.until(() => coordinator.coordinator.children[0]);
  expect((await service.send('POST', '/v1/composite-node-runs/root:cancel')).status).toBe(204);
  await scene.executor.settled();
  expect(coordinator.coordinator.end).toMatchObject({ state: 'canceled' });
  await executor.cancel('root');
  await executor.cancel('a:b/c');
});

describe('H3 callbacks', () => {
  test('carry the assignment token', async ({ stack }) => {
    const options = { token: async () => 'own' };
    const { coordinator, url, scene } = await opened(stack, works, { options });
    await scene.drive(TWO_STEPS, { coordinator_endpoint: url, assignment_token: 'of-the-run' });
    expect([...new Set(coordinator.tokens)]).toEqual(['Bearer of-the-run']);
    expect(coordinator.coordinator.end?.state).toBe('succeeded');
  });

  test('else a token of our own, which only the configured coordinator gets', async ({ stack }) => {
    const { coordinator, url, scene } = await opened(stack, works, { options: { token: async () => 'own' } });
    await scene.drive(TWO_STEPS, { coordinator_endpoint: url, assignment_token: '' });
    expect([...new Set(coordinator.tokens)]).toEqual(['Bearer own']);
    const options = { token: async () => 'own', coordinatorUrl: 'http://127.0.0.1:9' };
    const other = await opened(stack, works, { options });
    const answer = await other.service.send(
      'POST',
      '/v1/composite-node-runs:begin',
      begin(TWO_STEPS, { coordinator_endpoint: other.url }),
    );
    expect([answer.status, answer.json.error.code]).toEqual([403, 'forbidden']);
    expect(other.coordinator.tokens).toEqual([]);
    await other.scene.drive(TWO_STEPS, { coordinator_endpoint: other.url, assignment_token: 'of-the-run' });
    expect(other.coordinator.coordinator.end?.state).toBe('succeeded');
  });
});

test('G3 a begin that does not fit, or names no http coordinator, is refused with what is wrong', async ({
  stack,
}) => {
  const { service } = await opened(stack, works);
  const refused = async (more: object): Promise<unknown> => {
    const answer = await service.send('POST', '/v1/composite-node-runs:begin', {
      ...begin(TWO_STEPS),
      ...more,
    });
    return [answer.status, answer.json.error.code, answer.json.error.details.errors[0].loc];
  };
  for (const coordinator_endpoint of ['ftp://h/', 'urn:x', 'http://h/?q=1'])
    expect(await refused({ coordinator_endpoint })).toEqual([
      400,
      'invalid_request',
      ['body', 'coordinator_endpoint'],
    ]);
  expect(await refused({ extensions: { bare: 1 } })).toEqual([
    400,
    'invalid_request',
    ['body', 'extensions', 'bare'],
  ]);
  expect(await refused({ assignment_token: null })).toEqual([
    400,
    'invalid_request',
    ['body', 'assignment_token'],
  ]);
});

test('a part that is missing makes the service down, and a begin 503', async ({ stack }) => {
  const { service } = await opened(stack, works, { parts: { strategy: undefined } });
  expect((await service.get('/v1/health')).json).toMatchObject({
    status: 'down',
    checks: [{ name: 'configuration', status: 'down', message: 'composite_llm_missing' }],
  });
  const answer = await service.send('POST', '/v1/composite-node-runs:begin', begin(TWO_STEPS));
  expect([answer.status, answer.json.error.code]).toEqual([503, 'composite_llm_missing']);
});
