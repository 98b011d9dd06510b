// What all services of ARP have in common, on real sockets.
import { describe, expect } from 'vitest';
import { SERVICES, type ServiceKey } from '../../../src/doors/arp/services.ts';
import { ERROR_ENVELOPE, HEALTH, VERSION_INFO } from '../../../src/doors/arp/wire/common.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { ask } from '../../server/client.ts';
import { openCoordinator, openGateway } from './coordinator-rig.ts';
import { Scene } from './composite-support.ts';
import { hasNull, test, type Served, type Stack } from './support.ts';

const OPEN: Readonly<Record<ServiceKey, (stack: Stack) => Promise<Served>>> = {
  'run-gateway': async (stack) => (await openGateway(stack)).gateway,
  'run-coordinator': (stack) => openCoordinator(stack),
  'composite-executor': (stack) => stack.composite(new Scene().executor),
  'atomic-executor': (stack) => stack.atomic(),
  'node-registry': (stack) => stack.registry(),
  selection: (stack) => stack.selection({ strategy: 'deterministic', nodeTypes: stack.registry().registry }),
  pdp: (stack) => stack.pdp({}),
  'run-store': (stack) => stack.runStore(),
  'event-stream': (stack) => stack.eventStream(),
  'artifact-store': (stack) => stack.artifacts(),
};
const ROWS = Object.entries(OPEN).map(([key, open]) => [key as ServiceKey, open] as const);

/** A path that takes POST with a JSON body, and what is wrong with an empty one. */
const POSTS: Partial<Readonly<Record<ServiceKey, readonly [string, string]>>> = {
  'run-gateway': ['/v1/runs', 'input'],
  'run-coordinator': ['/v1/node-runs', 'run_id'],
  'composite-executor': ['/v1/composite-node-runs:begin', 'coordinator_endpoint'],
  'atomic-executor': ['/v1/atomic-node-runs:execute', 'node_run_id'],
  'node-registry': ['/v1/node-types', 'node_type'],
  selection: ['/v1/candidate-sets', 'subtask_spec'],
  pdp: ['/v1/policy:decide', 'action'],
  'run-store': ['/v1/runs', 'run'],
  'event-stream': ['/v1/run-events', 'events'],
};

async function expectEnvelope(text: string): Promise<void> {
  expect(await fieldErrors(ERROR_ENVELOPE, JSON.parse(text))).toEqual([]);
  expect(hasNull(JSON.parse(text))).toBe(false);
}

describe.each(ROWS)('%s', (key, open) => {
  test('G1 tells its health and version, without nulls', async ({ stack }) => {
    const service = await open(stack);
    const health = await service.get('/v1/health');
    expect(health.status).toBe(200);
    expect(health.headers['content-type']).toMatch(/^application\/json/);
    expect(await fieldErrors(HEALTH, health.json)).toEqual([]);
    expect(health.json.status).toBe('ok');
    const version = await service.get('/v1/version');
    expect(await fieldErrors(VERSION_INFO, version.json)).toEqual([]);
    expect(version.json).toEqual({
      service_name: SERVICES[key].name,
      service_version: '9.9.9',
      supported_api_versions: ['v1'],
    });
    expect(hasNull(health.json) || hasNull(version.json)).toBe(false);
  });

  test('G44 answers an unknown route 404, a known one under another method 405, both as envelopes', async ({
    stack,
  }) => {
    const service = await open(stack);
    const unknown = await service.get('/v1/nothing/here');
    expect([unknown.status, unknown.json.error.code]).toEqual([404, 'not_found']);
    await expectEnvelope(unknown.text);
    const other = await service.send('PATCH', '/v1/health', {});
    expect([other.status, other.json.error.code, other.headers['allow']]).toEqual([
      405,
      'method_not_allowed',
      'GET',
    ]);
    await expectEnvelope(other.text);
  });

  test.skipIf(POSTS[key] === undefined)(
    'G3 says of a body what is wrong with it, field by field',
    async ({ stack }) => {
      const [path, missing] = POSTS[key] ?? ['', ''];
      const service = await open(stack);
      const { misfitStatus } = SERVICES[key];
      const empty = await service.send('POST', path, {});
      expect([empty.status, empty.json.error.code, empty.json.error.message]).toEqual([
        misfitStatus,
        'invalid_request',
        'Request validation failed',
      ]);
      expect(empty.json.error.details.errors).toContainEqual({
        type: 'missing',
        loc: ['body', missing],
        msg: 'is missing',
      });
      const unknown = await service.send('POST', path, { smuggled: 1, [missing]: null });
      expect(unknown.json.error.details.errors).toContainEqual(
        expect.objectContaining({ type: 'extra_forbidden', loc: ['body', 'smuggled'] }),
      );
      for (const raw of ['{', '', '"a', '\xff']) {
        const answer = await ask(service.address, 'POST', path, {
          raw,
          headers: { 'content-type': 'application/json' },
        });
        expect([answer.status, answer.json.error.code]).toEqual([misfitStatus, 'invalid_request']);
        await expectEnvelope(answer.text);
      }
    },
  );

  test.skipIf(POSTS[key] === undefined)(
    'refuses other types with 415, and too much with 413',
    async ({ stack }) => {
      const [path] = POSTS[key] ?? [''];
      const service = await open(stack);
      const form = await ask(service.address, 'POST', path, {
        raw: 'a=1',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      expect([form.status, form.json.error.code]).toEqual([415, 'unsupported_media_type']);
      const big = await ask(service.address, 'POST', path, {
        headers: { 'content-type': 'application/json', 'content-length': String(64 * 1_048_576) },
        raw: '{',
      });
      expect([big.status, big.json.error.code]).toEqual([413, 'payload_too_large']);
    },
  );

  test('describes its routes by the schemas that check them', async ({ stack }) => {
    const service = await open(stack);
    const { json } = await service.get('/openapi.json');
    expect(json.openapi).toBe('3.1.0');
    expect(Object.keys(json.paths)).toContain('/v1/health');
    const [path] = POSTS[key] ?? ['/v1/artifacts'];
    expect(json.paths[path].post.requestBody).toBeDefined();
    expect(json.components.schemas.ErrorEnvelope.required).toEqual(['error']);
  });
});

test('keeps every id apart from verbs: a verb is told from the right, and only where it is one', async ({
  stack,
}) => {
  const store = await stack.runStore();
  for (const id of ['r:cancel', 'a/b', 'ü :x', '100%', '::', 'a\nb']) {
    const run = { run_id: id, state: 'running', root_node_run_id: 'n' };
    expect((await store.send('POST', '/v1/runs', { run })).status).toBe(200);
    expect((await store.get(`/v1/runs/${encodeURIComponent(id)}`)).json).toEqual({ run });
  }
  expect((await store.get('/v1/runs/r:cancel')).json.run.run_id).toBe('r:cancel');
});
