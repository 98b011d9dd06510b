/** What is known of the request that the running code works for, wherever the code is. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { nextSpan, traceparentText, TRACE_LABEL, type TraceContext } from './trace-context.ts';
import type { Tracer } from './tracer.ts';

export interface RequestContext {
  readonly requestId: string;
  /** The span of the request; without a tracer, the one that came with it. */
  readonly trace: TraceContext | undefined;
  readonly tracer: Tracer | undefined;
  /** The run that it turned out to be about, for its log line. */
  runId?: string;
}

const contexts = new AsyncLocalStorage<RequestContext>();

/** Everything that `work` starts, also what goes on after it returned, works for this request. */
export function withContext<Result>(context: RequestContext, work: () => Result): Result {
  return contexts.run(context, work);
}

/** The request that is being handled is about this run; without one nothing happens. */
export function aboutRun(runId: string): void {
  const context = contexts.getStore();
  if (context !== undefined) context.runId = runId;
}

/** For the labels of a run's spec: the trace that it is asked for in. */
export function traceLabels(): Readonly<Record<string, string>> {
  const trace = contexts.getStore()?.trace;
  return trace === undefined ? {} : { [TRACE_LABEL]: traceparentText(trace) };
}

export interface OutgoingCall {
  /** To be sent along. */
  readonly headers: Readonly<Record<string, string>>;
  /** @param status of the answer; undefined: there was none. */
  end(status: number | undefined): void;
}

const UNTRACED: OutgoingCall = { headers: {}, end: () => undefined };

/** A call to another service on behalf of the current request. */
export function outgoingCall(service: string, method: string, path: string): OutgoingCall {
  const context = contexts.getStore();
  if (context === undefined) return UNTRACED;
  const { requestId, trace, tracer } = context;
  const span = tracer === undefined || trace === undefined ? trace : nextSpan(trace);
  const headers = {
    'x-request-id': requestId,
    ...(span === undefined ? {} : { traceparent: traceparentText(span) }),
    ...(span?.state === undefined ? {} : { tracestate: span.state }),
  };
  if (tracer === undefined || span === undefined) return { headers, end: () => undefined };
  const startMs = Date.now();
  return {
    headers,
    end(status) {
      tracer.record({
        name: `${method} ${service}`,
        kind: 'client',
        context: span,
        parent: trace,
        startMs,
        endMs: Date.now(),
        attributes: {
          'http.request.method': method,
          'peer.service': service,
          'url.path': path.split('?', 1)[0] ?? '',
          ...(status === undefined ? {} : { 'http.response.status_code': status }),
        },
        ...(status === undefined || status >= 400 ? { error: String(status ?? 'no answer') } : {}),
      });
    },
  };
}
