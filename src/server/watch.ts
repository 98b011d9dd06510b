/** What is known of a request while it is answered, and what is told of it afterwards: a metric, a span, a line. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../telemetry/log.ts';
import type { Meter } from '../telemetry/meter.ts';
import type { RequestContext } from '../telemetry/request-context.ts';
import { nextSpan, parseTraceparent } from '../telemetry/trace-context.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import { accessFields, accessLevel } from './access-log.ts';

declare module 'fastify' {
  interface FastifyRequest {
    about: RequestContext | undefined;
  }
}

export interface Watchers {
  readonly meter: Meter | undefined;
  readonly tracer: Tracer | undefined;
  readonly log: Log | undefined;
}

/** What proxies say of a client that went before its answer. */
const CLIENT_GONE = 499;
const NO_ROUTE = 'none';

export class RequestWatch {
  readonly #watchers: Watchers;
  #inFlight = 0;

  constructor(watchers: Watchers) {
    this.#watchers = watchers;
  }

  begin(request: FastifyRequest, reply: FastifyReply): void {
    const { meter, tracer, log } = this.#watchers;
    const { headers } = request;
    const parent = parseTraceparent(headers['traceparent'], headers['tracestate']);
    const isTraced = tracer !== undefined && !isProbe(request);
    request.about = {
      requestId: request.id,
      trace: isTraced ? nextSpan(parent) : parent,
      tracer: isTraced ? tracer : undefined,
    };
    if (meter === undefined && !isTraced && log === undefined) return;
    const startMs = Date.now();
    this.#inFlight += 1;
    meter?.set('reeve_http_requests_in_flight', {}, this.#inFlight);
    // The one thing that comes of every answer, also of one that nobody waits for any more.
    reply.raw.once('close', () => {
      this.#inFlight -= 1;
      meter?.set('reeve_http_requests_in_flight', {}, this.#inFlight);
      const status = reply.raw.writableFinished ? reply.statusCode : CLIENT_GONE;
      this.#told(request, status, { startMs, durationMs: reply.elapsedTime, parent });
    });
  }

  #told(
    request: FastifyRequest,
    status: number,
    { startMs, durationMs, parent }: Timing & { parent: RequestContext['trace'] },
  ): void {
    const { meter, log } = this.#watchers;
    const { about, method } = request;
    const path = request.routeOptions.config.route?.path;
    const route = path ?? NO_ROUTE;
    meter?.count('reeve_http_requests_total', { method, route, status: String(status) });
    meter?.observe('reeve_http_request_duration_seconds', { method, route }, durationMs / 1000);
    if (log !== undefined) {
      const entry = {
        requestId: request.id,
        method,
        url: request.url,
        route: path,
        isProbe: isProbe(request),
        status,
        durationMs,
        remote: request.ip,
        caller: request.caller,
        runId: runOf(request),
        traceId: about?.trace?.traceId,
      };
      log.say(accessLevel(entry), 'request', accessFields(entry));
    }
    if (about?.tracer === undefined || about.trace === undefined) return;
    const runId = runOf(request);
    about.tracer.record({
      name: `${method} ${route}`,
      kind: 'server',
      context: about.trace,
      parent,
      startMs,
      endMs: startMs + durationMs,
      attributes: {
        'http.request.method': method,
        'http.route': route,
        'http.response.status_code': status,
        'reeve.request_id': request.id,
        ...(runId === undefined ? {} : { 'reeve.run_id': runId }),
      },
      ...(status >= 500 || status === CLIENT_GONE ? { error: String(status) } : {}),
    });
  }
}

interface Timing {
  readonly startMs: number;
  readonly durationMs: number;
}

/** What anybody may ask is asked by probes; and by who scrapes. */
function isProbe(request: FastifyRequest): boolean {
  const { route } = request.routeOptions.config;
  return route?.open === true || route?.operation === 'metrics';
}

/** What the handler said, or the path. */
function runOf({ about, params }: FastifyRequest): string | undefined {
  const { run_id: run, job_id: job } = (params ?? {}) as Readonly<Record<string, string | undefined>>;
  return about?.runId ?? run ?? job;
}
