/** Requests of ARP as runs and nodes of the model: what of them the engine acts on, and what it only keeps. */
import type { SideEffect } from '../../../model/constraints.ts';
import { SIDE_EFFECTS } from '../../../model/constraints.ts';
import type { Json, JsonObject } from '../../../model/json.ts';
import type { NodeSpec } from '../../../model/node.ts';
import type { RunSpec } from '../../../model/run-spec.ts';
import { traceLabels } from '../../../telemetry/request-context.ts';
import { parseTraceparent, traceparentText, TRACE_LABEL } from '../../../telemetry/trace-context.ts';
import { ARP_QUEUE } from '../../progress.ts';
import type { BINDING_DECISION, NodeType, NODE_TYPE_REF } from '../wire/core.ts';
import type { NodeRunsCreateRequest, RunStartRequest } from '../wire/requests.ts';
import type { TypeOf } from '../../wire-schema.ts';
import {
  limitsOf,
  mergeEnvelopes,
  present,
  strictestEffect,
  structuralOf,
  type Envelope,
} from './constraints.ts';
import { kindOf, type Kind } from './kinds.ts';

/** Told by the label of a run that it is one of ARP: runs of all doors share one namespace. */
export const PROTOCOL = 'arp/v1';
/** Workers of ARP serve it; nobody serves the other one, on which NodeRuns stay queued (auto-dispatch off). */
export const QUEUE = ARP_QUEUE;
export const IDLE_QUEUE = 'arp-idle';
export const ATOMIC_EXECUTOR = 'arp.atomic';
export const COMPOSITE_EXECUTOR = 'arp.composite';

export type NodeTypeRef = TypeOf<typeof NODE_TYPE_REF>;
export type BindingDecision = TypeOf<typeof BINDING_DECISION>;
export type CreateSpec = NodeRunsCreateRequest['node_runs'][number];

/** The arguments of a node: everything its executor may need, and what is shown of the NodeRun. */
export interface NodeInput {
  readonly node_type_ref: NodeTypeRef;
  /** Absent: nobody knew it when the NodeRun was created; then it cannot be dispatched. */
  readonly kind?: Kind;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** The caller's. */
  readonly extensions?: Readonly<Record<string, unknown>>;
  /** Merged of everything that bounds it; as it is shown. */
  readonly constraints?: Envelope;
  /** The strictest of all ceilings that were merged: `constraints` shows the loosest (H12). */
  readonly side_effect_ceiling?: SideEffect;
  readonly candidate_set_id?: string;
  readonly binding_decision?: BindingDecision;
  readonly idempotency_key?: string;
  /** What the caller said of constraints: a repeated request is compared with this (H19). */
  readonly given_constraints?: Envelope;
}

/** Attempts after the first, for failures that their executor calls retryable (H15). */
const RETRY = { max: 2, backoffMs: 500, capMs: 10_000, only: 'retryable' } as const;

export interface StartContext {
  readonly rootId: string;
  readonly nodeType: NodeType | undefined;
  readonly tenant: string | undefined;
  readonly actor: string;
  readonly autoDispatch: boolean;
}

export function runSpecOf(request: RunStartRequest, context: StartContext): RunSpec {
  const { root_node_type_ref: ref, input: inputs, constraints: asked, extensions } = request;
  const { metadata: _, ...document } = request;
  const { nodeType, rootId, tenant, actor, autoDispatch } = context;
  const root = nodeSpecOf(rootId, nodeType, {
    node_type_ref: ref,
    inputs,
    ...bounds([asked, nodeType?.constraints]),
    ...(extensions === undefined ? {} : { extensions }),
  });
  const effective = (root.input as unknown as NodeInput).constraints ?? {};
  const { maxNodes, ...structural } = structuralOf(asked ?? {});
  return {
    tenant: tenant ?? 'default',
    actor,
    name: ref.node_type_id,
    queue: autoDispatch ? QUEUE : IDLE_QUEUE,
    // An approval is all that it waits for, and nobody is there who could raise a limit.
    onApproval: 'continue',
    onBudget: 'fail',
    limits: limitsOf(effective),
    // The root is there whatever the limit says: it only bounds what is added.
    constraints: { ...structural, ...(maxNodes === undefined ? {} : { maxNodes: Math.max(1, maxNodes) }) },
    root,
    nodes: [],
    addressable: true,
    labels: { ...traceOf(request), protocol: PROTOCOL, ...(tenant === undefined ? {} : { tenant }) },
    document: document as unknown as Json,
  };
}

/** The trace that the run belongs to: the one that the request names, else the one that it came in. */
function traceOf({ run_context }: RunStartRequest): JsonObject {
  const { trace_id: trace = '', span_id: span = '' } = run_context?.trace ?? {};
  const named = parseTraceparent(`00-${trace}-${span}-01`, undefined);
  return named === undefined ? traceLabels() : { [TRACE_LABEL]: traceparentText(named) };
}

export interface ChildContext {
  readonly id: string;
  readonly nodeType: NodeType | undefined;
  /** As the run was asked for. */
  readonly run: Envelope | undefined;
  readonly parent: NodeInput;
}

export function childSpecOf(spec: CreateSpec, { id, nodeType, run, parent }: ChildContext): NodeSpec {
  const { node_type_ref, inputs, constraints, binding_decision, idempotency_key, extensions } = spec;
  const given = mergeEnvelopes(constraints);
  const { side_effect_ceiling: inherited } = parent;
  return nodeSpecOf(id, nodeType, {
    node_type_ref,
    inputs,
    // The parent's too: below it nothing may be wider (H11).
    ...bounds([run, parent.constraints, nodeType?.constraints, constraints], inherited),
    ...present<Partial<NodeInput>>({
      binding_decision,
      candidate_set_id: candidateSetOf(spec),
      idempotency_key,
      extensions,
      given_constraints: given,
    }),
  });
}

export function candidateSetOf({ candidate_set_id, binding_decision }: CreateSpec): string | undefined {
  return candidate_set_id ?? binding_decision?.candidate_set_id;
}

function nodeSpecOf(id: string, nodeType: NodeType | undefined, given: NodeInput): NodeSpec {
  const { node_type_id: type } = given.node_type_ref;
  const kind = kindOf(type, nodeType);
  const isComposite = kind === 'composite';
  const sideEffect = sideEffectOf(nodeType);
  const input: NodeInput = { ...given, ...(kind === undefined ? {} : { kind }) };
  return {
    id,
    kind: isComposite ? 'composite' : 'atomic',
    ...(isComposite ? { drive: 'external' as const } : {}),
    name: type,
    type,
    executor: isComposite ? COMPOSITE_EXECUTOR : ATOMIC_EXECUTOR,
    input: input as unknown as JsonObject,
    reserve: isComposite ? { steps: 1 } : { steps: 1, toolCalls: 1 },
    retry: RETRY,
    // Beginning a composite twice is harmless; what else may have happened only is where nothing is changed by it.
    onInterrupt: isComposite || sideEffect === 'read' ? 'rerun' : 'fail',
    ...(sideEffect === undefined ? {} : { sideEffect }),
  };
}

function bounds(
  envelopes: readonly (Envelope | undefined)[],
  inherited?: SideEffect,
): Pick<NodeInput, 'constraints' | 'side_effect_ceiling'> {
  return present<Pick<NodeInput, 'constraints' | 'side_effect_ceiling'>>({
    constraints: mergeEnvelopes(...envelopes),
    side_effect_ceiling: strictestEffect(
      inherited,
      ...envelopes.map((envelope) => envelope?.gates?.side_effect_class),
    ),
  });
}

function sideEffectOf(nodeType: NodeType | undefined): SideEffect | undefined {
  const said = nodeType?.extensions?.['jarvis.side_effect'];
  return SIDE_EFFECTS.find((effect) => effect === said);
}
