/**
 * Whether a NodeRun may be dispatched (contract arp §4.7), asked under its lease before each attempt. What policy says is
 * on record before anything follows from it.
 */
import type { Admission, AdmissionContext, Admit } from '../../../../engine/admission.ts';
import type { AttemptError, Fact } from '../../../../model/events.ts';
import { SIDE_EFFECTS, type SideEffect } from '../../../../model/constraints.ts';
import type { JsonObject } from '../../../../model/json.ts';
import type { Node, RunState } from '../../../../model/state.ts';
import { BINDING_FACT, type BindingFact } from '../facts.ts';
import { askPolicy, policyDenial, policyFact, type PolicyOptions } from '../policy.ts';
import type { RunViews } from '../run-views.ts';
import { isOfArp, type RunView } from '../view.ts';
import type { NodeInput } from '../spec.ts';

export interface AdmissionParts {
  readonly views: RunViews;
  readonly policy: PolicyOptions;
  readonly atomic: Target | undefined;
  readonly composite: Target | undefined;
  /** Where composite executors call back. */
  readonly publicUrl: string | undefined;
}

/** Where NodeRuns of one kind go. */
export interface Target {
  readonly endpoint: string;
  readonly audience?: string;
}

export function admission(parts: AdmissionParts): Admit {
  return async (state, node, context) => {
    if (!isOfArp({ labels: state.spec.labels })) return 'go';
    const view = await parts.views.having(state.id, node.spec.id);
    if (view === undefined) return 'go'; // removed meanwhile: the start is refused
    return admit(parts, view, state, node, context);
  };
}

async function admit(
  parts: AdmissionParts,
  { request: { run_context } }: RunView,
  state: RunState,
  node: Node,
  { isApproved }: AdmissionContext,
): Promise<Admission> {
  const { id: nodeId } = node.spec;
  const input = node.spec.input as unknown as NodeInput;
  const { node_type_ref: ref, kind, constraints = {} } = input;
  const misfit = kindRefusal(input) ?? listRefusal(input) ?? effectRefusal(node) ?? budgetRefusal(input);
  if (misfit !== undefined || kind === undefined) return { refuse: misfit ?? UNKNOWN_KIND };

  const action = 'node.run.execute';
  const decision = await askPolicy(parts.policy, {
    action,
    run_id: state.id,
    node_run_id: nodeId,
    node_type_ref: ref,
    ...(run_context === undefined ? {} : { run_context }),
  });
  const facts: Fact[] = [policyFact(action, nodeId, decision)];
  if (decision.decision === 'deny') return { refuse: policyDenial(action, decision), facts };

  const unconfigured = targetRefusal(parts, kind);
  if (unconfigured !== undefined) return { refuse: unconfigured, facts };

  const mustAsk = decision.decision === 'require_approval' || constraints.gates?.require_approval === true;
  if (mustAsk && !isApproved)
    return {
      ask: {
        summary: `approval needed before ${ref.node_type_id} runs`,
        instructions: `approve that ${nodeId} runs ${ref.node_type_id} ${ref.version} with exactly its inputs`,
      },
      facts,
    };
  const target = kind === 'atomic' ? parts.atomic : parts.composite;
  if (target !== undefined) facts.push(bindingFact(nodeId, kind, target));
  return { go: true, facts };
}

const UNKNOWN_KIND: AttemptError = {
  code: 'unknown_node_kind',
  message: 'neither the registry nor the id says whether this node type is atomic or composite',
};

function kindRefusal({ kind }: NodeInput): AttemptError | undefined {
  return kind === undefined ? UNKNOWN_KIND : undefined;
}

/** An empty list of what is allowed allows nothing (D11). A binding must be about what is run (H13). */
function listRefusal({
  node_type_ref: ref,
  constraints,
  binding_decision,
}: NodeInput): AttemptError | undefined {
  const { node_type_id: type } = ref;
  const { allowed_node_type_ids: allowed, denied_node_type_ids: denied = [] } = constraints?.candidates ?? {};
  if (allowed?.includes(type) === false)
    return { code: 'node_type_not_allowed', message: `${type} is not among the allowed node types` };
  if (denied.includes(type))
    return { code: 'node_type_denied', message: `${type} is among the denied node types` };
  const chosen = binding_decision?.chosen_node_type_ref;
  if (chosen !== undefined && (chosen.node_type_id !== type || chosen.version !== ref.version))
    return {
      code: 'candidate_mismatch',
      message: `its binding chose ${chosen.node_type_id} ${chosen.version}, and it is ${type} ${ref.version}`,
    };
  return undefined;
}

/** What a node type does not say of itself it does not do: `read` (contract arp §7.2). */
function effectRefusal({ spec: { sideEffect = 'read', input } }: Node): AttemptError | undefined {
  const { side_effect_ceiling: ceiling } = input as unknown as NodeInput;
  if (ceiling === undefined || rank(sideEffect) <= rank(ceiling)) return undefined;
  return {
    code: 'side_effect_not_allowed',
    message: `the node type's side effect is ${sideEffect}, and no more than ${ceiling} is allowed`,
  };
}

function rank(effect: SideEffect): number {
  return SIDE_EFFECTS.indexOf(effect);
}

/** In the engine a limit of 0 is none; here it leaves room for nothing. */
function budgetRefusal({ constraints, kind }: NodeInput): AttemptError | undefined {
  const { max_wall_time_ms, max_steps, max_external_calls } = constraints?.budgets ?? {};
  const spent =
    max_wall_time_ms === 0
      ? 'max_wall_time_ms'
      : max_steps === 0
        ? 'max_steps'
        : max_external_calls === 0 && kind === 'atomic'
          ? 'max_external_calls'
          : undefined;
  return spent === undefined ? undefined : { code: 'budget_exceeded', message: `${spent} is 0` };
}

function targetRefusal(
  { atomic, composite, publicUrl }: AdmissionParts,
  kind: 'atomic' | 'composite',
): AttemptError | undefined {
  if (kind === 'atomic')
    return atomic === undefined
      ? { code: 'atomic_executor_unconfigured', message: 'no atomic executor is configured' }
      : undefined;
  if (composite === undefined)
    return { code: 'composite_executor_unconfigured', message: 'no composite executor is configured' };
  return publicUrl === undefined
    ? {
        code: 'coordinator_url_unconfigured',
        message: 'where composite executors call back is not configured',
      }
    : undefined;
}

const INSTANCES = {
  atomic: 'arp-jarvis-atomic-executor',
  composite: 'arp-jarvis-composite-executor',
} as const;

function bindingFact(node: string, kind: 'atomic' | 'composite', { endpoint, audience }: Target): Fact {
  const data: BindingFact = {
    executor_instance_id: INSTANCES[kind],
    endpoint,
    ...(audience === undefined ? {} : { audience }),
  };
  return { name: BINDING_FACT, node, data: data as unknown as JsonObject };
}
