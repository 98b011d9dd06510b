/** The Event Stream over HTTP (contract arp §2). */
import type { Route, RouteGroup } from '../../http.ts';
import { arpService, checked } from '../services.ts';
import type { EventLog, Scope } from './log.ts';
import { APPEND_REQUEST, APPEND_RESPONSE, type NewEvent } from './schemas.ts';
import { STREAM_QUERY, streamReply } from './stream.ts';

const BODY_BYTES_MAX = 16 * 1_048_576;
export function eventStreamService(
  log: EventLog,
  world: { readonly version: string; nowMs(): number; readonly heartbeatMs?: number },
): RouteGroup {
  const { heartbeatMs, ...rest } = world;
  const stream = (kind: Scope['kind'], idName: string, path: string, operation: string): Route => ({
    method: 'GET',
    path,
    operation,
    summary: 'Events in the order of their numbers, one JSON document a line.',
    query: STREAM_QUERY,
    responses: { 200: { description: 'Events', type: 'application/x-ndjson' } },
    handle: (request) =>
      streamReply(request, () => log.feed({ kind, id: request.params[idName] ?? '' }), heartbeatMs),
  });
  return arpService({
    ...rest,
    service: 'event-stream',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: async () => [await checked('database', () => log.probe())],
    routes: [
      {
        method: 'POST',
        path: '/v1/run-events',
        operation: 'appendRunEvents',
        summary: 'Appends events, all or none; those without a number get the next of their run.',
        body: { schema: APPEND_REQUEST, required: true },
        responses: { 200: { description: 'Their numbers', schema: APPEND_RESPONSE } },
        handle: async ({ body }) => ({
          json: log.append((body as { readonly events: readonly NewEvent[] }).events, rest.nowMs()),
        }),
      },
      stream('run', 'run_id', '/v1/runs/{run_id}/events', 'streamRunEvents'),
      stream('node_run', 'node_run_id', '/v1/node-runs/{node_run_id}/events', 'streamNodeRunEvents'),
    ],
  });
}
