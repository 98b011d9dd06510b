/** Whether something may be done, and what is recorded of the answer (contract arp §4.3). */
import type { Fact } from '../../../model/events.ts';
import type { JsonObject } from '../../../model/json.ts';
import type { PolicyDecisionPoint } from '../ports.ts';
import type { PolicyDecision } from '../wire/core.ts';
import type { PolicyDecisionRequest } from '../wire/requests.ts';
import { POLICY_FACT, type PolicyAction, type PolicyFact } from './facts.ts';

export interface PolicyOptions {
  readonly pdp?: PolicyDecisionPoint;
  /** Whether everything is allowed where there is no decision point; asked for each decision. */
  readonly allowsWithout?: () => boolean;
}

/** Never throws: who cannot be asked has not allowed it (G8). */
export async function askPolicy(
  { pdp, allowsWithout = () => false }: PolicyOptions,
  request: PolicyDecisionRequest & { readonly action: PolicyAction },
): Promise<PolicyDecision> {
  if (pdp !== undefined) {
    return pdp.decide(request).catch((error: unknown) => ({
      decision: 'deny' as const,
      reason_code: 'pdp_unavailable',
      message: error instanceof Error ? error.message : 'the policy decision point cannot be asked',
    }));
  }
  return allowsWithout()
    ? { decision: 'allow', reason_code: 'policy_bypass', message: 'the policy profile allows everything' }
    : {
        decision: 'deny',
        reason_code: 'policy_unconfigured',
        message: 'No PDP configured for policy enforcement',
      };
}

/** `JARVIS_POLICY_PROFILE=dev-allow`, or the older `ARP_POLICY_MODE=allow_all`. */
export function allowsByVariables(env: Readonly<Record<string, string | undefined>>): boolean {
  return (
    env['JARVIS_POLICY_PROFILE']?.trim() === 'dev-allow' || env['ARP_POLICY_MODE']?.trim() === 'allow_all'
  );
}

export function policyFact(action: PolicyAction, node: string, decision: PolicyDecision): Fact {
  const data: PolicyFact = { action, decision };
  return { name: POLICY_FACT, node, data: data as unknown as JsonObject };
}

/** Why a NodeRun fails that was not allowed. */
export function policyDenial(
  action: PolicyAction,
  { decision, reason_code, message }: PolicyDecision,
): { readonly code: string; readonly message: string; readonly details: JsonObject } {
  return {
    code: 'policy_denied',
    message: message ?? `the policy does not allow ${action}`,
    details: { action, decision, ...(reason_code === undefined ? {} : { reason_code }) },
  };
}
