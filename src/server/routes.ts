/** A door's routes on fastify. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { HttpReply, Route, RouteGroup } from '../doors/http.ts';
import { problemsOf, refuseProblems } from '../doors/validate.ts';
import { ReeveError } from '../model/errors.ts';
import type { Principal } from '../policy/auth/principal.ts';
import { withContext } from '../telemetry/request-context.ts';
import { readQuery } from './query.ts';

declare module 'fastify' {
  interface FastifyRequest {
    caller: string | undefined;
    principal: Principal | undefined;
  }
  interface FastifyContextConfig {
    group?: RouteGroup;
    route?: Route;
  }
}

/** @param stopping aborts when the server stops. */
export function addGroup(app: FastifyInstance, group: RouteGroup, stopping: AbortSignal): void {
  const add = (to: FastifyInstance, route: Route): void => {
    const bodyLimit = route.bodyBytesMax ?? group.bodyBytesMax;
    to.route({
      method: route.method,
      url: routePattern(route.path, group.ids),
      exposeHeadRoute: false,
      ...(bodyLimit === undefined ? {} : { bodyLimit }),
      config: { group, route },
      handler: (request, reply) => carryOut({ group, route, request, reply, stopping }),
    });
  };
  for (const route of group.routes) if (route.body !== 'bytes') add(app, route);
  const raw = group.routes.filter(({ body }) => body === 'bytes');
  if (raw.length === 0) return;
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, body, done) => done(null, body));
    for (const route of raw) add(scope, route);
  });
}

/**
 * `/v1/jobs/{job_id}:status` in the router's words. A parameter ends at a colon, so that verbs are not part of it, unless
 * ids may hold colons; a colon that stands for itself is doubled.
 */
export function routePattern(path: string, ids?: 'with-colons'): string {
  const characters = ids === undefined ? '[^:]+' : String.raw`[\s\S]+`;
  return path
    .split(/\{(\w+\*?)\}/)
    .map((part, at) => {
      if (at % 2 === 0) return part.replaceAll(':', '::');
      return part.endsWith('*') ? '*' : `:${part}(^${characters})`;
    })
    .join('');
}

/** The router has no name for what is left of a path. */
function paramsOf(
  { path }: Route,
  params: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const [, name] = /\{(\w+)\*\}$/.exec(path) ?? [];
  if (name === undefined) return params;
  const { '*': rest = '', ...others } = params;
  return { ...others, [name]: rest };
}

interface Exchange {
  readonly group: RouteGroup;
  readonly route: Route;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly stopping: AbortSignal;
}

async function carryOut({ group, route, request, reply, stopping }: Exchange): Promise<FastifyReply> {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort('the client is gone');
  });
  const asked = {
    id: request.id,
    headers: request.headers,
    mount: group.mount ?? '',
    params: paramsOf(route, request.params as Readonly<Record<string, string>>),
    query: await readQuery(route.query, request.url.split('?').slice(1).join('?')),
    body: route.body === 'bytes' ? undefined : await checkedBody(group, route.body, request.body),
    bytes: route.body === 'bytes' ? bytesOf(request.body) : nothing(),
    caller: request.caller,
    principal: request.principal,
    signal: AbortSignal.any([gone.signal, stopping]),
  };
  const { about = { requestId: request.id, trace: undefined, tracer: undefined } } = request;
  const answer = await withContext(about, () => route.handle(asked));
  return send(reply, answer);
}

async function checkedBody(
  group: RouteGroup,
  body: Exclude<Route['body'], 'bytes'>,
  value: unknown,
): Promise<unknown> {
  if (value === undefined) {
    if (body?.required !== true) return undefined;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'a body is missing', { field: 'body' });
  }
  if (body === undefined)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'no body is expected here', { field: 'body' });
  if (group.checkBody === undefined)
    refuseProblems('the body is not valid', await problemsOf(body.schema, value));
  else await group.checkBody(body.schema, value);
  return value;
}

/** The parser hands the stream on; without a body there is none. */
function bytesOf(body: unknown): AsyncIterable<Uint8Array> {
  return body instanceof Readable ? body : nothing();
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function send(reply: FastifyReply, answer: HttpReply): FastifyReply {
  void reply.status(answer.status ?? 200).headers(answer.headers ?? {});
  if ('empty' in answer) return reply.send();
  return 'json' in answer
    ? sendJson(reply, answer.json)
    : reply.type(answer.type).send(Readable.from(answer.stream));
}

/** Compact, with a newline (contract wrkr §i). */
export function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(`${JSON.stringify(body)}\n`);
}

/** The parser of JSON bodies: nothing is dropped or guessed. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'the body is no JSON', { field: 'body' });
  }
}
