/** The Composite Executor over HTTP (contract arp §2): it takes work over at once, and reports to the coordinator. */
import type { RouteGroup } from '../../http.ts';
import { arpService, cancelRoute } from '../services.ts';
import {
  COMPOSITE_BEGIN_RESPONSE,
  INTERNAL_COMPOSITE_BEGIN_REQUEST,
  type InternalCompositeBeginRequest,
} from '../wire/requests.ts';
import type { CompositeExecutor } from './executor.ts';

const BODY_BYTES_MAX = 16 * 1_048_576;

export function compositeService(
  executor: CompositeExecutor,
  world: { readonly version: string; nowMs(): number },
): RouteGroup {
  return arpService({
    ...world,
    service: 'composite-executor',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: async () =>
      executor.missing().map((message) => ({ name: 'configuration', status: 'down', message })),
    routes: [
      {
        method: 'POST',
        path: '/v1/composite-node-runs:begin',
        operation: 'beginCompositeNodeRun',
        summary: 'Takes a composite NodeRun over; a second begin of what is in progress changes nothing.',
        body: { schema: INTERNAL_COMPOSITE_BEGIN_REQUEST, required: true },
        responses: { 200: { description: 'Whether it was taken over', schema: COMPOSITE_BEGIN_RESPONSE } },
        handle: async ({ body }) => ({ json: await executor.begin(body as InternalCompositeBeginRequest) }),
      },
      cancelRoute(
        'composite',
        executor,
        'Stops driving a composite NodeRun; what is not in progress is no failure.',
      ),
    ],
  });
}
