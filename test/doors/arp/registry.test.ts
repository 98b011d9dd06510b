// The Node Registry on a real socket (contract arp §2, G38).
import fc from 'fast-check';
import { expect } from 'vitest';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { baseUrlOf } from '../../../src/doors/arp/clients/http-client.ts';
import { builtinTypes } from '../../../src/doors/arp/registry/builtin-types.ts';
import { NodeRegistry } from '../../../src/doors/arp/registry/registry.ts';
import { highest } from '../../../src/doors/arp/registry/semver.ts';
import { NODE_TYPE } from '../../../src/doors/arp/wire/core.ts';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { sqliteFileOf } from '../../../src/store/sqlite/service-database.ts';
import { startServer } from '../../../src/server/server.ts';
import { test, type Served } from './support.ts';

const publish = (registry: Served, node_type_id: string, version: string, more: object = {}) =>
  registry.send('POST', '/v1/node-types', { node_type: { node_type_id, version, kind: 'atomic', ...more } });

test('G38 publishes a version once, for good', async ({ stack }) => {
  const registry = await stack.registry();
  const first = await publish(registry, 'a.b', '1.0.0', { description: 'one', extensions: { 'x.y': null } });
  expect([first.status, first.json]).toEqual([
    200,
    {
      node_type_id: 'a.b',
      version: '1.0.0',
      kind: 'atomic',
      description: 'one',
      extensions: { 'x.y': null },
    },
  ]);
  for (const more of [{ description: 'one', extensions: { 'x.y': null } }, { description: 'two' }]) {
    const again = await publish(registry, 'a.b', '1.0.0', more);
    expect([again.status, again.json.error.code]).toEqual([409, 'node_type_already_exists']);
  }
  expect((await registry.get('/v1/node-types/a.b?version=1.0.0')).json.description).toBe('one');
});

test('G38 gives the exact version, or the highest', async ({ stack }) => {
  const registry = await stack.registry();
  for (const version of ['1.9.0', 'v1.10.0', '2.0.0-rc.2', '2.0.0-rc.10', 'zzz'])
    await publish(registry, 'n', version);
  expect((await registry.get('/v1/node-types/n')).json.version).toBe('2.0.0-rc.10');
  expect((await registry.get('/v1/node-types/n?version=zzz')).json.version).toBe('zzz');
  const absent = await registry.get('/v1/node-types/n?version=3.0.0');
  expect([absent.status, absent.json.error.code]).toEqual([404, 'node_type_not_found']);
  expect((await registry.get('/v1/node-types/none')).json.error.code).toBe('node_type_not_found');
});

test('G38 lists by id and the text of the version, filtered by part of the id and by kind', async ({
  stack,
}) => {
  const registry = await stack.registry();
  await publish(registry, 'web.Fetch', '10.0.0');
  await publish(registry, 'web.Fetch', '9.0.0');
  await publish(registry, 'core.plan', '1.0.0', { kind: 'composite' });
  const names = async (query: string): Promise<string[]> => {
    const { json } = await registry.get(`/v1/node-types${query}`);
    return json.map(
      (entry: { node_type_id: string; version: string }) => `${entry.node_type_id} ${entry.version}`,
    );
  };
  expect(await names('')).toEqual(['core.plan 1.0.0', 'web.Fetch 10.0.0', 'web.Fetch 9.0.0']);
  expect(await names('?q=%20fETCH%20')).toEqual(['web.Fetch 10.0.0', 'web.Fetch 9.0.0']);
  expect(await names('?q=%20')).toHaveLength(3);
  expect(await names('?q=%25')).toEqual([]);
  expect(await names('?kind=composite')).toEqual(['core.plan 1.0.0']);
  for (const query of ['?kind=x', '?kind=', '?kind=atomic&kind=atomic', '?other=1']) {
    const bad = await registry.get(`/v1/node-types${query}`);
    expect([query, bad.status, bad.json.error.code]).toEqual([query, 400, 'invalid_request']);
  }
});

test('ids may hold anything, slashes percent-encoded', async ({ stack }) => {
  const registry = await stack.registry();
  for (const id of ['org/tool', 'a:decide', 'ü?#', '..', '%2F']) {
    await publish(registry, id, '1.0.0');
    expect((await registry.get(`/v1/node-types/${encodeURIComponent(id)}`)).json.node_type_id).toBe(id);
  }
});

test('orders versions as SemVer does', () => {
  const rising = [
    '1.0.0-0',
    '1.0.0-9',
    '1.0.0-10',
    '1.0.0-99999999999999999999',
    '1.0.0--9',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1',
    '1.2.0',
    '1.10.0',
    '2.0.0',
    '18446744073709551616.0.0',
  ];
  fc.assert(
    fc.property(fc.shuffledSubarray(rising, { minLength: 1 }), (some) => {
      const last = Math.max(...some.map((version) => rising.indexOf(version)));
      expect(highest(some)).toBe(rising[last]);
    }),
  );
  expect(highest(['2.0.0', '10', '9.9', 'x'])).toBe('2.0.0'); // what does not parse never wins
  expect(highest(['10', '9', '01.0.0', '1.0'])).toBe('9'); // nothing parses: the last text
  expect(highest(['1.0.0+b', '1.0.0+a', '0.9.0'])).toBe('1.0.0+b');
  expect(highest([])).toBeUndefined();
});

test('seeds the built-in types once, with strict inputs', async ({ stack }) => {
  const registry = stack.opened(new NodeRegistry(stack.path('registry.sqlite')));
  const types = builtinTypes('0.3.8');
  expect([registry.seed(types), registry.seed(types)]).toEqual([7, 0]);
  expect(types.map(({ node_type_id: id }) => id).toSorted()).toEqual([
    'jarvis.composite.planner.general',
    'jarvis.core.echo',
    'jarvis.core.hash.sha256',
    'jarvis.core.sleep',
    'jarvis.core.time.now',
    'jarvis.core.uuid4',
    'jarvis.web.fetch',
  ]);
  for (const type of types) {
    expect(await fieldErrors(NODE_TYPE, type)).toEqual([]);
    const schema = type.input_schema as {
      required: string[];
      properties: object;
      additionalProperties: boolean;
    };
    expect([schema.required, schema.additionalProperties]).toEqual([Object.keys(schema.properties), false]);
    expect(type.extensions?.['jarvis.trust_tier']).toBe('first_party');
  }
});

test('keeps what it published over a restart, and refuses the file of something else', async ({ stack }) => {
  const file = stack.path('deep/folder/registry.sqlite');
  const first = new NodeRegistry(file);
  await first.publish({ node_type_id: 'a', version: '1.0.0', kind: 'atomic' });
  first.close();
  const second = stack.opened(new NodeRegistry(file));
  expect((await second.get('a')).version).toBe('1.0.0');
  const { RunRecords } = await import('../../../src/doors/arp/run-store/records.ts');
  expect(() => new RunRecords({ file })).toThrow(/database of something else/);
});

test('the client passes failures of the registry through, and calls its absence 502', async ({ stack }) => {
  const registry = await stack.registry();
  await publish(registry, 'a/b', '1.0.0+x');
  const client = registryClient({ baseUrl: baseUrlOf(` ${registry.url}/v1/ `, 'X') });
  expect((await client.get('a/b', '1.0.0+x')).node_type_id).toBe('a/b');
  const failure = await client.get('none').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ArpError);
  expect(failure).toMatchObject({
    status: 404,
    wireCode: 'node_type_not_found',
    details: { node_type_id: 'none' },
  });
  const gone = await registryClient({ baseUrl: 'http://127.0.0.1:1' })
    .get('a')
    .catch((error: unknown) => error);
  expect(gone).toMatchObject({ status: 502, wireCode: 'node_registry_unavailable', retryable: true });
  expect(() => baseUrlOf('localhost:8084', 'X')).toThrow(/X must be an http/);
});

test('H15 the client asks again after a failure that may pass, and not for ever', async ({ stack }) => {
  let asked = 0;
  const failing = await startServer({
    groups: [
      {
        name: 'failing',
        description: '',
        prefix: '/',
        failures: {
          schema: {},
          answer: () => ({
            status: 503,
            body: { error: { code: 'busy', message: 'later', retryable: true } },
          }),
        },
        routes: [
          {
            method: 'GET',
            path: '/v1/node-types/{id}',
            operation: 'get',
            summary: '',
            responses: {},
            async handle() {
              asked += 1;
              if (asked !== 3) throw new TypeError('not yet');
              return { json: { node_type_id: 'a', version: '1', kind: 'atomic' } };
            },
          },
        ],
      },
    ],
    failures: { schema: {}, answer: () => ({ status: 500, body: {} }) },
    title: 't',
    version: '0',
    listen: { host: '127.0.0.1', port: 0 },
    tokens: [],
    names: [],
    bodyBytesMax: 1000,
    isReady: async () => true,
    note: () => undefined,
  });
  stack.opened({ close: () => void failing.stop(0) });
  const client = registryClient({ baseUrl: `http://${failing.address}` });
  expect((await client.get('a')).version).toBe('1');
  await expect(client.get('a')).rejects.toMatchObject({ wireCode: 'busy', status: 503 });
  expect(asked).toBe(6);
});

test('reads database URLs as the reference writes them', () => {
  expect(sqliteFileOf('sqlite:///./runs/x.sqlite', '/w', 'V')).toBe('/w/runs/x.sqlite');
  expect(sqliteFileOf('sqlite:////abs/x.sqlite', '/w', 'V')).toBe('/abs/x.sqlite');
  expect(sqliteFileOf('sqlite://', '/w', 'V')).toBe(':memory:');
  expect(sqliteFileOf('sqlite:///:memory:', '/w', 'V')).toBe(':memory:');
  for (const url of [
    'x.sqlite',
    'sqlite:x',
    'sqlite://host/x',
    'postgres://u:secret@h/d',
    'sqlite:///x?mode=ro',
  ]) {
    expect(() => sqliteFileOf(url, '/w', 'V'), url).toThrow(/^V must be a URL/);
    expect(() => sqliteFileOf(url, '/w', 'V')).not.toThrow(/secret/);
  }
});
