/** Receivers of what telemetry sends: spans in memory, spans over OTLP, samples of a scrape. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FinishedSpan, Tracer } from '../../src/telemetry/tracer.ts';
import type { Any } from '../cli/rig.ts';

export class Spans implements Tracer {
  readonly all: FinishedSpan[] = [];
  record(span: FinishedSpan): void {
    this.all.push(span);
  }
  async stop(): Promise<void> {}
}

export interface OtlpSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly service: string;
  readonly kind: number;
  /** Nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly failed: boolean;
}

export interface Receiver {
  readonly url: string;
  readonly spans: OtlpSpan[];
  /** Headers of each export. */
  readonly headers: Any[];
  /** Answers with this instead of 200. */
  status: number;
  close(): Promise<void>;
}

/** Takes what a collector takes at `/v1/traces`, as JSON. */
export async function otlpReceiver(): Promise<Receiver> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (request.url !== '/v1/traces' || request.method !== 'POST') {
        response.writeHead(404).end();
        return;
      }
      receiver.headers.push(request.headers);
      const { resourceSpans }: Any = JSON.parse(Buffer.concat(parts).toString());
      if (receiver.status === 200) receiver.spans.push(...resourceSpans.flatMap(spansOf));
      response.writeHead(receiver.status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    headers: [],
    status: 200,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return receiver;
}

function spansOf({ resource, scopeSpans }: Any): OtlpSpan[] {
  const service = valuesOf(resource.attributes)['service.name'] as string;
  return scopeSpans.flatMap(({ spans }: Any) =>
    spans.map((span: Any) => ({
      name: span.name,
      traceId: span.traceId,
      spanId: span.spanId,
      parentSpanId: span.parentSpanId,
      service,
      kind: span.kind,
      start: BigInt(span.startTimeUnixNano),
      end: BigInt(span.endTimeUnixNano),
      attributes: valuesOf(span.attributes),
      failed: span.status?.code === 2,
    })),
  );
}

function valuesOf(attributes: Any[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Prometheus' text format, strictly: every line is a comment, a sample or empty. */
export function samplesOf(text: string): Sample[] {
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, kind, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'TYPE') types.set(about, rest);
    if (kind !== undefined || line === '') continue;
    const [, name = '', labels = '', value = ''] =
      /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([-+\d.e]+|Nan|[+-]Inf)$/.exec(line) ?? [];
    if (name === '') throw new Error(`no sample: ${line}`);
    const family = name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(name) && !types.has(family)) throw new Error(`no type before: ${line}`);
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text_]) => [key, text_]);
    samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) });
  }
  return samples;
}

/** The value of the one sample with these labels. */
export function valueOf(
  samples: readonly Sample[],
  name: string,
  labels: Record<string, string> = {},
): number {
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  if (found.length !== 1 || found[0] === undefined)
    throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`);
  return found[0].value;
}
