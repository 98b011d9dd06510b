/** What a policy may look at, made of a request and of what the registry says (contract arp §6). Pure. */
import type { NodeType } from '../wire/core.ts';
import type { PolicyDecisionRequest } from '../wire/requests.ts';
import type { PolicyRequest } from '../../../policy/arp-policy/engine.ts';

export interface ContextOptions {
  /** `context.resource` of the request takes the place of the resource. Off: the caller must not choose it (H28). */
  readonly trustClientResource: boolean;
}

type Fields = Readonly<Record<string, unknown>>;
const PREFIX = 'jarvis.';

export function policyRequest(
  request: PolicyDecisionRequest,
  nodeType: NodeType | undefined,
  { trustClientResource }: ContextOptions,
): PolicyRequest {
  const { action, run_id, node_run_id, node_type_ref, run_context, context = {} } = request;
  const ours = present({
    run_id,
    node_run_id,
    node_type_id: node_type_ref?.node_type_id,
    node_type_version: node_type_ref?.version,
    run_context,
    node_type: nodeType === undefined ? undefined : nodeTypeFields(nodeType),
  });
  const given = trustClientResource ? context['resource'] : undefined;
  const fromRun = `run:${run_id ?? '*'}`;
  return {
    action,
    resource:
      typeof given === 'string'
        ? given
        : node_type_ref === undefined
          ? fromRun
          : `node_type:${node_type_ref.node_type_id}`,
    context: { ...withoutShadows(context, Object.keys(ours)), ...ours },
  };
}

function nodeTypeFields({ node_type_id: id, version, kind, description, extensions = {} }: NodeType): Fields {
  const jarvis = Object.entries(extensions)
    .filter(([key]) => key.startsWith(PREFIX))
    .map(([key, value]) => [key.slice(PREFIX.length), value] as const);
  return present({
    id,
    version,
    kind,
    description,
    jarvis: jarvis.length === 0 ? undefined : Object.fromEntries(jarvis),
  });
}

/** A literal key wins over a descent: `node_type.kind` from the caller must not hide what the registry says. */
function withoutShadows(context: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(
    Object.entries(context).filter(([key]) => !names.some((name) => key.startsWith(`${name}.`))),
  );
}

function present(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
