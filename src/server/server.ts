/**
 * The HTTP server that carries the doors: who may ask, what may come in, how it fails, how it stops. It knows nothing of
 * any door (DESIGN §4).
 */
import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Authenticate, Failures, RouteGroup } from '../doors/http.ts';
import { ReeveError } from '../model/errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/prometheus.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import { answerOnSocket, errorOf, groupOf, noRoute } from './failures.ts';
import { addressText, type ListenAddress } from './listen.ts';
import { refuseOverlap } from './mount.ts';
import { refuseForeign } from './origin.ts';
import { addGroup, parseBody, sendJson } from './routes.ts';
import { serviceGroup, type Check } from './service.ts';
import { authenticate, type KnownToken } from './tokens.ts';
import { RequestWatch } from './watch.ts';

export interface ServerOptions {
  readonly groups: readonly RouteGroup[];
  /** How that fails which belongs to no group. */
  readonly failures: Failures;
  readonly title: string;
  readonly version: string;
  readonly listen: ListenAddress;
  /** None: whoever reaches the server may ask. */
  readonly tokens: readonly KnownToken[];
  /** Who asks; default: by `tokens`. */
  readonly authenticate?: Authenticate;
  /** Names, beside its address, by which the server may be addressed. */
  readonly names: readonly string[];
  readonly bodyBytesMax: number;
  readonly limits?: Partial<ConnectionLimits>;
  /** HTTPS instead of HTTP. */
  readonly tls?: TlsOptions;
  /** Whether work can be done now. */
  isReady(): Promise<boolean>;
  /** A line for whoever runs the server. */
  note(text: string): void;
  /** What readiness says beside that: dependencies, and whether work moves on. */
  checks?(): Promise<readonly Check[]>;
  /** Takes a line for each answer. */
  readonly log?: Log;
  /** Is fed, and can be read at `/metrics`. */
  readonly metrics?: Metrics;
  /** Anybody may read `/metrics`. Default: who may ask for anything. */
  readonly metricsOpen?: boolean;
  readonly tracer?: Tracer;
}

export interface TlsOptions {
  /** PEM: the certificate, and those between it and its authority. */
  readonly cert: string;
  readonly key: string;
  /** PEM of authorities: whoever has no certificate of one of them cannot connect. */
  readonly clientCa?: string;
}

export interface ConnectionLimits {
  /** Until the headers are there, from the first byte on or from the connection on, milliseconds. */
  readonly headerMs: number;
  /** Until the whole request is there, milliseconds. */
  readonly requestMs: number;
  /** That a connection may wait for its next request, milliseconds. */
  readonly idleMs: number;
  readonly connections: number;
  /** Of one request, bytes. */
  readonly headerBytes: number;
}

const LIMITS: ConnectionLimits = {
  headerMs: 5000,
  requestMs: 30_000,
  idleMs: 65_000, // more than the 60 s of common proxies: they close first, and lose no request
  connections: 1024,
  headerBytes: 16_384,
};
/** How often the limits of time are looked at, milliseconds. */
const LOOK_MS = 500;
const PARAMETER_CHARS_MAX = 1000;

export interface RunningServer {
  /** `host:port` as it can be connected to. */
  readonly address: string;
  /** Takes no more connections, lets requests finish, and cuts off what has not after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** @throws ReeveError E_LISTEN_FAILED */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const stopping = new AbortController();
  const app = assemble(options, stopping.signal);
  const { host, port } = options.listen;
  try {
    await app.listen({ port, host: await bindAddress(host) });
  } catch (error) {
    await app.close();
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'another program listens there' : (code ?? (error as Error).message);
    throw new ReeveError('E_LISTEN_FAILED', `cannot listen on ${addressText(host, port)}: ${why}`, {
      listen: addressText(host, port),
      ...(code === undefined ? {} : { cause: code }),
    });
  }
  const bound = app.server.address();
  return {
    address: addressText(host, typeof bound === 'object' && bound !== null ? bound.port : port),
    async stop(graceMs) {
      stopping.abort('the server stops');
      const cut = setTimeout(() => app.server.closeAllConnections(), graceMs);
      await app.close();
      clearTimeout(cut);
    },
  };
}

/** One address: the framework would open a second server for the other meaning of `localhost`. */
async function bindAddress(host: string): Promise<string> {
  if (host === '') {
    const all = Object.values(networkInterfaces()).flat();
    return all.some((entry) => entry?.family === 'IPv6') ? '::' : '0.0.0.0';
  }
  if (host !== 'localhost') return host;
  const { address } = await lookup(host);
  return address === '::1' ? address : '127.0.0.1'; // whatever a hosts file says
}

function assemble(options: ServerOptions, stopping: AbortSignal): FastifyInstance {
  const limits = { ...LIMITS, ...options.limits };
  const groups = [...options.groups, serviceGroup(options)];
  refuseOverlap(groups);
  const connections = {
    headersTimeout: limits.headerMs,
    connectionsCheckingInterval: LOOK_MS,
    maxHeaderSize: limits.headerBytes,
  };
  const app = fastify({
    logger: false,
    bodyLimit: options.bodyBytesMax,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    // Requests that arrive while we stop are answered like others, and their connection is closed.
    return503OnClosing: false,
    genReqId: ({ headers }) => givenId(headers['x-request-id']) ?? randomUUID(),
    routerOptions: { maxParamLength: PARAMETER_CHARS_MAX },
    ...(options.tls === undefined
      ? { http: connections }
      : { https: { ...connections, ...secured(options.tls) } }),
    frameworkErrors: (error, request, reply) =>
      refuse(error, request as FastifyRequest, reply as FastifyReply),
    clientErrorHandler: (error, socket) =>
      answerOnSocket(error, socket, options.failures, limits.headerBytes),
  });
  app.server.maxConnections = limits.connections;
  app.decorateRequest('caller', undefined);
  app.decorateRequest('principal', undefined);
  app.decorateRequest('about', undefined);
  const { metrics: meter, tracer, log } = options;
  const watch = new RequestWatch({ meter, tracer, log });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    try {
      done(null, parseBody(bytes as Buffer));
    } catch (error) {
      done(error as ReeveError);
    }
  });
  app.addHook('onRequest', async (request, reply) => {
    watch.begin(request, reply);
    setHeaders(request, reply);
    await admit(request);
  });
  app.setErrorHandler((error, request, reply) => fail(error, request, reply));
  app.setNotFoundHandler((request) => {
    throw noRoute(request.method, request.url, groupFor(request));
  });
  for (const group of groups) addGroup(app, group, stopping);
  return app;

  /** @throws HttpFailure 401, 403 */
  async function admit(request: FastifyRequest): Promise<void> {
    refuseForeign(request.headers, { host: options.listen.host, names: options.names });
    const { route } = request.routeOptions.config;
    if (route?.open === true) return;
    // Node would take the first of several: what another program checked may be the second.
    const authorization = request.raw.headersDistinct['authorization']?.join(', ');
    const ask = groupFor(request)?.authenticate ?? options.authenticate;
    if (ask === undefined) {
      request.caller = authenticate(options.tokens, authorization);
      return;
    }
    const path = request.url.split('?', 1)[0] ?? '';
    const principal = await ask({ ...request.headers, authorization }, path);
    request.principal = principal;
    request.caller = principal?.via === 'token' ? principal.subject : undefined;
  }

  function groupFor(request: FastifyRequest): RouteGroup | undefined {
    return request.routeOptions.config.group ?? groupOf(groups, request.url);
  }

  function fail(cause: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = errorOf(cause, {
      requestId: request.id,
      bodyBytesMax: request.routeOptions.bodyLimit ?? options.bodyBytesMax,
      note: (text) => options.note(text),
    });
    const { failures } = groupFor(request) ?? options;
    const { status, body } = failures.answer(error, request.method, request.principal?.tenant);
    const headers = 'headers' in error ? (error.headers as Record<string, string>) : {};
    return sendJson(reply.status(status).headers(headers), body);
  }

  /** What the framework refuses before any hook: our own refusals come first. */
  function refuse(cause: unknown, request: FastifyRequest, reply: FastifyReply): void {
    watch.begin(request, reply);
    setHeaders(request, reply);
    void admit(request).then(
      () => fail(cause, request, reply),
      (error: unknown) => fail(error, request, reply),
    );
  }
}

function secured({ cert, key, clientCa }: TlsOptions) {
  return {
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}

function setHeaders(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers({
    'x-request-id': request.id,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
}

/** A proxy's id for the request, if it is one that can stand in a log. */
function givenId(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[\w.-]{1,100}$/.test(header) ? header : undefined;
}
