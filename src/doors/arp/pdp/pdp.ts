/** The policy decision point (contract arp §6). Whatever goes wrong denies, and says why. */
import { ReeveError } from '../../../model/errors.ts';
import type { PolicyEngine } from '../../../policy/arp-policy/engine.ts';
import type { NodeTypes } from '../registry/node-types.ts';
import type { NodeType, PolicyDecision } from '../wire/core.ts';
import { ArpError } from '../wire/errors.ts';
import type { PolicyDecisionRequest } from '../wire/requests.ts';
import { policyRequest } from './context.ts';

export interface PdpOptions {
  /** `JARVIS_POLICY_PROFILE`: `dev-allow` allows everything, any other denies everything. */
  readonly profile?: string;
  /** Gives the policy as it is now. @throws ReeveError */
  readonly policy?: () => Promise<PolicyEngine>;
  /** `ARP_POLICY_MODE`: what holds without a policy. */
  readonly mode?: string;
  readonly nodeTypes?: Pick<NodeTypes, 'get'>;
  readonly trustClientResource?: boolean;
}

export type Decide = (request: PolicyDecisionRequest) => Promise<PolicyDecision>;

export function decisionPoint(options: PdpOptions): Decide {
  const { profile = '', policy, mode = '' } = options;
  return async (request) => {
    if (profile === 'dev-allow')
      return {
        decision: 'allow',
        reason_code: 'dev_allow',
        message: 'the development profile allows everything',
      };
    if (profile !== '') return deny('invalid_policy_profile', `there is no policy profile ${shown(profile)}`);
    if (policy !== undefined) return byPolicy(options, policy, request);
    if (mode === 'allow_all')
      return { decision: 'allow', reason_code: 'allow_all', message: 'the policy mode allows everything' };
    return mode === 'file'
      ? deny('missing_policy_path', 'the policy mode is file, and no file is named')
      : deny('policy_unconfigured', 'no policy is configured');
  };
}

async function byPolicy(
  { nodeTypes, trustClientResource = false }: PdpOptions,
  policy: () => Promise<PolicyEngine>,
  request: PolicyDecisionRequest,
): Promise<PolicyDecision> {
  let engine: PolicyEngine;
  try {
    engine = await policy();
  } catch (error) {
    if (error instanceof ReeveError) return deny('invalid_policy', error.message);
    throw error;
  }
  const extensions = {
    'jarvis.policy_hash': engine.hash,
    ...(engine.version === undefined ? {} : { 'jarvis.policy_version': engine.version }),
  };
  const found = await hydrate(nodeTypes, request);
  if ('decision' in found) return { ...found, extensions };
  const { decision, reason, message } = engine.decide(
    policyRequest(request, found.nodeType, { trustClientResource }),
  );
  return { decision, reason_code: reason, ...(message === undefined ? {} : { message }), extensions };
}

async function hydrate(
  nodeTypes: Pick<NodeTypes, 'get'> | undefined,
  { node_type_ref: ref }: PolicyDecisionRequest,
): Promise<{ readonly nodeType: NodeType | undefined } | PolicyDecision> {
  if (ref === undefined) return { nodeType: undefined };
  if (nodeTypes === undefined)
    return deny('node_registry_unconfigured', 'a node type is named, and no node registry is configured');
  try {
    return { nodeType: await nodeTypes.get(ref.node_type_id, ref.version) };
  } catch (error) {
    if (error instanceof ArpError) return deny(error.wireCode, error.message);
    return deny('node_type_metadata_unavailable', 'what the registry knows of the node type cannot be had');
  }
}

function deny(reason_code: string, message: string): PolicyDecision {
  return { decision: 'deny', reason_code, message };
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
