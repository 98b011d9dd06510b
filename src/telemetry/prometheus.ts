/** The meter that Prometheus reads. Loaded by who asks for metrics. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS, type Meter, type MetricName, type MetricSpec } from './meter.ts';

export interface Metrics extends Meter {
  /** Type of `text`. */
  readonly contentType: string;
  /** Everything measured so far, and the process, in Prometheus' text format. */
  text(): Promise<string>;
  /** Is asked before each `text`, for what is not measured as it happens; a failure leaves that out. */
  beforeText(read: () => Promise<void>): void;
}

type Instrument = Counter | Gauge | Histogram;

export function openMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = new Map<MetricName, Instrument>();
  for (const [name, spec] of Object.entries(METRICS) as [MetricName, MetricSpec][])
    instruments.set(name, instrument(name, spec, registry));
  const reads: (() => Promise<void>)[] = [];
  return {
    contentType: registry.contentType,
    count: (name, labels, by = 1) => (instruments.get(name) as Counter).inc(labels, by),
    observe: (name, labels, value) => (instruments.get(name) as Histogram).observe(labels, value),
    set: (name, labels, value) => (instruments.get(name) as Gauge).set(labels, value),
    beforeText: (read) => void reads.push(read),
    async text() {
      await Promise.allSettled(reads.map((read) => read()));
      return registry.metrics();
    },
  };
}

function instrument(name: MetricName, spec: MetricSpec, registry: Registry): Instrument {
  const { kind, help, labels, buckets = [] } = spec;
  const about = { name, help, labelNames: [...labels], registers: [registry] };
  if (kind === 'counter') return new Counter(about);
  return kind === 'gauge' ? new Gauge(about) : new Histogram({ ...about, buckets: [...buckets] });
}
