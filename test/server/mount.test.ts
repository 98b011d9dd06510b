// Several services of ARP in one process, on one port.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'vitest';
import { artifactStoreService } from '../../src/doors/arp/artifact-store/routes.ts';
import { Artifacts } from '../../src/doors/arp/artifact-store/artifacts.ts';
import { baseUrlOf } from '../../src/doors/arp/clients/http-client.ts';
import { registryClient } from '../../src/doors/arp/clients/registry-client.ts';
import { EventLog } from '../../src/doors/arp/event-stream/log.ts';
import { eventStreamService } from '../../src/doors/arp/event-stream/routes.ts';
import { decisionPoint } from '../../src/doors/arp/pdp/pdp.ts';
import { pdpService } from '../../src/doors/arp/pdp/routes.ts';
import { NodeRegistry } from '../../src/doors/arp/registry/registry.ts';
import { registryService } from '../../src/doors/arp/registry/routes.ts';
import { RunRecords } from '../../src/doors/arp/run-store/records.ts';
import { runStoreService } from '../../src/doors/arp/run-store/routes.ts';
import { SERVICES, type ServiceKey } from '../../src/doors/arp/services.ts';
import { jobFailures } from '../../src/doors/jobs/http-failures.ts';
import { jobRoutes } from '../../src/doors/jobs/routes.ts';
import { mounted } from '../../src/server/mount.ts';
import { startServer, type ServerOptions } from '../../src/server/server.ts';
import type { Any } from '../cli/rig.ts';
import { test, WORLD, type Stack } from '../doors/arp/support.ts';
import { ask } from './client.ts';

const KEYS = ['node-registry', 'pdp', 'run-store', 'event-stream', 'artifact-store'] as const;

/** Five services below their names, the event stream at the root too, and jobs, all in one server. */
async function assembled(stack: Stack, options: Partial<ServerOptions> = {}): Promise<string> {
  const registry = stack.opened(new NodeRegistry(':memory:'));
  const groups = {
    'node-registry': registryService(registry, WORLD),
    pdp: pdpService(decisionPoint({ profile: 'dev-allow' }), WORLD),
    'run-store': runStoreService(stack.opened(new RunRecords({ file: ':memory:' })), WORLD),
    'event-stream': eventStreamService(stack.opened(new EventLog(':memory:')), WORLD),
    'artifact-store': artifactStoreService(
      stack.opened(new Artifacts({ dir: stack.path('artifacts') })),
      WORLD,
    ),
  };
  const failures = jobFailures({ version: '1', strict: false, nowMs: () => 0 });
  const jobs = jobRoutes(() => {
    throw new TypeError('no jobs here');
  }, failures);
  const server = await startServer({
    groups: [...KEYS.map((key) => mounted(groups[key], `/${key}`)), groups['event-stream'], jobs],
    failures,
    title: 'reeve',
    version: '1',
    listen: { host: '127.0.0.1', port: 0 },
    tokens: [],
    names: [],
    bodyBytesMax: 1_048_576,
    isReady: async () => true,
    note: () => undefined,
    ...options,
  });
  stack.opened({ close: () => void server.stop(0) });
  return server.address;
}

test('each service answers below its name, as it would alone', async ({ stack }) => {
  const address = await assembled(stack);
  for (const key of KEYS) {
    expect((await ask(address, 'GET', `/${key}/v1/version`)).json.service_name).toBe(SERVICES[key].name);
    expect((await ask(address, 'GET', `/${key}/v1/health`)).json.status).toBe('ok');
    expect((await ask(address, 'GET', `/${key}/nope`)).json).toMatchObject({ error: { code: 'not_found' } });
    const other = await ask(address, 'DELETE', `/${key}/v1/health`);
    expect(other).toMatchObject({ status: 405, headers: { allow: 'GET' } });
  }
  expect((await ask(address, 'GET', '/v1/version')).json.service_name).toBe('arp-jarvis-eventstream');
  // Their own words for what does not fit, their own ways to read ids.
  const misfit = await ask(address, 'POST', '/run-store/v1/runs', { body: {} });
  expect(misfit.status).toBe(422);
  expect(
    (await ask(address, 'POST', '/pdp/v1/policy:decide', { body: { action: 'run.start' } })).json,
  ).toMatchObject({ decision: 'allow' });
  const run = { run_id: 'a:b', state: 'running', root_node_run_id: 'n', root_node_type_ref: undefined };
  const made = await ask(address, 'POST', '/run-store/v1/runs', { body: { run } });
  expect(made.status).toBe(200);
  expect((await ask(address, 'GET', '/run-store/v1/runs/a:b')).json.run.run_id).toBe('a:b');
  // A path that only begins like a service is nobody's.
  expect((await ask(address, 'GET', '/pdp2/v1/health')).status).toBe(404);
  expect((await ask(address, 'GET', '/v1/jobs2')).json).toMatchObject({ error: { code: 'not_found' } });
  expect((await ask(address, 'GET', '/v1/jobs/a/b/c')).json).toMatchObject({
    schema_id: 'wrkr.error_envelope',
  });
});

test('a client is told the path with the address; an artifact is fetched by the uri that it was given', async ({
  stack,
}) => {
  const address = await assembled(stack);
  const type = { node_type_id: 'x.y', version: '1.0.0', kind: 'atomic' };
  await ask(address, 'POST', '/node-registry/v1/node-types', { body: { node_type: type } });
  const baseUrl = baseUrlOf(`http://${address}/node-registry/v1`, 'URL');
  const types = registryClient({ baseUrl });
  expect(await types.get('x.y')).toMatchObject(type);
  const put = await ask(address, 'POST', '/artifact-store/v1/artifacts', { raw: 'bytes' });
  expect(put.json.uri).toBe(`http://${address}/artifact-store/v1/artifacts/${put.json.artifact_id}`);
  expect((await ask(address, 'GET', new URL(put.json.uri).pathname)).text).toBe('bytes');
});

test('one document for all, and each one’s own', async ({ stack }) => {
  const address = await assembled(stack);
  const whole: Any = (await ask(address, 'GET', '/openapi.json')).json;
  const ajv = new Ajv2020({ strict: false, formats: { 'date-time': true, binary: true, uri: true } });
  ajv.addSchema({ $id: 'https://reeve.test/document', $defs: whole.components.schemas });
  const ids = Object.values<Any>(whole.paths).flatMap((item) =>
    Object.values<Any>(item).map(({ operationId }) => String(operationId)),
  );
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(
    expect.arrayContaining(['nodeRegistryHealth', 'pdpHealth', 'health', 'submitJob', 'openApiOfRunStore']),
  );
  // Both doors have an ErrorEnvelope; each operation keeps its own.
  const refs = (path: string): string => JSON.stringify(whole.paths[path].get.responses['4XX']);
  expect(refs('/v1/jobs')).not.toBe(refs('/pdp/v1/health'));
  for (const reference of JSON.stringify(whole).match(/#\/components\/schemas\/[^"]+/g) ?? [])
    expect(whole.components.schemas, reference).toHaveProperty([reference.split('/').at(-1) ?? '']);
  for (const key of KEYS) {
    const own: Any = (await ask(address, 'GET', `/${key}/openapi.json`)).json;
    expect(Object.keys(own.paths).every((path) => path.startsWith(`/${key}/v1/`))).toBe(true);
    for (const [path, item] of Object.entries(own.paths))
      expect(Object.keys(whole.paths[path])).toEqual(Object.keys(item as object));
  }
});

test('two services at one place, or a path that is none, are refused before anything listens', async ({
  stack,
}) => {
  const one = eventStreamService(stack.opened(new EventLog(':memory:')), WORLD);
  const two = pdpService(decisionPoint({ profile: 'dev-allow' }), WORLD);
  await expect(assembled(stack, { groups: [one, two] })).rejects.toThrow(
    'event-stream and pdp both serve GET /v1/health',
  );
  for (const path of ['pdp', '/', '/Pdp', '/pdp/', '/{x}'])
    expect(() => mounted(two, path)).toThrow(TypeError);
});

test('each service keeps its own way to know who asks', async ({ stack }) => {
  const one: ServiceKey = 'pdp';
  const open = pdpService(decisionPoint({ profile: 'dev-allow' }), WORLD);
  const asked: string[] = [];
  const address = await assembled(stack, {
    groups: [
      mounted(
        {
          ...open,
          authenticate: (_headers, path) => {
            asked.push(path);
            return undefined;
          },
        },
        `/${one}`,
      ),
    ],
  });
  await ask(address, 'POST', '/pdp/v1/policy:decide', { body: { action: 'run.start' } });
  await ask(address, 'GET', '/pdp/v1/health');
  expect(asked).toEqual(['/pdp/v1/policy:decide']);
});
