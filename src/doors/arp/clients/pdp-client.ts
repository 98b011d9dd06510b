/** The policy decision point, asked over HTTP. */
import type { PolicyDecisionPoint } from '../ports.ts';
import { POLICY_DECISION, type PolicyDecision } from '../wire/core.ts';
import { post, type ServiceAddress } from './http-client.ts';

export function pdpClient(address: Omit<ServiceAddress, 'name'>): PolicyDecisionPoint {
  const service: ServiceAddress = { ...address, name: 'pdp' };
  return {
    async decide(request) {
      const call = { path: '/v1/policy:decide', schema: POLICY_DECISION, body: request, repeatable: true };
      return (await post(service, call)) as PolicyDecision;
    },
  };
}
