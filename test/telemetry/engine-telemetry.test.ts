// What the run engine tells: metrics and spans, from its events, over more than one process.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { measureQueues, progressCheck } from '../../src/doors/progress.ts';
import { meteredStore } from '../../src/store/metered-store.ts';
import { engineTelemetry } from '../../src/telemetry/engine-telemetry.ts';
import { openMetrics, type Metrics } from '../../src/telemetry/prometheus.ts';
import { runSpan } from '../../src/telemetry/trace-context.ts';
import { HANGS, Lab, planOf, QUICK, quick } from '../engine/lab.ts';
import { step } from '../model/rig.ts';
import { samplesOf, Spans, valueOf } from './support.ts';

let lab: Lab;
let metrics: Metrics;
let spans: Spans;
beforeEach(() => {
  lab = new Lab();
  metrics = openMetrics();
  spans = new Spans();
});
afterEach(() => lab.close());

const CALLER = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };

function observed() {
  return lab.engine((store) => meteredStore(store, metrics), engineTelemetry(metrics, spans));
}

test('counts commands, attempts, claims, commits and runs as the log has them', async () => {
  const engine = observed();
  const worker = lab.worker('w', { engine });
  const nodes = [...quick('a', 'b'), step('c', { input: { fate: 'fail' }, needs: ['b'] })];
  await engine.execute('r', { type: 'create', spec: planOf(nodes) });
  await expect(engine.execute('r', { type: 'create', spec: planOf(nodes) })).rejects.toThrow();
  await (await lab.drive(worker, 'r')).ended;
  const samples = samplesOf(await metrics.text());
  const events = await engine.events('r');
  const of = (type: string): number => events.filter(({ event }) => event.type === type).length;
  expect(valueOf(samples, 'reeve_events_total')).toBe(events.length);
  expect(valueOf(samples, 'reeve_attempts_started_total', { executor: 'x' })).toBe(of('attempt_started'));
  expect(valueOf(samples, 'reeve_attempts_ended_total', { executor: 'x', outcome: 'succeeded' })).toBe(2);
  expect(valueOf(samples, 'reeve_attempts_ended_total', { executor: 'x', outcome: 'failed' })).toBe(1);
  expect(valueOf(samples, 'reeve_attempt_duration_seconds_count', { outcome: 'failed' })).toBe(1);
  expect(valueOf(samples, 'reeve_claims_total')).toBe(1);
  expect(valueOf(samples, 'reeve_runs_created_total')).toBe(1);
  expect(valueOf(samples, 'reeve_commands_total', { command: 'create', outcome: 'ok' })).toBe(1);
  expect(valueOf(samples, 'reeve_commands_total', { command: 'create', outcome: 'refused' })).toBe(1);
  expect(valueOf(samples, 'reeve_commit_batch_size_count')).toBeGreaterThan(3);
  expect(valueOf(samples, 'reeve_commit_duration_seconds_count')).toBe(
    valueOf(samples, 'reeve_commit_batch_size_count'),
  );
});

test('one trace per run, in the trace that it was asked for in, with a span for each attempt', async () => {
  const engine = observed();
  await engine.execute('r', { type: 'create', spec: { ...planOf(quick('a', 'b')), labels: CALLER } });
  await (await lab.drive(lab.worker('w', { engine }), 'r')).ended;
  const { context } = runSpan('r', CALLER);
  expect(spans.all.map(({ name }) => name)).toEqual(['attempt a', 'attempt b', 'run']);
  for (const span of spans.all) expect(span.context.traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
  const [a, , run] = spans.all;
  expect(a?.parent).toEqual(context);
  expect(a?.attributes).toMatchObject({ 'reeve.run_id': 'r', 'reeve.executor': 'x' });
  expect(run?.context).toEqual(context);
  expect(run?.parent?.spanId).toBe('00f067aa0ba902b7');
  expect(run?.error).toBeUndefined();
  expect(a?.startMs).toBeGreaterThanOrEqual(run?.startMs ?? Infinity);
});

test('an attempt that another process began becomes a span of the same trace, from its true beginning', async () => {
  const first = lab.engine();
  await first.execute('r', { type: 'create', spec: planOf([step('a', QUICK)]) });
  const claimed = await lab.worker('w1', { engine: first }).claim('r');
  const beganMs = lab.clock.nowMs();
  await first.execute('r', { type: 'start', node: 'a', epoch: claimed?.lease.epoch ?? 0 });
  await lab.clock.advance(40_000); // it dies here, and its lease runs out
  await (await lab.drive(lab.worker('w2', { engine: observed() }), 'r')).ended;
  expect(spans.all.map(({ name, error }) => [name, error])).toEqual([
    ['attempt a', 'E_LEASE_CONFLICT'],
    ['attempt a', undefined],
    ['run', undefined],
  ]);
  expect(spans.all[0]).toMatchObject({
    startMs: beganMs,
    attributes: { 'reeve.attempt': 1, 'reeve.outcome': 'not_started' },
  });
  expect(spans.all[0]?.endMs).toBeGreaterThanOrEqual(beganMs + 40_000);
  expect(new Set(spans.all.map(({ context }) => context.traceId))).toEqual(
    new Set([runSpan('r', {}).context.traceId]),
  );
});

test('progress: work that nobody claims degrades health after the limit, and shows in the metrics', async () => {
  const engine = observed();
  const work = { store: engine.store, queues: ['default'], nowMs: () => lab.clock.nowMs() };
  const look = () => progressCheck({ ...work, limitMs: 60_000 });
  expect(await look()).toMatchObject({ status: 'ok', details: { oldest_runnable_age_ms: 0 } });
  await engine.execute('r', { type: 'create', spec: planOf([step('a', HANGS)]) });
  await lab.clock.advance(60_000);
  expect(await look()).toMatchObject({ status: 'ok' });
  await lab.clock.advance(1000);
  expect(await look()).toEqual({
    name: 'progress',
    status: 'degraded',
    message: 'work has been waiting for 61 s without a worker',
    details: { oldest_runnable_age_ms: 61_000, limit_ms: 60_000 },
  });
  metrics.beforeText(() => measureQueues(metrics, work));
  const queue = async () => {
    const samples = samplesOf(await metrics.text());
    return ['runnable', 'oldest_runnable_age_seconds', 'leased'].map((name) =>
      valueOf(samples, `reeve_queue_${name}`, { queue: 'default' }),
    );
  };
  expect(await queue()).toEqual([1, 61, 0]);
  lab.run(lab.worker('w', { engine }));
  await lab.running('r', 1);
  expect(await look()).toMatchObject({ status: 'ok' });
  expect(await queue()).toEqual([0, 0, 1]);
  await expect(
    progressCheck({
      ...work,
      limitMs: 1,
      store: meteredStore({ ...engine.store, standing: () => Promise.reject(new Error('gone')) }, metrics),
    }),
  ).resolves.toMatchObject({ status: 'down' });
});
