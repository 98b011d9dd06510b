// Spans over OTLP, to a receiver on a real socket.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { tracerFor } from '../../src/telemetry/lazy-tracer.ts';
import { nextSpan, runSpan, type TraceContext } from '../../src/telemetry/trace-context.ts';
import type { FinishedSpan, Tracer } from '../../src/telemetry/tracer.ts';
import { otlpReceiver, type Receiver } from './support.ts';

let receiver: Receiver;
const notes: string[] = [];
beforeEach(async () => {
  receiver = await otlpReceiver();
  notes.length = 0;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await receiver.close();
});

function tracer(env: Record<string, string> = {}): Tracer {
  const set = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env };
  for (const [name, value] of Object.entries(set)) vi.stubEnv(name, value); // the SDK reads its variables there
  const made = tracerFor({ env: set, service: 'reeve', version: '1', note: (text) => notes.push(text) });
  if (made === undefined) throw new Error('no tracer');
  return made;
}

function span(context: TraceContext, parent: TraceContext | undefined, more: Partial<FinishedSpan> = {}) {
  const times = { startMs: 1_700_000_000_000, endMs: 1_700_000_000_250 };
  return { name: 's', kind: 'server' as const, context, parent, ...times, attributes: {}, ...more };
}

test('a span arrives with the ids, times, parent and attributes that it was given', async () => {
  const made = tracer({
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=hush',
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=mine,a=b',
  });
  const root = runSpan('r', {}).context;
  const child = nextSpan(root);
  made.record(span(root, undefined, { name: 'run' }));
  made.record(
    span(child, root, { kind: 'client', attributes: { 'reeve.run_id': 'r', n: 3 }, error: 'E_ADAPTER_FAIL' }),
  );
  await made.stop();
  expect(notes).toEqual([]);
  expect(receiver.headers[0]).toMatchObject({ 'x-key': 'hush' });
  expect(receiver.spans).toMatchObject([
    { name: 'run', traceId: root.traceId, spanId: root.spanId, service: 'mine', failed: false },
    {
      traceId: root.traceId,
      spanId: child.spanId,
      parentSpanId: root.spanId,
      kind: 3,
      failed: true,
      start: 1_700_000_000_000_000_000n,
      end: 1_700_000_000_250_000_000n,
      attributes: { 'reeve.run_id': 'r', n: 3 },
    },
  ]);
  expect(receiver.spans[0]?.parentSpanId ?? '').toBe('');
});

test('a burst of 10,000 spans arrives whole', async () => {
  const made = tracer();
  for (let n = 0; n < 10_000; n += 1) made.record(span(nextSpan(undefined), undefined));
  await made.stop();
  expect(new Set(receiver.spans.map(({ spanId }) => spanId)).size).toBe(10_000);
});

test('what the caller does not want recorded is not', async () => {
  const made = tracer();
  const parent = { ...nextSpan(undefined), sampled: false };
  made.record(span(nextSpan(parent), parent));
  await made.stop();
  expect(receiver.headers).toEqual([]);
});

test('a receiver that refuses is said once, and stops nothing', async () => {
  receiver.status = 400;
  const made = tracer();
  made.record(span(nextSpan(undefined), undefined));
  await made.stop();
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(/^traces cannot be delivered: /);
});

test.for<Record<string, string>>([
  {},
  { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' },
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x', OTEL_SDK_DISABLED: 'true' },
  { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://x', OTEL_TRACES_EXPORTER: 'none' },
])('nothing is traced with %o', (env) => {
  expect(tracerFor({ env, service: 'reeve', version: '1', note: () => undefined })).toBeUndefined();
});
