/**
 * Where spans go. A span is told of once it is over, with ids of its own: so nothing has to be loaded before the first
 * one ends, and whoever has the ids can hand them on meanwhile.
 */
import type { TraceContext } from './trace-context.ts';

export interface FinishedSpan {
  readonly name: string;
  readonly kind: 'server' | 'client' | 'internal';
  readonly context: TraceContext;
  readonly parent: TraceContext | undefined;
  /** Milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  /** Never anything that could be secret: ids, codes and numbers (I9). */
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** A code; set when it failed. */
  readonly error?: string;
}

export interface Tracer {
  /** Never throws and does not wait. */
  record(span: FinishedSpan): void;
  /** Delivers what is left, for at most 5 s. */
  stop(): Promise<void>;
}

export interface TracerOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Unless `OTEL_SERVICE_NAME` says otherwise. */
  readonly service: string;
  readonly version: string;
  /** Told when spans cannot be delivered, and not again before one was. */
  note(text: string): void;
}
