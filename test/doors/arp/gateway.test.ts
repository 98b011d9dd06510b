// The Run Gateway before a real coordinator, before one that is away, and before one that misbehaves.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect } from 'vitest';
import { gatewayService } from '../../../src/doors/arp/gateway/routes.ts';
import { HEALTH } from '../../../src/doors/arp/wire/common.ts';
import { cursorText } from '../../../src/doors/arp/wire/cursor.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { TokenFailure } from '../../../src/policy/auth/token-source.ts';
import { ECHO, eventsIn, openGateway, PLANNER } from './coordinator-rig.ts';
import { test, WORLD, type Stack } from './support.ts';

/** Nobody listens on port 1 of loopback. */
const NOWHERE = 'http://127.0.0.1:1';

async function upstream(stack: Stack, handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.opened({
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('G32 handing on', () => {
  test('every route answers as the coordinator does: status, body, streams with their query', async ({
    stack,
  }) => {
    const { gateway, coordinator: c } = await openGateway(stack);
    if (c === undefined) throw new Error('there is a coordinator');
    const body = { root_node_type_ref: PLANNER, input: { a: [1, null] }, run_id: 'a/b:c ü' };
    const started = await gateway.send('POST', '/v1/runs', body);
    const path = `/v1/runs/${encodeURIComponent('a/b:c ü')}`;
    expect(started.status).toBe(200);
    expect((await gateway.get(path)).text).toBe((await c.get(path)).text);
    expect((await gateway.send('POST', '/v1/runs:start', { ...body, run_id: 'two' })).json.run_id).toBe(
      'two',
    );
    await c.create('a/b:c ü', started.json.root_node_run_id, { node_type_ref: ECHO });
    const events = await gateway.get(`${path}/events`);
    expect(events.headers['content-type']).toBe('application/x-ndjson');
    expect(events.text).toBe((await c.get(`${path}/events`)).text);
    const part = await gateway.get(`${path}/events?cursor=${cursorText(1)}&limit=2`);
    expect(eventsIn(part.text).map(({ seq }) => seq)).toEqual([2, 3]);
    const again = await gateway.send('POST', '/v1/runs', body);
    expect([again.status, again.json.error.code]).toEqual([409, 'run_already_exists']);
    expect((await gateway.get('/v1/runs/nobody/events')).json.error.code).toBe('run_not_found');
    expect((await gateway.get(`${path}/events?follow=3`)).status).toBe(422);
    const wrong = await gateway.send('POST', '/v1/runs', {});
    expect(wrong.json).toEqual((await c.send('POST', '/v1/runs', {})).json);
    const canceled = await gateway.send('POST', `${path}:cancel`);
    expect(canceled.json.state).toBe('canceled');
  });

  test('a stream is handed on as it comes, in the form that was asked for', async ({ stack }) => {
    const { gateway, coordinator: c } = await openGateway(stack);
    if (c === undefined) throw new Error('there is a coordinator');
    const { runId, rootId } = await c.composite();
    const answer = await fetch(`${gateway.url}/v1/runs/${runId}/events?follow=1`, {
      headers: { accept: 'text/event-stream', 'last-event-id': cursorText(2) },
    });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const reader = (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('policy_decided')) text += (await reader.read()).value ?? '';
    await c.complete(rootId, { state: 'succeeded' });
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    expect(text).toContain('run_completed');
    expect(text).not.toContain('run_started');
  });

  test('a client that goes takes its stream along', async ({ stack }) => {
    const gone = Promise.withResolvers<void>();
    const baseUrl = await upstream(stack, (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{}\n');
      response.once('close', () => gone.resolve());
    });
    const { gateway } = await openGateway(stack, { baseUrl });
    const over = new AbortController();
    const answer = await fetch(`${gateway.url}/v1/runs/r/events?follow=1`, { signal: over.signal });
    await answer.body?.getReader().read();
    over.abort();
    await gone.promise;
  });
});

describe('G32 a coordinator that is not there', () => {
  test('is 502 on every route, and health says degraded', async ({ stack }) => {
    const { gateway } = await openGateway(stack, { baseUrl: NOWHERE });
    for (const [method, path] of [
      ['POST', '/v1/runs'],
      ['POST', '/v1/runs:start'],
      ['GET', '/v1/runs/r'],
      ['POST', '/v1/runs/r:cancel'],
      ['GET', '/v1/runs/r/events'],
    ] as const) {
      const answer = await gateway.send(method, path, method === 'POST' ? {} : undefined);
      expect([answer.status, answer.json.error.code]).toEqual([502, 'run_coordinator_unavailable']);
    }
    const health = await gateway.get('/v1/health');
    expect([health.status, health.json.status]).toEqual([200, 'degraded']);
    expect(health.json.checks).toEqual([
      { name: 'run_coordinator', status: 'down', message: 'does not answer', details: { url: NOWHERE } },
    ]);
    expect(await fieldErrors(HEALTH, health.json)).toEqual([]);
  });

  test('or sends elsewhere: 502, and nobody is asked there with the token', async ({ stack }) => {
    const asked: string[] = [];
    const baseUrl = await upstream(stack, (request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    const address = { baseUrl, authorization: async () => 'Bearer secret' };
    const gateway = await stack.serve(gatewayService(address, WORLD));
    const answer = await gateway.get('/v1/runs/r');
    expect([answer.status, answer.json.error.code]).toEqual([502, 'run_coordinator_unavailable']);
    expect(asked).toEqual(['/v1/runs/r']);
  });

  test('or was never named: 503', async ({ stack }) => {
    const gateway = await stack.serve(gatewayService(undefined, WORLD));
    const answer = await gateway.get('/v1/runs/r');
    expect([answer.status, answer.json.error.code]).toEqual([503, 'run_coordinator_missing']);
    expect((await gateway.get('/v1/health')).json.status).toBe('degraded');
  });

  test('or cannot be asked for want of a token: as the token endpoint says', async ({ stack }) => {
    const address = (failure: TokenFailure) => ({
      baseUrl: NOWHERE,
      authorization: () => Promise.reject(failure),
    });
    for (const failure of [
      new TokenFailure('token_exchange_failed', 403, 'no'),
      new TokenFailure('token_request_failed', 502, 'away'),
    ]) {
      const gateway = await stack.serve(gatewayService(address(failure), WORLD));
      const answer = await gateway.get('/v1/runs/r');
      expect([answer.status, answer.json.error.code]).toEqual([failure.status, failure.reason]);
    }
  });

  test('health passes on what the coordinator says of itself and of what it needs', async ({ stack }) => {
    const checks = [{ name: 'node_registry', status: 'down', message: 'does not answer' }];
    const health = { status: 'degraded', time: '2026-01-01T00:00:00Z', checks };
    const baseUrl = await upstream(stack, (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(health));
    });
    const { gateway } = await openGateway(stack, { baseUrl });
    expect((await gateway.get('/v1/health')).json).toMatchObject({
      status: 'degraded',
      checks: [
        { name: 'run_coordinator', status: 'degraded', details: { url: baseUrl, status: 'degraded' } },
        ...checks,
      ],
    });
  });
});
