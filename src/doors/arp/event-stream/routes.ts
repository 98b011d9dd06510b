/** The Event Stream over HTTP (contract arp §2). */
import type { HttpRequest, QueryParameter, Route, RouteGroup, StreamReply } from '../../http.ts';
import { arpService, checked } from '../services.ts';
import type { EventLog, Scope } from './log.ts';
import { APPEND_REQUEST, APPEND_RESPONSE, type NewEvent } from './schemas.ts';
import { eventLines, streamQuery } from './stream.ts';

const BODY_BYTES_MAX = 16 * 1_048_576;
/** Proxies close what is silent for 60 s. */
const HEARTBEAT_MS = 15_000;

const STREAM_QUERY: Readonly<Record<string, QueryParameter>> = {
  cursor: {
    description: 'URL-safe base64 of the number of the last event that is known',
    schema: { type: 'string' },
  },
  limit: { description: 'How many events at most', schema: { type: 'integer', minimum: 1, maximum: 10_000 } },
  follow: {
    description: '0: end with what is there. 1: stay until the run is over',
    schema: { type: 'integer', minimum: 0, maximum: 1 },
  },
};

export function eventStreamService(
  log: EventLog,
  world: { readonly version: string; nowMs(): number; readonly heartbeatMs?: number },
): RouteGroup {
  const { heartbeatMs = HEARTBEAT_MS, ...rest } = world;
  const stream = (kind: Scope['kind'], idName: string, path: string, operation: string): Route => ({
    method: 'GET',
    path,
    operation,
    summary: 'Events in the order of their numbers, one JSON document a line.',
    query: STREAM_QUERY,
    responses: { 200: { description: 'Events', type: 'application/x-ndjson' } },
    handle: async ({ params, query, signal }: HttpRequest): Promise<StreamReply> => ({
      type: 'application/x-ndjson',
      stream: eventLines(
        log,
        { kind, id: params[idName] ?? '' },
        { ...streamQuery(query), heartbeatMs, signal },
      ),
    }),
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
