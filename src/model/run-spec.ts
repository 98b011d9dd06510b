import type { Constraints } from './constraints.ts';
import type { Limits } from './budget.ts';
import type { Json, JsonObject } from './json.ts';
import type { NodeSpec } from './node.ts';

/** A run as it was asked for. Immutable; limits may be raised later, on record. */
export interface RunSpec {
  readonly tenant: string;
  /** Who asked. */
  readonly actor: string;
  readonly name: string;
  /** Which workers may claim it; default `default`. */
  readonly queue?: string;
  readonly limits: Limits;
  readonly constraints?: Constraints;
  /** What approving the last open decision does; default `wait` for a resume. */
  readonly onApproval?: 'wait' | 'continue';
  /**
   * What a limit that is reached does. `fail`: a node that may not start fails, and a run that has used more than it may
   * fails with its root, both with E_BUDGET_EXCEEDED. Default `hold` for a person, who may raise it.
   */
  readonly onBudget?: 'hold' | 'fail';
  readonly root: NodeSpec;
  /** Children of the root that are known from the start, in order. */
  readonly nodes: readonly NodeSpec[];
  /** Checkpoint types without which the run may not succeed. */
  readonly requiredCheckpoints?: readonly string[];
  /** Progress checkpoints nearer than this to the checkpoint before are merged into the next one. */
  readonly minCheckpointIntervalMs?: number;
  /** Its nodes' ids find it: they are aliases, unique over the store (`Commit.aliases`). */
  readonly addressable?: true;
  /** Searchable labels. */
  readonly labels: JsonObject;
  /** The door's own document (a JobSpec, a task…), kept word for word as evidence. */
  readonly document?: Json;
}

/** The environment a run was started in: rules, their values, and a hash over both. */
export interface Fingerprint {
  readonly rules: readonly string[];
  readonly values: Readonly<Record<string, string>>;
  /** 64 hex digits. */
  readonly hash: string;
}
