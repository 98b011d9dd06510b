/**
 * What the services of ARP ask of each other. Each port has two implementations: a client over HTTP, and the service itself
 * where both stand in one process (contract arp §1: on-wire and in-process composition mean the same).
 */
import type { PolicyDecision } from './wire/core.ts';
import type {
  AtomicExecuteRequest,
  AtomicExecuteResult,
  CandidateSet,
  CandidateSetRequest,
  CompositeBeginResponse,
  InternalCompositeBeginRequest,
  NodeRunCompleteRequest,
  NodeRunEvaluationRequest,
  NodeRunsCreateRequest,
  PolicyDecisionRequest,
} from './wire/requests.ts';
import type { InternalNodeRun, NodeRun } from './wire/runs.ts';

/**
 * The extension of an execute request that tells attempts at one NodeRun apart: a whole number from 1 (default) on. Only a
 * higher one is run again.
 */
export const ATTEMPT_EXTENSION = 'reeve.attempt';

/** Runs one atomic NodeRun to its end. The same id again gives the same answer and does not run it twice (H32). */
export interface AtomicExecution {
  /** @throws ArpError when it was not run, or nobody knows */
  execute(request: AtomicExecuteRequest, signal: AbortSignal): Promise<AtomicExecuteResult>;
  /** Idempotent; what is not in flight is no failure. @throws ArpError */
  cancel(nodeRunId: string): Promise<void>;
}

/** Takes a composite NodeRun over; it reports back through `CompositeCallbacks`. */
export interface CompositeExecution {
  /** A second begin of what is in progress is accepted, without a second run. @throws ArpError */
  begin(request: InternalCompositeBeginRequest): Promise<CompositeBeginResponse>;
  /** Idempotent; what is not in flight is no failure. @throws ArpError */
  cancel(nodeRunId: string): Promise<void>;
}

/** What a composite executor asks of the coordinator that assigned a NodeRun to it. */
export interface CompositeCallbacks {
  /** @throws ArpError as contract §4.4 lists them */
  create(request: NodeRunsCreateRequest): Promise<readonly NodeRun[]>;
  /** With the keys that only services of the stack see (D2). @throws ArpError 404 `node_run_not_found` */
  nodeRun(nodeRunId: string): Promise<InternalNodeRun>;
  /**
   * The NodeRun once it is terminal: where the coordinator can say so, nobody has to ask again and again.
   * @throws ArpError as `nodeRun`; the signal's reason when it aborts first
   */
  waitTerminal?(nodeRunId: string, signal: AbortSignal): Promise<InternalNodeRun>;
  /** @throws ArpError */
  evaluate(nodeRunId: string, report: NodeRunEvaluationRequest): Promise<void>;
  /** @throws ArpError 409 `node_run_already_terminal` */
  complete(nodeRunId: string, report: NodeRunCompleteRequest): Promise<void>;
}

export interface Selection {
  /** @throws ArpError 422 when nothing fits (contract §7.2) */
  candidates(request: CandidateSetRequest): Promise<CandidateSet>;
}

export interface PolicyDecisionPoint {
  /** @throws ArpError when it cannot be asked; a denial is an answer */
  decide(request: PolicyDecisionRequest): Promise<PolicyDecision>;
}
