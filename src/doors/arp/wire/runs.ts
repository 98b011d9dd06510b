/** Runs and NodeRuns: as clients see them, and as services of the stack hand them to each other (D2). */
import { EXTENSIONS, INTERNAL_EXTENSIONS, RESOURCE_REF } from './common.ts';
import {
  EVALUATION_RESULT,
  EXECUTOR_BINDING,
  NODE_KIND,
  NODE_RUN_STATE,
  NODE_TYPE_REF,
  RECOVERY_ACTION,
  RUN_CONTEXT,
  RUN_STATE,
} from './core.ts';
import { ANYTHING, list, object, TEXT, TIME, type TypeOf } from '../../wire-schema.ts';

const RUN_REQUIRED = { run_id: TEXT, state: RUN_STATE, root_node_run_id: TEXT } as const;
const RUN_OPTIONAL = { run_context: RUN_CONTEXT, started_at: TIME, ended_at: TIME } as const;

export const RUN = object(RUN_REQUIRED, { ...RUN_OPTIONAL, extensions: EXTENSIONS });
export const INTERNAL_RUN = object(RUN_REQUIRED, { ...RUN_OPTIONAL, extensions: INTERNAL_EXTENSIONS });
export type InternalRun = TypeOf<typeof INTERNAL_RUN>;

const NODE_RUN_REQUIRED = {
  node_run_id: TEXT,
  run_id: TEXT,
  node_type_ref: NODE_TYPE_REF,
  state: NODE_RUN_STATE,
} as const;
const NODE_RUN_OPTIONAL = {
  kind: NODE_KIND,
  parent_node_run_id: TEXT,
  created_at: TIME,
  started_at: TIME,
  ended_at: TIME,
  inputs: ANYTHING,
  outputs: ANYTHING,
  output_artifacts: list(RESOURCE_REF),
  executor_binding: EXECUTOR_BINDING,
  evaluation_result: EVALUATION_RESULT,
  recovery_actions: list(RECOVERY_ACTION),
} as const;

export const NODE_RUN = object(NODE_RUN_REQUIRED, { ...NODE_RUN_OPTIONAL, extensions: EXTENSIONS });
export type NodeRun = TypeOf<typeof NODE_RUN>;
export const INTERNAL_NODE_RUN = object(NODE_RUN_REQUIRED, {
  ...NODE_RUN_OPTIONAL,
  extensions: INTERNAL_EXTENSIONS,
});
export type InternalNodeRun = TypeOf<typeof INTERNAL_NODE_RUN>;
