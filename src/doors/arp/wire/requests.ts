/** Bodies of requests and answers that are no data type of their own (contract arp §2). */
import {
  ENDPOINT_LOCATOR,
  ERROR_DETAIL,
  EXTENSIONS,
  INTERNAL_EXTENSIONS,
  METADATA,
  RESOURCE_REF,
} from './common.ts';
import {
  BINDING_DECISION,
  type CANDIDATE_SET,
  CONSTRAINT_ENVELOPE,
  EVALUATION_RESULT,
  NODE_RUN_STATE,
  NODE_RUN_TERMINAL_STATE,
  NODE_TYPE,
  NODE_TYPE_REF,
  RECOVERY_ACTION,
  RUN_CONTEXT,
  SUBTASK_SPEC,
} from './core.ts';
import { INTERNAL_NODE_RUN, NODE_RUN } from './runs.ts';
import { ANYTHING, list, object, TEXT, TIME, YES_OR_NO, type TypeOf } from '../../wire-schema.ts';

const extensions = EXTENSIONS;

export const RUN_START_REQUEST = object(
  { root_node_type_ref: NODE_TYPE_REF, input: ANYTHING },
  {
    run_id: TEXT,
    run_context: RUN_CONTEXT,
    constraints: CONSTRAINT_ENVELOPE,
    metadata: METADATA,
    extensions,
  },
);

const NODE_RUN_CREATE_SPEC = object(
  { node_type_ref: NODE_TYPE_REF, inputs: ANYTHING },
  {
    constraints: CONSTRAINT_ENVELOPE,
    candidate_set_id: TEXT,
    binding_decision: BINDING_DECISION,
    requested_executor_instance_id: TEXT,
    idempotency_key: TEXT,
    metadata: METADATA,
    extensions,
  },
);
export const NODE_RUNS_CREATE_REQUEST = object(
  {
    run_id: TEXT,
    parent_node_run_id: TEXT,
    node_runs: { ...list(NODE_RUN_CREATE_SPEC), minItems: 1 } as const,
  },
  { extensions },
);
export const NODE_RUNS_CREATE_RESPONSE = object({ node_runs: list(NODE_RUN) }, { extensions });
/** As services of the stack see it: children with the keys that only they know (D2). */
export const INTERNAL_NODE_RUNS_CREATE_RESPONSE = object(
  { node_runs: list(INTERNAL_NODE_RUN) },
  { extensions },
);
export const NODE_RUN_EVALUATION_REQUEST = object(
  { evaluation_result: EVALUATION_RESULT },
  { recovery_action: RECOVERY_ACTION, extensions },
);
export const NODE_RUN_COMPLETE_REQUEST = object(
  { state: NODE_RUN_TERMINAL_STATE },
  { outputs: ANYTHING, output_artifacts: list(RESOURCE_REF), error: ERROR_DETAIL, extensions },
);

const ASSIGNMENT = {
  node_run_id: TEXT,
  run_id: TEXT,
  node_type_ref: NODE_TYPE_REF,
  inputs: ANYTHING,
} as const;
export const ATOMIC_EXECUTE_REQUEST = object(ASSIGNMENT, {
  run_context: RUN_CONTEXT,
  constraints: CONSTRAINT_ENVELOPE,
  extensions,
});
export const ATOMIC_EXECUTE_RESULT = object(
  { node_run_id: TEXT, state: NODE_RUN_STATE },
  {
    outputs: ANYTHING,
    output_artifacts: list(RESOURCE_REF),
    started_at: TIME,
    ended_at: TIME,
    error: ERROR_DETAIL,
    extensions,
  },
);
const BEGIN_REQUIRED = { ...ASSIGNMENT, coordinator_endpoint: ENDPOINT_LOCATOR } as const;
const BEGIN_OPTIONAL = {
  run_context: RUN_CONTEXT,
  constraints: CONSTRAINT_ENVELOPE,
  assignment_token: TEXT,
} as const;
export const COMPOSITE_BEGIN_REQUEST = object(BEGIN_REQUIRED, { ...BEGIN_OPTIONAL, extensions });
/** What a composite executor accepts: a coordinator sends the NodeRun's extensions along (D2). */
export const INTERNAL_COMPOSITE_BEGIN_REQUEST = object(BEGIN_REQUIRED, {
  ...BEGIN_OPTIONAL,
  extensions: INTERNAL_EXTENSIONS,
});
export const COMPOSITE_BEGIN_RESPONSE = object({ accepted: YES_OR_NO }, { message: TEXT, extensions });

export const NODE_TYPE_PUBLISH_REQUEST = object({ node_type: NODE_TYPE }, { extensions });
export const CANDIDATE_SET_REQUEST = object(
  { subtask_spec: SUBTASK_SPEC },
  { run_context: RUN_CONTEXT, constraints: CONSTRAINT_ENVELOPE, extensions },
);
export const POLICY_DECISION_REQUEST = object(
  { action: TEXT },
  {
    run_id: TEXT,
    node_run_id: TEXT,
    node_type_ref: NODE_TYPE_REF,
    run_context: RUN_CONTEXT,
    constraints: CONSTRAINT_ENVELOPE,
    context: ANYTHING,
    extensions,
  },
);
export type PolicyDecisionRequest = TypeOf<typeof POLICY_DECISION_REQUEST>;
export type NodeRunsCreateRequest = TypeOf<typeof NODE_RUNS_CREATE_REQUEST>;
export type NodeRunEvaluationRequest = TypeOf<typeof NODE_RUN_EVALUATION_REQUEST>;
export type NodeRunCompleteRequest = TypeOf<typeof NODE_RUN_COMPLETE_REQUEST>;
export type RunStartRequest = TypeOf<typeof RUN_START_REQUEST>;
export type AtomicExecuteRequest = TypeOf<typeof ATOMIC_EXECUTE_REQUEST>;
export type AtomicExecuteResult = TypeOf<typeof ATOMIC_EXECUTE_RESULT>;
export type InternalCompositeBeginRequest = TypeOf<typeof INTERNAL_COMPOSITE_BEGIN_REQUEST>;
export type CompositeBeginResponse = TypeOf<typeof COMPOSITE_BEGIN_RESPONSE>;
export type CandidateSetRequest = TypeOf<typeof CANDIDATE_SET_REQUEST>;
export type CandidateSet = TypeOf<typeof CANDIDATE_SET>;
