/** The Run Gateway over HTTP (contract arp §2): it keeps nothing and decides nothing. */
import type { HttpReply, HttpRequest, Route, RouteGroup } from '../../http.ts';
import { get } from '../clients/http-client.ts';
import { STREAM_QUERY } from '../event-stream/stream.ts';
import { arpService } from '../services.ts';
import { HEALTH, type HealthCheck } from '../wire/common.ts';
import { ArpError } from '../wire/errors.ts';
import { INTERNAL_RUN } from '../wire/runs.ts';
import type { TypeOf } from '../../wire-schema.ts';
import { relay, type CoordinatorAddress } from './relay.ts';

const BODY_BYTES_MAX = 16 * 1_048_576;
const HEALTH_MS = 2000;

/** @param coordinator undefined: none is configured, and every request is told so. */
export function gatewayService(
  coordinator: CoordinatorAddress | undefined,
  world: { readonly version: string; nowMs(): number },
): RouteGroup {
  const handOn =
    (method: 'GET' | 'POST', pathOf: (id: string) => string) =>
    async (request: HttpRequest): Promise<HttpReply> => {
      if (coordinator === undefined)
        throw new ArpError(503, 'run_coordinator_missing', 'no run coordinator is configured', {
          retryable: false,
        });
      const path = pathOf(encodeURIComponent(request.params['run_id'] ?? ''));
      return relay(coordinator, request, { method, path });
    };
  const run = { 200: { description: 'The run', schema: INTERNAL_RUN } };
  const start = (path: string, operation: string): Route => ({
    method: 'POST',
    path,
    operation,
    summary: 'Starts a run.',
    body: 'bytes',
    responses: run,
    handle: handOn('POST', () => path),
  });
  return arpService({
    ...world,
    service: 'run-gateway',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: () => checksOf(coordinator),
    statusOf: ([own]) => (own?.details?.['status'] === undefined ? 'degraded' : own.status),
    routes: [
      start('/v1/runs', 'startRun'),
      start('/v1/runs:start', 'startRunByVerb'),
      {
        method: 'GET',
        path: '/v1/runs/{run_id}',
        operation: 'getRun',
        summary: 'A run as it is now.',
        responses: run,
        handle: handOn('GET', (id) => `/v1/runs/${id}`),
      },
      {
        method: 'POST',
        path: '/v1/runs/{run_id}:cancel',
        operation: 'cancelRun',
        summary: 'Cancels a run.',
        body: 'bytes',
        responses: run,
        handle: handOn('POST', (id) => `/v1/runs/${id}:cancel`),
      },
      {
        method: 'GET',
        path: '/v1/runs/{run_id}/events',
        operation: 'streamRunEvents',
        summary: 'All events of a run, in the order of their numbers.',
        query: STREAM_QUERY,
        responses: { 200: { description: 'Events', type: 'application/x-ndjson' } },
        handle: handOn('GET', (id) => `/v1/runs/${id}/events`),
      },
    ],
  });
}

/** The coordinator's word on itself comes first; it has no status of its own to tell when it does not answer. */
async function checksOf(coordinator: CoordinatorAddress | undefined): Promise<readonly HealthCheck[]> {
  const name = 'run_coordinator';
  if (coordinator === undefined) return [{ name, status: 'down', message: 'is not configured' }];
  const { baseUrl } = coordinator;
  try {
    const call = { path: '/v1/health', schema: HEALTH };
    const health = (await get({ name, baseUrl, timeoutMs: HEALTH_MS }, call)) as TypeOf<typeof HEALTH>;
    const { status, checks = [] } = health;
    return [{ name, status, details: { url: baseUrl, status } }, ...checks];
  } catch {
    return [{ name, status: 'down', message: 'does not answer', details: { url: baseUrl } }];
  }
}
