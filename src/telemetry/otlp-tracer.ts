/** Spans over OTLP/HTTP, by the OpenTelemetry SDK; set up by its own variables (`OTEL_…`). Loaded on first use. */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-node';
import type { FinishedSpan, Tracer, TracerOptions } from './tracer.ts';

/** A burst of 4,000 spans loses 1,440 with the SDK's own 2,048. */
const QUEUE_MAX = 16_384;
const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };

export function otlpTracer({ env, service, version, note }: TracerOptions): Tracer {
  const ids = { trace: '', span: '' };
  const own = { 'service.name': service, 'service.version': version };
  const queue = Number(env['OTEL_BSP_MAX_QUEUE_SIZE'] ?? QUEUE_MAX);
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes(own))
      .merge(detectResources({ detectors: [envDetector] })),
    idGenerator: { generateTraceId: () => ids.trace, generateSpanId: () => ids.span },
    spanProcessors: [
      new BatchSpanProcessor(telling(new OTLPTraceExporter(), note), {
        maxQueueSize: queue > 0 ? queue : QUEUE_MAX,
      }),
    ],
  });
  const tracer = provider.getTracer('reeve', version);
  return {
    record({ name, kind, context, parent, startMs, endMs, attributes, error }: FinishedSpan) {
      ids.trace = context.traceId;
      ids.span = context.spanId;
      const above =
        parent === undefined
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, {
              traceId: parent.traceId,
              spanId: parent.spanId,
              traceFlags: parent.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
              isRemote: true,
            });
      const span = tracer.startSpan(name, { kind: KINDS[kind], startTime: startMs, attributes }, above);
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
      span.end(endMs);
    },
    // What could not be delivered was said by then.
    stop: () => provider.shutdown().catch(() => undefined),
  };
}

/** The SDK loses spans without a word. */
function telling(exporter: SpanExporter, note: (text: string) => void): SpanExporter {
  let isSaid = false;
  return {
    export(spans: ReadableSpan[], done) {
      exporter.export(spans, (result) => {
        const code: number = result.code;
        const isFailed = code !== 0;
        if (isFailed && !isSaid)
          note(`traces cannot be delivered: ${result.error?.message ?? 'the receiver refused them'}`);
        isSaid = isFailed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}
