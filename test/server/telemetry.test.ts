// What a server tells of its requests: metrics, spans, log lines, readiness; and what it hands on to others.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test as base } from 'vitest';
import { get as getFrom } from '../../src/doors/arp/clients/http-client.ts';
import type { Route, RouteGroup } from '../../src/doors/http.ts';
import { HttpFailure } from '../../src/doors/http.ts';
import { redactText } from '../../src/policy/redaction/redactor.ts';
import { startServer, type RunningServer, type ServerOptions } from '../../src/server/server.ts';
import { hashOf } from '../../src/server/tokens.ts';
import { jsonLog } from '../../src/telemetry/log.ts';
import { openMetrics } from '../../src/telemetry/prometheus.ts';
import { aboutRun, traceLabels } from '../../src/telemetry/request-context.ts';
import type { Any } from '../cli/rig.ts';
import { until } from '../cli/rig.ts';
import { samplesOf, Spans, valueOf } from '../telemetry/support.ts';
import { ask } from './client.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const traceparent = `00-${TRACE}-${PARENT}-01`;

const failures: RouteGroup['failures'] = {
  schema: { type: 'object' },
  answer: (error) => ({
    status: error instanceof HttpFailure ? error.status : 500,
    body: { code: error.code },
  }),
};

function route(path: string, handle: Route['handle'], more: Partial<Route> = {}): Route {
  const operation = path.replaceAll(/\W/g, '_');
  return {
    method: 'GET',
    path,
    operation,
    summary: path,
    responses: { 200: { description: 'ok' } },
    handle,
    ...more,
  };
}

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('start', async ({}, { onCleanup }) => {
  const running: RunningServer[] = [];
  onCleanup(async () => {
    for (const server of running) await server.stop(0);
  });
  return async (routes: readonly Route[], options: Partial<ServerOptions> = {}): Promise<string> => {
    const server = await startServer({
      groups: [{ name: 'one', description: 'one', prefix: '/', failures, routes }],
      failures,
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
    return server.address;
  };
});

const thing = route('/v1/runs/{run_id}', async ({ params }) => ({ json: params }));
const broken = route('/broken', async () => Promise.reject(new TypeError('x')));

test('metrics count requests by route and status, not by path', async ({ start }) => {
  const metrics = openMetrics();
  const address = await start([thing, broken], { metrics });
  for (const id of ['a', 'b', 'c']) await ask(address, 'GET', `/v1/runs/${id}`);
  for (const path of ['/broken', '/nope/1', '/nope/2', '/%ff']) await ask(address, 'GET', path);
  await until(async () => (await metrics.text()).includes('status="400"'), 'the last one is counted');
  const answer = await ask(address, 'GET', '/metrics');
  expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  const samples = samplesOf(answer.text);
  const requests = (route_: string, status: string): number =>
    valueOf(samples, 'reeve_http_requests_total', { method: 'GET', route: route_, status });
  expect(requests('/v1/runs/{run_id}', '200')).toBe(3);
  expect(requests('/broken', '500')).toBe(1);
  expect(requests('none', '404')).toBe(2);
  expect(requests('none', '400')).toBe(1);
  const seconds = 'reeve_http_request_duration_seconds';
  expect(valueOf(samples, `${seconds}_count`, { route: '/v1/runs/{run_id}' })).toBe(3);
  expect(valueOf(samples, `${seconds}_bucket`, { route: '/v1/runs/{run_id}', le: '+Inf' })).toBe(3);
  expect(valueOf(samples, 'reeve_http_requests_in_flight')).toBe(1); // this one
  expect(valueOf(samples, 'process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect(answer.text).not.toMatch(/nope|runs\/a/);
});

test('a client that goes is counted as gone, and is not in flight any more', async ({ start }) => {
  const metrics = openMetrics();
  const begun = Promise.withResolvers<void>();
  const hangs = route('/hangs', async ({ signal }) => {
    begun.resolve();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return { json: {} };
  });
  const address = await start([hangs], { metrics });
  const gone = new AbortController();
  const asked = ask(address, 'GET', '/hangs', { signal: gone.signal }).catch(() => undefined);
  await begun.promise;
  gone.abort();
  await asked;
  await until(async () => (await metrics.text()).includes('status="499"'), 'it is counted');
  expect(valueOf(samplesOf(await metrics.text()), 'reeve_http_requests_in_flight')).toBe(0);
});

test('metrics are off unless asked for, closed as the rest is, and open when that is asked for', async ({
  start,
}) => {
  const tokens = [{ sha256: hashOf('t'), name: undefined }];
  expect((await ask(await start([thing]), 'GET', '/metrics')).status).toBe(404);
  const closed = await start([thing], { tokens, metrics: openMetrics() });
  expect((await ask(closed, 'GET', '/metrics')).status).toBe(401);
  expect((await ask(closed, 'GET', '/metrics', { token: 't' })).status).toBe(200);
  const open = await start([thing], { tokens, metrics: openMetrics(), metricsOpen: true });
  expect((await ask(open, 'GET', '/metrics')).status).toBe(200);
  expect((await ask(open, 'GET', '/v1/runs/r')).status).toBe(401);
});

test('each request is a span below the one that came with it; probes are none', async ({ start }) => {
  const tracer = new Spans();
  const address = await start([thing, broken], { tracer });
  const headers = { traceparent, tracestate: 'v=1', 'x-request-id': 'req-1' };
  await ask(address, 'GET', '/v1/runs/r', { headers });
  await ask(address, 'GET', '/broken');
  await ask(address, 'GET', '/healthz', { headers });
  await until(() => tracer.all.length === 2, 'both spans');
  const [first, second] = tracer.all;
  expect(first).toMatchObject({
    name: 'GET /v1/runs/{run_id}',
    kind: 'server',
    parent: { traceId: TRACE, spanId: PARENT },
    context: { traceId: TRACE, state: 'v=1' },
    attributes: {
      'http.request.method': 'GET',
      'http.route': '/v1/runs/{run_id}',
      'http.response.status_code': 200,
      'reeve.request_id': 'req-1',
      'reeve.run_id': 'r',
    },
  });
  expect(first?.context.spanId).not.toBe(PARENT);
  expect(second).toMatchObject({ parent: undefined, error: '500' });
  expect(second?.context.traceId).not.toBe(TRACE);
});

test.for([
  ['with a tracer the next service is below our span', true],
  ['without one the trace passes through', false],
] as const)('%s', async ([, isTraced], { start }) => {
  const heard: Any[] = [];
  const next = createServer((request, response) => {
    heard.push(request.headers);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => {
    next.listen(0, '127.0.0.1', resolve);
  });
  const baseUrl = `http://127.0.0.1:${(next.address() as AddressInfo).port}`;
  const tracer = new Spans();
  let labels: unknown;
  const asks = route('/asks', async () => {
    labels = traceLabels();
    await getFrom(
      { name: 'node_registry', baseUrl },
      { path: '/v1/node-types?q=hush', schema: { type: 'object' } },
    );
    return { json: {} };
  });
  const address = await start([asks], isTraced ? { tracer } : {});
  const headers = { traceparent, tracestate: 'v=1', 'x-request-id': 'req-1' };
  expect((await ask(address, 'GET', '/asks', { headers })).status).toBe(200);
  next.closeAllConnections();
  next.close();
  expect(heard).toMatchObject([{ 'x-request-id': 'req-1', tracestate: 'v=1' }]);
  if (!isTraced) {
    expect(heard[0].traceparent).toBe(traceparent);
    expect(labels).toEqual({ traceparent });
    return;
  }
  await until(() => tracer.all.length === 2, 'both spans');
  const [client, server] = tracer.all;
  expect(client).toMatchObject({ name: 'GET node_registry', kind: 'client', parent: server?.context });
  expect(client?.attributes).toMatchObject({
    'url.path': '/v1/node-types',
    'http.response.status_code': 200,
  });
  expect(heard[0].traceparent).toBe(`00-${TRACE}-${client?.context.spanId}-01`);
  expect(labels).toEqual({ traceparent: `00-${TRACE}-${server?.context.spanId}-01` });
});

test('I9 a line says which request, route, run and trace, at a level, without secrets', async ({ start }) => {
  const lines: string[] = [];
  const log = (level: 'debug' | 'info' | 'warn') =>
    jsonLog({ level, nowMs: () => 0, redact: redactText, write: (line) => lines.push(line) });
  const secret = `ghp_${'a'.repeat(36)}`;
  const makes = route('/makes', async () => {
    aboutRun('made-1');
    return { json: {} };
  });
  const address = await start([thing, makes, broken], { log: log('info') });
  const headers = { traceparent, 'x-request-id': 'req-1' };
  await ask(address, 'GET', `/v1/runs/${secret}`, { headers });
  await ask(address, 'GET', '/makes');
  await ask(address, 'GET', '/healthz');
  await ask(address, 'GET', '/broken');
  await until(() => lines.length >= 3, 'the lines');
  const entries = lines.map((line): Any => JSON.parse(line));
  expect(entries).toMatchObject([
    {
      at: '1970-01-01T00:00:00.000Z',
      level: 'info',
      message: 'request',
      request_id: 'req-1',
      method: 'GET',
      route: '/v1/runs/{run_id}',
      status: 200,
      trace_id: TRACE,
    },
    { route: '/makes', run_id: 'made-1' },
    { level: 'error', route: '/broken', status: 500 },
  ]);
  expect(lines.join('')).not.toContain(secret);
  expect(entries[0].run_id).toContain('[REDACTED');
});

test('readiness tells of what it depends on, and slow progress takes nobody out', async ({ start }) => {
  const checks = [{ name: 'progress', status: 'ok' as 'ok' | 'degraded' | 'down' }];
  const address = await start([thing], { checks: async () => checks });
  const ready = async () => {
    const { status, json } = await ask(address, 'GET', '/readyz');
    return [status, json];
  };
  expect(await ready()).toEqual([200, { status: 'ok', checks }]);
  checks[0] = { name: 'progress', status: 'degraded' };
  expect(await ready()).toEqual([200, { status: 'degraded', checks }]);
  checks[0] = { name: 'progress', status: 'down' };
  expect(await ready()).toEqual([503, { status: 'unavailable', checks }]);
});
