/** The tracer that the environment asks for. Until the first span is over, nothing of it is loaded. */
import type { FinishedSpan, Tracer, TracerOptions } from './tracer.ts';

const STOP_MS = 5000;

/** @returns undefined: the environment names no receiver, or turns traces off; then nothing is loaded. */
export function tracerFor(options: TracerOptions): Tracer | undefined {
  const { env } = options;
  const set = (name: string): string => env[name]?.trim() ?? '';
  const isAsked =
    set('OTEL_EXPORTER_OTLP_ENDPOINT') !== '' || set('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') !== '';
  const isOff = set('OTEL_SDK_DISABLED').toLowerCase() === 'true' || set('OTEL_TRACES_EXPORTER') === 'none';
  return isAsked && !isOff ? new LazyTracer(options) : undefined;
}

/** Loads the exporter when the first span is over. */
class LazyTracer implements Tracer {
  readonly #options: TracerOptions;
  #exporter: Promise<Tracer> | undefined;

  constructor(options: TracerOptions) {
    this.#options = options;
  }

  record(span: FinishedSpan): void {
    if (!span.context.sampled) return;
    this.#exporter ??= import('./otlp-tracer.ts').then(({ otlpTracer }) => otlpTracer(this.#options));
    void this.#exporter.then(
      (tracer) => tracer.record(span),
      () => undefined, // said when it stops
    );
  }

  async stop(): Promise<void> {
    if (this.#exporter === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`they took more than ${STOP_MS / 1000} s`)), STOP_MS);
    });
    try {
      await Promise.race([late, this.#exporter.then((tracer) => tracer.stop())]);
    } catch (error) {
      this.#options.note(`the last traces were not delivered: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
