/** What runs are made of: node types, constraints, decisions, candidates, events (contract arp §3). */
import { ENDPOINT_LOCATOR, EXTENSIONS, METADATA, RESOURCE_REF, STATUS } from './common.ts';
import {
  ANYTHING,
  COUNT,
  list,
  object,
  TEXT,
  TIME,
  URI,
  word,
  YES_OR_NO,
  type TypeOf,
} from '../../wire-schema.ts';

const extensions = EXTENSIONS;

export const NODE_KIND = word('atomic', 'composite');
export const RUN_STATE = word('queued', 'running', 'succeeded', 'failed', 'canceled');
export const NODE_RUN_STATE = word('queued', 'assigned', 'running', 'succeeded', 'failed', 'canceled');
export const NODE_RUN_TERMINAL_STATE = word('succeeded', 'failed', 'canceled');
export const RUN_EVENT_TYPE = word(
  'run_started',
  'node_run_assigned',
  'composite_decomposed',
  'candidate_set_generated',
  'subtask_mapped',
  'atomic_executed',
  'node_evaluated',
  'recovery_applied',
  'policy_decided',
  'run_completed',
);

export const NODE_TYPE_REF = object({ node_type_id: TEXT, version: TEXT }, { extensions });

export const CONSTRAINT_ENVELOPE = object(
  {},
  {
    structural: object(
      {},
      {
        max_depth: COUNT,
        max_children_per_composite: COUNT,
        max_total_nodes_per_run: COUNT,
        max_decomposition_rounds_per_node: COUNT,
      },
    ),
    candidates: object(
      {},
      {
        max_candidates_per_subtask: { type: 'integer', minimum: 1 } as const,
        allowed_node_type_ids: list(TEXT),
        denied_node_type_ids: list(TEXT),
      },
    ),
    budgets: object(
      {},
      {
        max_wall_time_ms: COUNT,
        max_steps: COUNT,
        max_external_calls: COUNT,
        max_cost: { type: 'number', minimum: 0 } as const,
      },
    ),
    gates: object(
      {},
      { side_effect_class: word('read', 'write', 'irreversible'), require_approval: YES_OR_NO },
    ),
    extensions,
  },
);

export const NODE_TYPE = object(
  { node_type_id: TEXT, version: TEXT, kind: NODE_KIND },
  {
    description: TEXT,
    input_schema: ANYTHING,
    output_schema: ANYTHING,
    constraints: CONSTRAINT_ENVELOPE,
    evaluation: ANYTHING,
    preferred_executor_types: list(TEXT),
    metadata: METADATA,
    extensions,
  },
);
export type NodeType = TypeOf<typeof NODE_TYPE>;

export const RUN_CONTEXT = object(
  {},
  {
    tenant_id: TEXT,
    actor: RESOURCE_REF,
    identity: ANYTHING,
    trace: object({}, { trace_id: TEXT, span_id: TEXT, request_id: TEXT }),
    policy: ANYTHING,
    budgets: ANYTHING,
    extensions,
  },
);

export const RUN_EVENT = object(
  { run_id: TEXT, seq: COUNT, type: RUN_EVENT_TYPE, time: TIME },
  { node_run_id: TEXT, data: ANYTHING, extensions },
);

export const POLICY_DECISION_OUTCOME = word('allow', 'deny', 'require_approval');
export const APPROVAL_REF = object({ approval_id: TEXT }, { uri: URI, extensions });
export const POLICY_DECISION = object(
  { decision: POLICY_DECISION_OUTCOME },
  { reason_code: TEXT, message: TEXT, approval_ref: APPROVAL_REF, metadata: METADATA, extensions },
);
export type PolicyDecision = TypeOf<typeof POLICY_DECISION>;

export const EVALUATION_STATUS = word('success', 'fail', 'unknown');
export const EVALUATION_RESULT = object(
  { status: EVALUATION_STATUS },
  {
    reason_code: TEXT,
    message: TEXT,
    details: ANYTHING,
    confidence: { type: 'number', minimum: 0, maximum: 1 } as const,
    extensions,
  },
);
export const RECOVERY_ACTION_TYPE = word('retry', 'remap', 'decompose_further', 'ask_user', 'abort');
export const RECOVERY_ACTION = object(
  { type: RECOVERY_ACTION_TYPE },
  { target_node_run_id: TEXT, target_node_type_ref: NODE_TYPE_REF, message: TEXT, extensions },
);

export const BINDING_DECISION = object(
  { subtask_id: TEXT, chosen_node_type_ref: NODE_TYPE_REF },
  { candidate_set_id: TEXT, rationale: TEXT, extensions },
);
export const CANDIDATE = object(
  { node_type_ref: NODE_TYPE_REF },
  {
    score: { type: 'number' } as const,
    rationale: TEXT,
    constraints: CONSTRAINT_ENVELOPE,
    metadata: METADATA,
    extensions,
  },
);
export const CANDIDATE_SET = object(
  { candidate_set_id: TEXT, subtask_id: TEXT, candidates: list(CANDIDATE) },
  {
    top_k: { type: 'integer', minimum: 1 } as const,
    generated_at: TIME,
    constraints: CONSTRAINT_ENVELOPE,
    extensions,
  },
);
export const SUBTASK_SPEC = object(
  { subtask_id: TEXT, goal: TEXT },
  { constraints: CONSTRAINT_ENVELOPE, expected_output_schema: ANYTHING, metadata: METADATA, extensions },
);

export const EXECUTOR_BINDING = object(
  { executor_instance_id: TEXT, endpoint: ENDPOINT_LOCATOR },
  { audience: TEXT, extensions },
);
export const EXECUTOR_TYPE = object(
  { executor_type_id: TEXT, kind: NODE_KIND },
  { description: TEXT, extensions },
);
export const EXECUTOR_INSTANCE = object(
  { executor_instance_id: TEXT, executor_type_id: TEXT, endpoint: ENDPOINT_LOCATOR },
  {
    environment: TEXT,
    region: TEXT,
    status: STATUS,
    auth: ANYTHING,
    metadata: METADATA,
    extensions,
  },
);
