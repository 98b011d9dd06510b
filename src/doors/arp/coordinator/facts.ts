/** What ARP puts on a run's record that the model has no event for, and in what form NodeRuns end. */
import type { EVALUATION_RESULT, EXECUTOR_BINDING, PolicyDecision, RECOVERY_ACTION } from '../wire/core.ts';
import type { ERROR_DETAIL, RESOURCE_REF } from '../wire/common.ts';
import type { TypeOf } from '../../wire-schema.ts';

export type PolicyAction = 'run.start' | 'node.run.execute';

/** A decision by policy; of its NodeRun. */
export const POLICY_FACT = 'arp.policy';
export interface PolicyFact {
  readonly action: PolicyAction;
  readonly decision: PolicyDecision;
}

/** An evaluation that was reported from outside. */
export const EVALUATION_FACT = 'arp.evaluation';
export interface EvaluationFact {
  readonly evaluation_result: EvaluationResult;
  readonly recovery_action?: RecoveryAction;
}

/** Which executor a NodeRun went to; recorded with its start. */
export const BINDING_FACT = 'arp.binding';
export type BindingFact = TypeOf<typeof EXECUTOR_BINDING>;

/** What came of a recovery action that was acted on. */
export const RECOVERY_FACT = 'arp.recovery';
export interface RecoveryFact {
  readonly applied: boolean;
  /** The NodeRun that it made or ended. */
  readonly node_run_id?: string;
  /** The decision that it waits for. */
  readonly checkpoint_id?: string;
  readonly reason?: string;
  readonly code?: string;
}

export type EvaluationResult = TypeOf<typeof EVALUATION_RESULT>;
export type RecoveryAction = TypeOf<typeof RECOVERY_ACTION>;

/**
 * The outputs of a model node: everything that an end says. `evaluation`: its executor answered, and the answer was
 * evaluated; it is absent where no executor came to an end.
 */
export interface NodeRunEnd {
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly output_artifacts?: readonly TypeOf<typeof RESOURCE_REF>[];
  readonly error?: TypeOf<typeof ERROR_DETAIL>;
  readonly evaluation?: EvaluationResult;
}
