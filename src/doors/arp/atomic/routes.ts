/** The Atomic Executor over HTTP (contract arp §2): a failure of a node is an answer, not a failure. */
import type { RouteGroup } from '../../http.ts';
import type { AtomicExecution } from '../ports.ts';
import { arpService, cancelRoute } from '../services.ts';
import type { HealthCheck } from '../wire/common.ts';
import {
  ATOMIC_EXECUTE_REQUEST,
  ATOMIC_EXECUTE_RESULT,
  type AtomicExecuteRequest,
} from '../wire/requests.ts';

/** Inputs may be documents. */
const BODY_BYTES_MAX = 4 * 1_048_576;
/** A call is over when its node is: clients that leave before do not end it, and nobody else does. */
const FOR_EVER = new AbortController().signal;

export function atomicService(
  executor: AtomicExecution,
  world: {
    readonly version: string;
    nowMs(): number;
    checks?(): Promise<readonly HealthCheck[]>;
  },
): RouteGroup {
  return arpService({
    checks: async () => [],
    ...world,
    service: 'atomic-executor',
    bodyBytesMax: BODY_BYTES_MAX,
    routes: [
      {
        method: 'POST',
        path: '/v1/atomic-node-runs:execute',
        operation: 'executeAtomicNodeRun',
        summary: 'Runs an atomic NodeRun to its end. The same one again is not run twice.',
        body: { schema: ATOMIC_EXECUTE_REQUEST, required: true },
        responses: { 200: { description: 'How it ended', schema: ATOMIC_EXECUTE_RESULT } },
        handle: async ({ body }) => ({
          json: await executor.execute(body as AtomicExecuteRequest, FOR_EVER),
        }),
      },
      cancelRoute(
        'atomic',
        executor,
        'Stops a NodeRun, also one whose execute only comes now; one that ended stays as it is.',
      ),
    ],
  });
}
