/** The Run Coordinator over HTTP (contract arp §2). */
import type { Authenticate, HttpRequest, Route, RouteGroup } from '../../http.ts';
import { STREAM_QUERY, streamReply } from '../event-stream/stream.ts';
import { arpService } from '../services.ts';
import type { HealthCheck } from '../wire/common.ts';
import { INTERNAL_NODE_RUN, INTERNAL_RUN } from '../wire/runs.ts';
import {
  INTERNAL_NODE_RUNS_CREATE_RESPONSE,
  NODE_RUN_COMPLETE_REQUEST,
  NODE_RUN_EVALUATION_REQUEST,
  NODE_RUNS_CREATE_REQUEST,
  RUN_START_REQUEST,
  type NodeRunCompleteRequest,
  type NodeRunEvaluationRequest,
  type NodeRunsCreateRequest,
  type RunStartRequest,
} from '../wire/requests.ts';
import { OURSELVES } from './access.ts';
import { withAssignments, type AssignmentTokens } from './assignment-tokens.ts';
import type { Coordinator } from './coordinator.ts';

const BODY_BYTES_MAX = 16 * 1_048_576;

const EVENTS = { 200: { description: 'Events', type: 'application/x-ndjson' } };
const NOTHING = { 204: { description: 'Recorded', schema: 'none' } } as const;

export interface CoordinatorWorld {
  readonly version: string;
  nowMs(): number;
  /** Who asks; default: whoever reaches it may do everything. */
  readonly authenticate?: Authenticate;
  /** Tokens that were given to executors along with their work; undefined: none were. */
  readonly assignments?: AssignmentTokens;
  /** What it depends on: `store`, without which nothing works, and others, without which some things do. */
  checks(): Promise<readonly HealthCheck[]>;
  readonly heartbeatMs?: number;
}

export function coordinatorService(coordinator: Coordinator, world: CoordinatorWorld): RouteGroup {
  const { authenticate = () => OURSELVES, assignments, heartbeatMs, ...rest } = world;
  return arpService({
    ...rest,
    service: 'run-coordinator',
    statusOf,
    bodyBytesMax: BODY_BYTES_MAX,
    authenticate: assignments === undefined ? authenticate : withAssignments(assignments, authenticate),
    routes: [
      startRoute(coordinator, '/v1/runs', 'startRun'),
      startRoute(coordinator, '/v1/runs:start', 'startRunByVerb'),
      ...runRoutes(coordinator, heartbeatMs),
      ...nodeRunRoutes(coordinator, heartbeatMs),
    ],
  });
}

function statusOf(checks: readonly HealthCheck[]): HealthCheck['status'] {
  if (checks.some(({ name, status }) => name === 'store' && status === 'down')) return 'down';
  return checks.every(({ status }) => status === 'ok') ? 'ok' : 'degraded';
}

function startRoute(coordinator: Coordinator, path: string, operation: string): Route {
  return {
    method: 'POST',
    path,
    operation,
    summary: 'Starts a run. One that the policy denies is there, and has failed.',
    body: { schema: RUN_START_REQUEST, required: true },
    responses: { 200: { description: 'The run', schema: INTERNAL_RUN } },
    handle: async ({ body, principal }) => ({
      json: await coordinator.start(body as RunStartRequest, principal),
    }),
  };
}

function runRoutes(coordinator: Coordinator, heartbeatMs: number | undefined): readonly Route[] {
  const id = ({ params }: HttpRequest): string => params['run_id'] ?? '';
  return [
    {
      method: 'GET',
      path: '/v1/runs/{run_id}',
      operation: 'getRun',
      summary: 'A run as it is now.',
      responses: { 200: { description: 'The run', schema: INTERNAL_RUN } },
      handle: async (request) => ({ json: await coordinator.run(id(request), request.principal) }),
    },
    {
      method: 'POST',
      path: '/v1/runs/{run_id}:cancel',
      operation: 'cancelRun',
      summary: 'Cancels a run and all of its NodeRuns; one that is over stays as it is.',
      responses: { 200: { description: 'The run', schema: INTERNAL_RUN } },
      handle: async (request) => ({ json: await coordinator.cancel(id(request), request.principal) }),
    },
    {
      method: 'GET',
      path: '/v1/runs/{run_id}/events',
      operation: 'streamRunEvents',
      summary: 'All events of a run, in the order of their numbers.',
      query: STREAM_QUERY,
      responses: EVENTS,
      handle: (request) =>
        streamReply(request, () => coordinator.runFeed(id(request), request.principal), heartbeatMs),
    },
  ];
}

function nodeRunRoutes(coordinator: Coordinator, heartbeatMs: number | undefined): readonly Route[] {
  const id = ({ params }: HttpRequest): string => params['node_run_id'] ?? '';
  return [
    {
      method: 'POST',
      path: '/v1/node-runs',
      operation: 'createNodeRuns',
      summary: 'Creates children of a composite NodeRun, all or none; with the same keys again, nothing.',
      body: { schema: NODE_RUNS_CREATE_REQUEST, required: true },
      responses: {
        200: { description: 'One for each spec, in their order', schema: INTERNAL_NODE_RUNS_CREATE_RESPONSE },
      },
      async handle({ body, principal }) {
        const request = body as NodeRunsCreateRequest;
        const nodeRuns = await coordinator.create(request, principal);
        const { extensions } = request;
        return { json: { node_runs: nodeRuns, ...(extensions === undefined ? {} : { extensions }) } };
      },
    },
    {
      method: 'GET',
      path: '/v1/node-runs/{node_run_id}',
      operation: 'getNodeRun',
      summary: 'A NodeRun as it is now.',
      responses: { 200: { description: 'The NodeRun', schema: INTERNAL_NODE_RUN } },
      handle: async (request) => ({ json: await coordinator.nodeRun(id(request), request.principal) }),
    },
    {
      method: 'GET',
      path: '/v1/node-runs/{node_run_id}/events',
      operation: 'streamNodeRunEvents',
      summary: 'Events of a NodeRun and of those below it, with the numbers that they have in their run.',
      query: STREAM_QUERY,
      responses: EVENTS,
      handle: (request) =>
        streamReply(request, () => coordinator.nodeRunFeed(id(request), request.principal), heartbeatMs),
    },
    {
      method: 'POST',
      path: '/v1/node-runs/{node_run_id}:evaluation',
      operation: 'reportNodeRunEvaluation',
      summary: 'Records how a NodeRun was evaluated, and what is to be done about it.',
      body: { schema: NODE_RUN_EVALUATION_REQUEST, required: true },
      responses: NOTHING,
      async handle(request) {
        await coordinator.evaluate(id(request), request.body as NodeRunEvaluationRequest, request.principal);
        return { status: 204, empty: true };
      },
    },
    {
      method: 'POST',
      path: '/v1/node-runs/{node_run_id}:complete',
      operation: 'completeNodeRun',
      summary: 'Ends a NodeRun; the root ends its run. The first end counts.',
      body: { schema: NODE_RUN_COMPLETE_REQUEST, required: true },
      responses: NOTHING,
      async handle(request) {
        await coordinator.complete(id(request), request.body as NodeRunCompleteRequest, request.principal);
        return { status: 204, empty: true };
      },
    },
  ];
}
