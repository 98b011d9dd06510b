// The server without any door: what it lets in, how it fails, how it stops.
import { connect } from 'node:net';
import { expect, test as base } from 'vitest';
import type { Failures, HttpRequest, RouteGroup } from '../../src/doors/http.ts';
import { HttpFailure } from '../../src/doors/http.ts';
import type { Principal } from '../../src/policy/auth/principal.ts';
import { startServer, type RunningServer, type ServerOptions } from '../../src/server/server.ts';
import { hashOf } from '../../src/server/tokens.ts';
import { jsonLog } from '../../src/telemetry/log.ts';
import { ask, bodies, statuses, talk } from './client.ts';

const CLOSED = {
  type: 'object',
  additionalProperties: false,
  required: ['n'],
  properties: { n: { type: 'integer' } },
};

/** Fails as `{<name>: code}`, so that it shows which group answered. */
function failuresOf(name: string): Failures {
  return {
    schema: { type: 'object' },
    answer: (error) => ({
      status: error instanceof HttpFailure ? error.status : error.code === 'E_GENERIC_FAILURE' ? 500 : 400,
      body: { [name]: error.code, message: error.message, details: error.details },
    }),
  };
}

function groupOf(name: string, more: Partial<RouteGroup> = {}): RouteGroup {
  return {
    name,
    description: name,
    prefix: `/${name}`,
    failures: failuresOf(name),
    routes: [
      {
        method: 'POST',
        path: `/${name}/{id}:echo`,
        operation: `${name}Echo`,
        summary: 'Echo.',
        body: { schema: CLOSED, required: true },
        query: { deep: { description: 'd', schema: { type: 'boolean' } } },
        responses: { 200: { description: 'The same.' } },
        handle: async ({ params, body, query, caller }) => ({
          json: { params, body, query, caller: caller ?? null },
        }),
      },
      {
        method: 'GET',
        path: `/${name}/broken`,
        operation: `${name}Broken`,
        summary: 'A defect.',
        responses: { 200: { description: 'never' } },
        handle: async () => {
          throw new TypeError('secret detail');
        },
      },
    ],
    ...more,
  };
}

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('start', async ({}, { onCleanup }) => {
  const running: RunningServer[] = [];
  onCleanup(async () => {
    for (const server of running) await server.stop(0);
  });
  return async (options: Partial<ServerOptions> = {}): Promise<RunningServer> => {
    const server = await startServer({
      groups: [groupOf('one'), groupOf('two', { bodyBytesMax: 100 })],
      failures: failuresOf('none'),
      title: 'test',
      version: '1',
      listen: { host: '127.0.0.1', port: 0 },
      tokens: [],
      names: [],
      bodyBytesMax: 1000,
      isReady: async () => true,
      note: () => undefined,
      ...options,
    });
    running.push(server);
    return server;
  };
});

function principalOf(subject: string): Principal {
  return { via: 'token', subject, claims: {}, tenant: undefined, token: undefined };
}

const HOST = 'Host: localhost\r\n';
const CLOSE = 'Connection: close\r\n';

test('each group fails in its own form, also for paths that it does not have', async ({ start }) => {
  const { address } = await start();
  expect((await ask(address, 'GET', '/one/nope')).json).toMatchObject({ one: 'E_INVALID_INPUT_SCHEMA' });
  expect((await ask(address, 'DELETE', '/two/x:echo')).json).toMatchObject({ two: 'E_INVALID_INPUT_SCHEMA' });
  expect(await ask(address, 'GET', '/nope')).toMatchObject({
    status: 404,
    json: { none: 'E_INVALID_INPUT_SCHEMA' },
  });
  expect(await ask(address, 'POST', '/one/x:echo', { body: { n: 1 } })).toMatchObject({
    status: 200,
    text: '{"params":{"id":"x"},"body":{"n":1},"query":{},"caller":null}\n',
  });
});

test('a defect tells the client nothing but the id of its request', async ({ start }) => {
  const notes: string[] = [];
  const { address } = await start({ note: (text) => notes.push(text) });
  const answer = await ask(address, 'GET', '/one/broken', { headers: { 'x-request-id': 'abc-1' } });
  expect(answer).toMatchObject({
    status: 500,
    json: { one: 'E_GENERIC_FAILURE', details: { request_id: 'abc-1' } },
  });
  expect(answer.text).not.toContain('secret');
  expect(answer.headers['x-request-id']).toBe('abc-1');
  expect(notes.join()).toContain('secret detail');
});

test('W69 bodies: nothing is coerced or dropped, and each group has its own limit', async ({ start }) => {
  const { address } = await start();
  const post = (path: string, raw: string, type = 'application/json') =>
    ask(address, 'POST', path, { raw, headers: { 'content-type': type } });
  for (const [raw, status] of [
    ['{"n":"1"}', 400],
    ['{"n":1,"m":2}', 400],
    ['{"n":1,"__proto__":{}}', 400],
    ['{', 400],
    ['', 400],
    ['\u00ff'.repeat(2), 400],
    ['{"n":1}', 200],
    [`{"n":${' '.repeat(990)}1}`, 200],
    [`{"n":${' '.repeat(1000)}1}`, 413],
  ] as const) {
    expect((await post('/one/x:echo', raw)).status, raw.slice(0, 40)).toBe(status);
  }
  expect(await post('/two/x:echo', `{"n":${' '.repeat(100)}1}`)).toMatchObject({
    status: 413,
    json: { two: 'E_UNSAFE_OPERATION', details: { limit: 100 } },
  });
  for (const type of [
    'text/plain',
    'application/jsonx',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
  ])
    expect((await post('/one/x:echo', '{"n":1}', type)).status, type).toBe(415);
  expect((await post('/one/x:echo', '{"n":1}', 'application/json; charset=utf-8')).status).toBe(200);
  const chunk = `${(0x400).toString(16)}\r\n${'x'.repeat(0x400)}\r\n`;
  const head = `POST /one/x:echo HTTP/1.1\r\n${HOST}${CLOSE}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  expect(statuses(await talk(address, head, chunk.repeat(4), '0\r\n\r\n'))).toEqual([413]);
});

test('queries are read as declared: unknown, repeated and ill-formed ones are refused', async ({ start }) => {
  const { address } = await start();
  const post = async (query: string) =>
    (await ask(address, 'POST', `/one/x:echo${query}`, { body: { n: 1 } })).json;
  expect((await post('?deep=false')).query).toEqual({ deep: false });
  for (const query of ['?deep=0', '?deep=', '?deep=true&deep=true', '?deeper=true', '?constructor=1'])
    expect(await post(query), query).toMatchObject({ one: 'E_INVALID_INPUT_SCHEMA' });
});

test('W70 what a foreign page makes a browser send is refused', async ({ start }) => {
  const { address } = await start({ names: ['jobs.example.org'] });
  const port = address.split(':')[1];
  const get = async (headers: Record<string, string>) =>
    (await ask(address, 'GET', '/healthz', { headers })).status;
  for (const host of [
    'localhost',
    `localhost:${port}`,
    `127.0.0.1:${port}`,
    '[::1]:99',
    'jobs.example.org',
    'LOCALHOST',
  ])
    expect(await get({ host }), host).toBe(200);
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '10.0.0.1',
    'localhost.evil.example',
    'a@localhost',
  ])
    expect(await get({ host }), host).toBe(403);
  const host = `localhost:${port}`;
  expect(await get({ host, origin: `http://localhost:${port}` })).toBe(200);
  expect(await get({ host: 'jobs.example.org', origin: 'https://jobs.example.org' })).toBe(200);
  for (const origin of [
    'null',
    'http://evil.example',
    'http://localhost',
    `http://localhost:${Number(port) + 1}`,
    'file://',
  ])
    expect(await get({ host, origin }), origin).toBe(403);
  expect(await get({ host, 'sec-fetch-site': 'cross-site' })).toBe(403);
  expect(await get({ host, 'sec-fetch-site': 'same-site' })).toBe(403);
  expect(await get({ host, 'sec-fetch-site': 'none' })).toBe(200);
  expect(statuses(await talk(address, `GET /healthz HTTP/1.1\r\nHost: \r\n${CLOSE}\r\n`))).toEqual([403]);
  // A simple form post needs no preflight: it has to fail by its origin, without a body too.
  expect(
    await ask(address, 'POST', '/one/x:echo', { headers: { origin: 'http://evil.example' } }),
  ).toMatchObject({
    status: 403,
    json: { one: 'E_UNSAFE_OPERATION' },
  });
});

test('W67 without its token nothing is answered but health, also where there is nothing', async ({
  start,
}) => {
  const { address } = await start({
    tokens: [
      { sha256: hashOf('shared'), name: undefined },
      { sha256: hashOf("ana's"), name: 'ana' },
    ],
  });
  for (const path of ['/one/broken', '/nope', '/openapi.json', '/%ff']) {
    const answer = await ask(address, 'GET', path);
    expect(answer, path).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
    expect((await ask(address, 'GET', path, { token: 'share' })).status).toBe(401);
    expect((await ask(address, 'GET', path, { token: '' })).status).toBe(401);
  }
  for (const path of ['/healthz', '/readyz']) expect((await ask(address, 'GET', path)).status).toBe(200);
  const echo = async (authorization: string) =>
    (await ask(address, 'POST', '/one/x:echo', { body: { n: 1 }, headers: { authorization } })).json.caller;
  expect(await echo('Bearer shared')).toBeNull();
  expect(await echo('bearer   shared')).toBeNull();
  expect(await echo("ana's")).toBe('ana');
});

test('a group may know its callers by itself', async ({ start }) => {
  const own = groupOf('own', {
    async authenticate(headers: HttpRequest['headers'], path) {
      if (headers['x-key'] === 'k' && path === '/own/x:echo') return principalOf('keyed');
      throw new HttpFailure(401, 'E_UNSAFE_OPERATION', 'no key');
    },
  });
  const { address } = await start({
    groups: [own, groupOf('one')],
    tokens: [{ sha256: hashOf('t'), name: undefined }],
  });
  const post = (path: string, headers: Record<string, string>) =>
    ask(address, 'POST', path, { body: { n: 1 }, headers });
  expect(await post('/own/x:echo', { 'x-key': 'k' })).toMatchObject({
    status: 200,
    json: { caller: 'keyed' },
  });
  expect(await post('/own/x:echo', { authorization: 't' })).toMatchObject({
    status: 401,
    json: { own: 'E_UNSAFE_OPERATION' },
  });
  expect((await post('/one/x:echo', { 'x-key': 'k' })).status).toBe(401);
});

test('a stream goes out piece by piece, and ends when its reader goes', async ({ start }) => {
  const first = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  const streaming = groupOf('s', {
    routes: [
      {
        method: 'GET',
        path: '/s/events',
        operation: 'events',
        summary: 'Events.',
        responses: { 200: { description: 'NDJSON', type: 'application/x-ndjson' } },
        handle: async ({ signal }) => ({
          type: 'application/x-ndjson',
          stream: (async function* () {
            yield '{"seq":1}\n';
            await first.promise;
            yield '{"seq":2}\n';
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
            ended.resolve(String(signal.reason));
          })(),
        }),
      },
    ],
  });
  const { address } = await start({ groups: [streaming] });
  const [host = '', port = ''] = address.split(':');
  const socket = connect(Number(port), host);
  let heard = '';
  socket.setEncoding('utf8').on('data', (text) => {
    heard += text;
    if (heard.includes('"seq":1')) first.resolve(); // the first piece came although the second was not there yet
    if (heard.includes('"seq":2')) socket.destroy();
  });
  socket.write(`GET /s/events HTTP/1.1\r\n${HOST}\r\n`);
  expect(await ended.promise).toBe('the client is gone');
  expect(heard).toContain('application/x-ndjson');
});

test('requests that are no HTTP, too long or too slow are answered in the envelope', async ({ start }) => {
  const { address } = await start({ limits: { headerMs: 300, requestMs: 600, headerBytes: 2048 } });
  expect(bodies(await talk(address, 'this is no http\r\n\r\n'))).toMatchObject([
    { none: 'E_INVALID_INPUT_SCHEMA' },
  ]);
  const long = await talk(address, `GET /healthz HTTP/1.1\r\n${HOST}X-Long: ${'x'.repeat(4000)}\r\n\r\n`);
  expect(statuses(long)).toEqual([431]);
  expect(bodies(long)).toMatchObject([{ none: 'E_UNSAFE_OPERATION', details: { limit: 2048 } }]);
  // Neither headers that never end, nor a body that does not come, nor silence holds a connection.
  const slow = await Promise.all([
    talk(address, `GET /healthz HTTP/1.1\r\n${HOST}X-Slow: `),
    talk(
      address,
      `POST /one/x:echo HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"n"`,
    ),
    talk(address, ''),
  ]);
  for (const heard of slow) expect(statuses(heard)).toEqual([408]);
});

test('HTTP/1.0, pipelining and connections at rest are served', async ({ start }) => {
  const { address } = await start({ limits: { idleMs: 200 } });
  expect(statuses(await talk(address, 'GET /healthz HTTP/1.0\r\n\r\n'))).toEqual([200]);
  expect(statuses(await talk(address, 'GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n'))).toEqual([403]);
  expect(statuses(await talk(address, `GET /healthz HTTP/1.1\r\n\r\n`))).toEqual([400]);
  const one = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;
  const three = await talk(address, `${one}GET /nope HTTP/1.1\r\n${HOST}\r\n`, one);
  expect(statuses(three)).toEqual([200, 404, 200]); // and the server closes it once it has been idle
});

test('more connections than allowed are turned away', async ({ start }) => {
  const { address } = await start({ limits: { connections: 1 } });
  const [host = '', port = ''] = address.split(':');
  const socket = connect(Number(port), host);
  await new Promise((resolve) => socket.once('connect', resolve));
  await new Promise((resolve) => {
    socket.once('data', resolve);
    socket.write(`GET /healthz HTTP/1.1\r\n${HOST}\r\n`);
  });
  await expect(ask(address, 'GET', '/healthz')).rejects.toThrow();
  socket.destroy();
});

test('a stop lets requests finish and cuts off what does not', async ({ start }) => {
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const waiting = groupOf('w', {
    routes: ['/w/short', '/w/long'].map((path) => ({
      method: 'GET' as const,
      path,
      operation: path,
      summary: path,
      responses: { 200: { description: 'done' } },
      handle: async ({ signal }: HttpRequest) => {
        begun.resolve();
        if (path === '/w/long') await new Promise<never>(() => undefined);
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await release.promise;
        return { json: { stopped: signal.aborted } };
      },
    })),
  });
  const server = await start({ groups: [waiting] });
  const short = ask(server.address, 'GET', '/w/short');
  await begun.promise;
  const long = ask(server.address, 'GET', '/w/long').catch((error: Error) => error);
  const stopped = server.stop(1000);
  release.resolve();
  expect((await short).json).toEqual({ stopped: true });
  expect(await long).toBeInstanceOf(Error);
  await stopped;
  await expect(ask(server.address, 'GET', '/healthz')).rejects.toThrow();
});

test('readiness follows the store; the log names who, and no secret', async ({ start }) => {
  const lines: string[] = [];
  const { address } = await start({
    isReady: async () => {
      throw new Error('the store is gone');
    },
    tokens: [{ sha256: hashOf('hush'), name: 'ana' }],
    log: jsonLog({
      level: 'debug',
      nowMs: () => 0,
      redact: (text) => text,
      write: (line) => lines.push(line),
    }),
  });
  expect(await ask(address, 'GET', '/readyz')).toMatchObject({
    status: 503,
    text: '{"status":"unavailable"}\n',
  });
  await ask(address, 'POST', '/one/x:echo?deep=true', { body: { n: 77_001 }, token: 'hush' });
  await ask(address, 'GET', '/one/x?token=hush');
  const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(entries).toMatchObject([
    { method: 'GET', path: '/readyz', status: 503 },
    { method: 'POST', path: '/one/x:echo', status: 200, caller: 'ana', remote: '127.0.0.1' },
    { path: '/one/x', status: 401 },
  ]);
  expect(lines.join('')).not.toMatch(/hush|77001/);
});
