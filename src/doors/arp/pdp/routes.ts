/** The PDP over HTTP (contract arp §2): a denial is an answer, not a failure. */
import type { RouteGroup } from '../../http.ts';
import { arpService } from '../services.ts';
import { POLICY_DECISION, type PolicyDecision } from '../wire/core.ts';
import { POLICY_DECISION_REQUEST, type PolicyDecisionRequest } from '../wire/requests.ts';

const BODY_BYTES_MAX = 1_048_576;

export function pdpService(
  decide: (request: PolicyDecisionRequest) => Promise<PolicyDecision>,
  world: { readonly version: string; nowMs(): number },
): RouteGroup {
  return arpService({
    ...world,
    service: 'pdp',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: async () => [],
    routes: [
      {
        method: 'POST',
        path: '/v1/policy:decide',
        operation: 'decidePolicy',
        summary: 'Whether an action may be taken.',
        body: { schema: POLICY_DECISION_REQUEST, required: true },
        responses: { 200: { description: 'The decision', schema: POLICY_DECISION } },
        handle: async ({ body }) => ({ json: await decide(body as PolicyDecisionRequest) }),
      },
    ],
  });
}
