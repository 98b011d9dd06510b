// What `reeve serve` tells of itself, from a real process: a scrape, an OTLP export, log lines, readiness.
import { describe, expect } from 'vitest';
import { SERVICES } from '../../src/doors/arp/services.ts';
import { ask } from '../server/client.ts';
import { otlpReceiver, samplesOf, valueOf } from '../telemetry/support.ts';
import { ledger, test, until, type Any } from './rig.ts';
import { serve } from './served.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe.concurrent('telemetry of serve', () => {
  test('a job is one trace: the caller, the request, the run, its steps; the metrics count it', async ({
    home,
    onTestFinished,
  }) => {
    const receiver = await otlpReceiver();
    onTestFinished(receiver.close);
    const spec = await home.spec([ledger('a'), ledger('b')]);
    const server = await serve(home, ['--metrics', '--log'], {
      env: { REEVE_HOME: home.store, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SERVICE_NAME: 'mine' },
    });
    const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, 'x-request-id': 'req-1' };
    const answer = await server.post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' }, { headers });
    expect(answer.json.status).toBe('completed');
    const samples = samplesOf((await server.get('/metrics')).text);
    expect(valueOf(samples, 'reeve_runs_ended_total', { phase: 'succeeded' })).toBe(1);
    expect(
      valueOf(samples, 'reeve_attempts_ended_total', { executor: 'process', outcome: 'succeeded' }),
    ).toBe(2);
    expect(valueOf(samples, 'reeve_commit_duration_seconds_count')).toBeGreaterThan(1);
    expect(valueOf(samples, 'reeve_queue_runnable', { queue: 'default' })).toBe(0);
    expect(valueOf(samples, 'reeve_http_requests_total', { route: '/v1/jobs:submit', status: '200' })).toBe(
      1,
    );
    server.running.kill('SIGTERM');
    const { stderr } = await server.running.ended;

    const spans = receiver.spans.filter(({ attributes }) => attributes['reeve.run_id'] === 'j');
    expect(spans.map(({ name }) => name).toSorted()).toEqual([
      'POST /v1/jobs:submit',
      'attempt 0:a',
      'attempt 1:b',
      'run',
    ]);
    for (const { traceId, service } of spans) expect([traceId, service]).toEqual([TRACE, 'mine']);
    const [request, a, , run] = spans.toSorted((x, y) => (x.name < y.name ? -1 : 1));
    expect(request?.parentSpanId).toBe('00f067aa0ba902b7');
    expect(run?.parentSpanId).toBe(request?.spanId);
    expect(a?.parentSpanId).toBe(run?.spanId);

    const lines = stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line): Any => JSON.parse(line));
    expect(lines.find(({ route }) => route === '/v1/jobs:submit')).toMatchObject({
      level: 'info',
      request_id: 'req-1',
      run_id: 'j',
      trace_id: TRACE,
      status: 200,
    });
  });

  test('readiness says degraded while work waits without a worker, and ok once it goes on', async ({
    home,
  }) => {
    const spec = await home.spec([ledger('a')]);
    const options = { env: { REEVE_HOME: home.store } };
    const idle = await serve(
      home,
      ['--concurrency', '0', '--progress-limit', '1', '--metrics-open'],
      options,
    );
    expect((await idle.get('/readyz')).json).toMatchObject({ status: 'ok' });
    await idle.post('/v1/jobs:submit?wait=false', { jobspec_path: spec, job_id: 'j' });
    await until(async () => (await idle.get('/readyz')).json.status === 'degraded', 'nobody takes it');
    const slow = await idle.get('/readyz');
    expect(slow).toMatchObject({ status: 200, json: { checks: [{ name: 'progress', status: 'degraded' }] } });
    const samples = samplesOf((await idle.get('/metrics')).text);
    expect(valueOf(samples, 'reeve_queue_runnable', { queue: 'default' })).toBe(1);
    expect(valueOf(samples, 'reeve_queue_oldest_runnable_age_seconds', { queue: 'default' })).toBeGreaterThan(
      1,
    );
    await home.run(['work', '--once'], { program: 'reeve', ...options });
    expect((await idle.get('/readyz')).json).toMatchObject({ status: 'ok' });
  });

  test('each service of ARP has metrics, spans under its own name and a log', async ({
    home,
    onTestFinished,
  }) => {
    const receiver = await otlpReceiver();
    onTestFinished(receiver.close);
    const running = home.start(['serve', 'node-registry', '--port', '0', '--metrics', '--log'], {
      program: 'reeve',
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, LOG_LEVEL: 'DEBUG' },
    });
    await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
    const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
    await ask(address, 'GET', '/v1/health');
    await ask(address, 'GET', '/v1/node-types');
    const samples = samplesOf((await ask(address, 'GET', '/metrics')).text);
    expect(valueOf(samples, 'reeve_http_requests_total', { route: '/v1/node-types', status: '200' })).toBe(1);
    running.kill('SIGTERM');
    const { stderr, code } = await running.ended;
    expect(code).toBe(0);
    expect(receiver.spans).toMatchObject([
      { name: 'GET /v1/node-types', service: SERVICES['node-registry'].name },
    ]);
    expect(stderr).toMatch(/"level":"debug".*"route":"\/v1\/health"/);
  });

  test('a level that is none is refused before anything starts', async ({ home }) => {
    const result = await home.run(['serve', '--log'], { program: 'reeve', env: { LOG_LEVEL: 'loud' } });
    expect(result).toMatchObject({ code: 6 });
    expect(result.stderr).toContain('LOG_LEVEL is "loud"');
    const late = await home.run(['serve', '--progress-limit', '0'], { program: 'reeve' });
    expect(late.stderr).toContain('--progress-limit must be 1 to 86400');
  });

  test('a receiver that is away costs a line at the end, and no job', async ({ home }) => {
    const spec = await home.spec([ledger('a')]);
    const server = await serve(home, [], {
      env: { REEVE_HOME: home.store, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' },
    });
    const answer = await server.post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' });
    expect(answer.json.status).toBe('completed');
    server.running.kill('SIGTERM');
    const { stderr, code } = await server.running.ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/traces (cannot be|were not) delivered: /);
  });
});
