/** W3C trace context: who is a part of what, as `traceparent` and `tracestate` carry it between processes. */
import { createHash, randomBytes } from 'node:crypto';

export interface TraceContext {
  /** 32 hex digits, not all zero. */
  readonly traceId: string;
  /** 16 hex digits, not all zero. */
  readonly spanId: string;
  /** Whoever began the trace wants it recorded. */
  readonly sampled: boolean;
  /** `tracestate`, handed on word for word. */
  readonly state?: string;
}

type HeaderValue = string | readonly string[] | undefined;

const STATE_CHARS_MAX = 512;

/** What is no traceparent is no parent: undefined, never an error. */
export function parseTraceparent(header: HeaderValue, state?: HeaderValue): TraceContext | undefined {
  if (typeof header !== 'string') return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header.trim()) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  const kept = typeof state === 'string' && state.length <= STATE_CHARS_MAX && /^[\x20-\x7e]+$/.test(state);
  return {
    traceId,
    spanId,
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
    ...(kept ? { state } : {}),
  };
}

export function traceparentText({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** A span of its own: below the parent, or the first of a new trace. */
export function nextSpan(parent: TraceContext | undefined): TraceContext {
  const spanId = randomBytes(8).toString('hex');
  return parent === undefined
    ? { traceId: randomBytes(16).toString('hex'), spanId, sampled: true }
    : { ...parent, spanId };
}

/** The label of a run's spec that holds the trace it was asked for in. */
export const TRACE_LABEL = 'traceparent';

/**
 * The span of a run. Every process that knows the run finds the same one, without telling each other: its ids follow from
 * the run's id, and from the trace that the run was asked for in, where there was one.
 */
export function runSpan(
  runId: string,
  labels: Readonly<Record<string, unknown>>,
): { readonly context: TraceContext; readonly parent: TraceContext | undefined } {
  const label = labels[TRACE_LABEL];
  const parent = typeof label === 'string' ? parseTraceparent(label) : undefined;
  const hash = hexOf(`run ${runId}`);
  const spanId = hash.slice(32, 48);
  return {
    context:
      parent === undefined ? { traceId: hash.slice(0, 32), spanId, sampled: true } : { ...parent, spanId },
    parent,
  };
}

/** The span of an attempt, below that of its run: executors hand it on to what they call. */
export function attemptSpan(run: TraceContext, effectKey: string): TraceContext {
  return { ...run, spanId: hexOf(`attempt ${effectKey}`).slice(0, 16) };
}

/** A hash that is all zero does not come. */
function hexOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
