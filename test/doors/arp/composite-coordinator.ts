/** The part of a coordinator that executors talk to, over HTTP, with the wire's own schemas before it. */
import { ERROR_ENVELOPE } from '../../../src/doors/arp/wire/common.ts';
import { wireFailure } from '../../../src/doors/arp/wire/errors.ts';
import * as requests from '../../../src/doors/arp/wire/requests.ts';
import { requireFit } from '../../../src/doors/arp/wire/validate.ts';
import type { HttpRequest, Route, RouteGroup } from '../../../src/doors/http.ts';
import { MemoryCoordinator, type Runs } from './composite-support.ts';

export class HttpCoordinator {
  readonly coordinator: MemoryCoordinator;
  /** Of each request, in order. */
  readonly tokens: (string | undefined)[] = [];

  constructor(runs: Runs) {
    this.coordinator = new MemoryCoordinator(runs);
  }

  group(): RouteGroup {
    return {
      name: 'coordinator',
      description: 'Coordinator of a test.',
      prefix: '/',
      failures: { schema: ERROR_ENVELOPE, answer: (error) => wireFailure(error, 400) },
      ids: 'with-colons',
      checkBody: (schema, body) => requireFit(schema, body),
      routes: [
        this.#route('POST', '', requests.NODE_RUNS_CREATE_REQUEST, async ({ body }) => ({
          node_runs: await this.coordinator.create(body as requests.NodeRunsCreateRequest),
        })),
        this.#route('GET', '/{id}', undefined, ({ params }) => this.coordinator.nodeRun(params['id'] ?? '')),
        this.#route('POST', '/{id}:evaluation', requests.NODE_RUN_EVALUATION_REQUEST, ({ params, body }) =>
          this.coordinator.evaluate(params['id'] ?? '', body as requests.NodeRunEvaluationRequest),
        ),
        this.#route('POST', '/{id}:complete', requests.NODE_RUN_COMPLETE_REQUEST, ({ params, body }) =>
          this.coordinator.complete(params['id'] ?? '', body as requests.NodeRunCompleteRequest),
        ),
      ],
    };
  }

  #route(
    method: 'GET' | 'POST',
    path: string,
    schema: object | undefined,
    answer: (request: HttpRequest) => Promise<unknown>,
  ): Route {
    return {
      method,
      path: `/v1/node-runs${path}`,
      operation: `${method}${path}`.replaceAll(/\W/g, ''),
      summary: 'of a test',
      ...(schema === undefined ? {} : { body: { schema, required: true } }),
      responses: { 200: { description: 'ok' } },
      handle: async (request) => {
        const { authorization } = request.headers;
        this.tokens.push(typeof authorization === 'string' ? authorization : undefined);
        const json = await answer(request);
        return json === undefined ? { status: 204, empty: true } : { json };
      },
    };
  }
}
