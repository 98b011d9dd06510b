import type { SideEffect } from './constraints.ts';
import type { Json, JsonObject } from './json.ts';
import type { Usage } from './usage.ts';

export const CHECKPOINT_TYPES = ['plan', 'progress', 'decision-needed', 'blocked', 'completed'] as const;
export type CheckpointType = (typeof CHECKPOINT_TYPES)[number];

/** Paths that a checkpoint claims. Claims only: nothing is read from disk here. */
export interface ArtifactsDelta {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}
export const NO_DELTA: ArtifactsDelta = { added: [], changed: [], removed: [] };

export interface RequiredAction {
  readonly kind?: string;
  readonly instructions?: string;
}

/** A checkpoint that a node emits by itself, when it begins or when it has succeeded. */
export interface CheckpointSpec {
  readonly type: CheckpointType;
  readonly summary: string;
  readonly delta?: ArtifactsDelta;
  /** Also when the last attempt failed, and then its summary is the reason. */
  readonly evenIfFailed?: true;
  /** Mandatory for `decision-needed`. */
  readonly requiredAction?: RequiredAction;
}

export interface RetryPolicy {
  /** Attempts after the first that a failure may cause without a person, ≥ 0. */
  readonly max: number;
  /** First delay in milliseconds; it doubles, with full jitter, up to `capMs`. */
  readonly backoffMs: number;
  readonly capMs: number;
  /** `retryable`: only failures whose error says so. Default: any failure. */
  readonly only?: 'retryable';
}

/**
 * One node of a run's tree, as declared. Immutable once recorded.
 *
 * A composite is driven from outside (its children are added by commands and each is claimed by itself) or by its
 * declared plan (children start by `needs`; whoever holds the composite's lease runs them). One that is driven from
 * outside and has an executor is handed over to it by an attempt; one that has none is open as soon as its needs are
 * met. Both then stay running, with nobody's lease, until they are settled by a command.
 */
export interface NodeSpec {
  /** Unique in the run, 1..200 characters. */
  readonly id: string;
  readonly kind: 'atomic' | 'composite';
  /** Composites only; default `external`. */
  readonly drive?: 'plan' | 'external';
  /** Children of a plan that may run side by side; default 1. */
  readonly maxParallel?: number;
  /** Name for people. */
  readonly name?: string;
  /** Node type, matched by allow and deny lists. */
  readonly type?: string;
  /** Executor that performs it, or takes it over. Absent: there is no effect, the node only takes its place. */
  readonly executor?: string;
  readonly input?: Json;
  /** Siblings that must have succeeded, and whose decisions must be approved, before this starts. */
  readonly needs?: readonly string[];
  /** What an attempt takes from the budget before it starts; default one step. */
  readonly reserve?: Partial<Usage>;
  /** Of an attempt; of work that is handed over, from then until it is settled. Milliseconds. */
  readonly timeoutMs?: number;
  readonly retry?: RetryPolicy;
  /** After the last failed attempt: the node fails, or the run is held for a person. Default `fail`. */
  readonly onFailure?: 'fail' | 'hold';
  /**
   * After an attempt whose outcome cannot be known: rerun visibly, hold the run, or the node fails with
   * E_OUTCOME_UNKNOWN. Default `block`.
   */
  readonly onInterrupt?: 'rerun' | 'block' | 'fail';
  readonly sideEffect?: SideEffect;
  /** Needs the approval of its very arguments before it starts (I8). Only for nodes that have attempts. */
  readonly approval?: 'before';
  /** Emitted once, when it first starts or opens; the root's when the run begins. */
  readonly before?: CheckpointSpec;
  readonly after?: CheckpointSpec;
  /** Recorded together with the node's success. */
  readonly key?: string;
  readonly labels?: JsonObject;
}

export type NodeState = 'queued' | 'assigned' | 'running' | 'succeeded' | 'failed' | 'canceled';
export type SettledState = 'succeeded' | 'failed' | 'canceled';

/**
 * `not_started` and `unknown` are what recovery found out about an interrupted attempt; `accepted`: an external composite
 * was handed over.
 */
export type AttemptOutcome =
  | 'succeeded'
  | 'accepted'
  | 'failed'
  | 'canceled'
  | 'timed_out'
  | 'over_budget'
  | 'not_started'
  | 'unknown';

/** True when the node is a composite whose children follow a declared plan. */
export function isPlan(spec: NodeSpec): boolean {
  return spec.kind === 'composite' && spec.drive === 'plan';
}

/** True when the node is a composite that is settled by a command. */
export function isExternal(spec: NodeSpec): boolean {
  return spec.kind === 'composite' && spec.drive !== 'plan';
}

/** True when the node is started by attempts: it is atomic, or external and handed over to an executor. */
export function hasAttempts(spec: NodeSpec): boolean {
  return spec.kind === 'atomic' || (isExternal(spec) && spec.executor !== undefined);
}
