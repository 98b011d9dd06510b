/** What all services of ARP share: their names and ports, health and version, how they fail (contract arp §1, §2). */
import type { Authenticate, Route, RouteGroup } from '../http.ts';
import { ERROR_ENVELOPE, HEALTH, VERSION_INFO, type HealthCheck } from './wire/common.ts';
import { wireFailure } from './wire/errors.ts';
import { WIRE_SCHEMAS } from './wire/names.ts';
import { requireFit } from './wire/validate.ts';

export interface ServiceInfo {
  readonly port: number;
  /** As `GET /v1/version` tells it. */
  readonly name: string;
  readonly description: string;
  /** Status of a request that does not fit: the internal stores say it in their own way. */
  readonly misfitStatus: 400 | 422;
  /** The same of a query; default as above. */
  readonly queryMisfitStatus?: 422;
}

export const SERVICES = {
  'run-gateway': {
    port: 8080,
    name: 'arp-jarvis-rungateway',
    description: 'Where clients start and watch runs; hands everything on to the coordinator.',
    misfitStatus: 400,
    queryMisfitStatus: 422,
  },
  'run-coordinator': {
    port: 8081,
    name: 'arp-jarvis-run-coordinator',
    description: 'The authority over runs: what they are, and what may happen to them.',
    misfitStatus: 400,
    queryMisfitStatus: 422,
  },
  'atomic-executor': {
    port: 8082,
    name: 'jarvis-atomic-executor',
    description: 'Runs atomic nodes: built-in ones, plugins, tools of MCP servers, commands.',
    misfitStatus: 400,
  },
  'composite-executor': {
    port: 8083,
    name: 'arp-jarvis-composite-executor',
    description: 'Plans composite NodeRuns and drives their children to the end.',
    misfitStatus: 400,
  },
  'node-registry': {
    port: 8084,
    name: 'arp-jarvis-node-registry',
    description: 'Node types: published once, found by id and version.',
    misfitStatus: 400,
  },
  selection: {
    port: 8085,
    name: 'arp-jarvis-selection-service',
    description: 'Finds node types that can carry out a subtask.',
    misfitStatus: 400,
  },
  pdp: {
    port: 8086,
    name: 'arp-jarvis-pdp',
    description: 'Decides by policy whether a run may start and a node may run.',
    misfitStatus: 400,
  },
  'run-store': {
    port: 8091,
    name: 'arp-jarvis-runstore',
    description: 'Runs and NodeRuns as the coordinator writes them.',
    misfitStatus: 422,
  },
  'artifact-store': {
    port: 8092,
    name: 'arp-jarvis-artifactstore',
    description: 'Bytes that nodes produced.',
    misfitStatus: 422,
  },
  'event-stream': {
    port: 8093,
    name: 'arp-jarvis-eventstream',
    description: 'Events of runs, in order, as they were and as they come.',
    misfitStatus: 422,
  },
} as const satisfies Record<string, ServiceInfo>;

export type ServiceKey = keyof typeof SERVICES;

export interface ServiceParts {
  readonly service: ServiceKey;
  readonly routes: readonly Route[];
  /** Largest body, bytes. */
  readonly bodyBytesMax: number;
  readonly version: string;
  nowMs(): number;
  /** Looks at what the service depends on. */
  checks(): Promise<readonly HealthCheck[]>;
  /** What the checks come to; default: the worst of them. */
  statusOf?(checks: readonly HealthCheck[]): HealthCheck['status'];
  readonly authenticate?: Authenticate;
}

export function arpService(parts: ServiceParts): RouteGroup {
  const info: ServiceInfo = SERVICES[parts.service];
  const { name, description, misfitStatus, queryMisfitStatus = misfitStatus } = info;
  return {
    name: parts.service,
    description,
    prefix: '/',
    routes: [healthRoute(parts), versionRoute(name, parts.version), ...parts.routes],
    failures: {
      schema: ERROR_ENVELOPE,
      // Bodies are checked below: what the server itself finds wrong is the query.
      answer: (error) =>
        wireFailure(error, error.details?.['problems'] === undefined ? misfitStatus : queryMisfitStatus),
    },
    ids: 'with-colons',
    unknownMethod: 405,
    checkBody: (schema, body) => requireFit(schema, body, misfitStatus),
    schemas: WIRE_SCHEMAS,
    bodyBytesMax: parts.bodyBytesMax,
    ...(parts.authenticate === undefined ? {} : { authenticate: parts.authenticate }),
  };
}

function healthRoute({ checks, nowMs, statusOf = worst }: ServiceParts): Route {
  return {
    method: 'GET',
    path: '/v1/health',
    operation: 'health',
    summary: 'Whether the service works, and what it depends on.',
    open: true,
    responses: { 200: { description: 'Health', schema: HEALTH } },
    async handle() {
      const found = await checks();
      return {
        json: {
          status: statusOf(found),
          time: new Date(nowMs()).toISOString(),
          ...(found.length === 0 ? {} : { checks: found }),
        },
      };
    },
  };
}

function worst(checks: readonly HealthCheck[]): HealthCheck['status'] {
  if (checks.some(({ status }) => status === 'down')) return 'down';
  return checks.some(({ status }) => status === 'degraded') ? 'degraded' : 'ok';
}

function versionRoute(name: string, version: string): Route {
  return {
    method: 'GET',
    path: '/v1/version',
    operation: 'version',
    summary: 'Name and version of the service.',
    open: true,
    responses: { 200: { description: 'Version', schema: VERSION_INFO } },
    handle: async () => ({
      json: { service_name: name, service_version: version, supported_api_versions: ['v1'] },
    }),
  };
}

/** By which an executor is told that a NodeRun was canceled; what it does not have in progress is no failure. */
export function cancelRoute(
  of: 'atomic' | 'composite',
  executor: { cancel(nodeRunId: string): Promise<void> },
  summary: string,
): Route {
  return {
    method: 'POST',
    path: `/v1/${of}-node-runs/{node_run_id}:cancel`,
    operation: of === 'atomic' ? 'cancelAtomicNodeRun' : 'cancelCompositeNodeRun',
    summary,
    responses: { 204: { description: 'Told', schema: 'none' } },
    async handle({ params }) {
      await executor.cancel(params['node_run_id'] ?? '');
      return { status: 204, empty: true };
    },
  };
}

/** A check that says `down` instead of failing. */
export async function checked(name: string, look: () => unknown): Promise<HealthCheck> {
  try {
    await look();
    return { name, status: 'ok' };
  } catch {
    return { name, status: 'down', message: 'does not answer' };
  }
}
