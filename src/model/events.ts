/**
 * Everything that can happen to a run, as one closed union. Events are the only truth (I3): what is not here is not
 * known after a restart. Names are past tense; stored ones are never renamed, only added.
 */
import type { Limits } from './budget.ts';
import type { Json, JsonObject } from './json.ts';
import type {
  ArtifactsDelta,
  AttemptOutcome,
  CheckpointType,
  NodeSpec,
  RequiredAction,
  SettledState,
} from './node.ts';
import type { Fingerprint, RunSpec } from './run-spec.ts';
import type { Standing } from './transitions.ts';
import type { Usage } from './usage.ts';

export interface Lease {
  readonly worker: string;
  readonly leaseId: string;
  readonly epoch: number;
}

/** What an attempt's end means for its node. */
export type NextState =
  | { readonly state: SettledState }
  /** To be started again; not before the given time when set. */
  | { readonly state: 'queued'; readonly notBeforeMs?: number }
  /** Handed over: it goes on without an attempt until it is settled. */
  | { readonly state: 'running' };

export interface AttemptError {
  readonly code: string;
  readonly message: string;
  readonly details?: JsonObject;
  /** Whether the same again may succeed. */
  readonly retryable?: boolean;
}

/** Something a door wants on the record: a policy decision, an evaluation, an acceptance result. */
export interface Fact {
  readonly name: string;
  readonly node?: string;
  readonly data: Json;
}

export interface CheckpointEmitted {
  readonly type: 'checkpoint_emitted';
  readonly checkpoint: CheckpointType;
  readonly summary: string;
  /** The standing the checkpoint speaks of; a label, it changes nothing. */
  readonly standing: Standing;
  readonly usage: Usage;
  readonly delta: ArtifactsDelta;
  readonly requiredAction?: RequiredAction;
  readonly reasonCodes: readonly string[];
  readonly node?: string;
  /** Decisions only: what waits for it. `run` holds everything. */
  readonly blocks?: 'run' | 'dependents' | 'node';
  /** Decisions only: SHA-256 of what is to be approved (I8). */
  readonly binds?: string;
}

/** A DSSE envelope (docs/jobpack.md, "Signatures"). */
export interface SignatureEnvelope {
  /** Base64 of the statement. */
  readonly payload: string;
  readonly payloadType: string;
  /** One per key, in the order of key ids. */
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

export type RunEvent =
  | { readonly type: 'run_created'; readonly spec: RunSpec }
  /** A line of a log that another implementation wrote, word for word; `run_imported` follows the last one. */
  | { readonly type: 'line_imported'; readonly line: JsonObject }
  | { readonly type: 'run_imported'; readonly spec: RunSpec; readonly state: ImportedState }
  | {
      readonly type: 'environment_recorded';
      readonly environment: Fingerprint;
      readonly override?: EnvironmentOverride;
    }
  | {
      readonly type: 'phase_changed';
      readonly from: Standing;
      readonly to: Standing;
      readonly by?: string;
      readonly reason?: string;
    }
  | { readonly type: 'nodes_added'; readonly parent: string; readonly nodes: readonly NodeSpec[] }
  | { readonly type: 'node_assigned'; readonly node: string; readonly lease: Lease; readonly ttlMs: number }
  | {
      readonly type: 'node_released';
      readonly node: string;
      readonly lease: Lease;
      readonly cause: 'released' | 'expired';
      /** When the holder was last known to live; time after it does not count as running. */
      readonly seenMs: number;
    }
  | {
      readonly type: 'attempt_started';
      readonly node: string;
      readonly attempt: number;
      readonly epoch: number;
      readonly executor: string | null;
      readonly effectKey: string;
      readonly argumentsHash: string;
      readonly reserved: Usage;
      /** Set when claiming and starting were one act, with how long the lease holds. */
      readonly lease?: Lease;
      readonly ttlMs?: number;
    }
  | {
      readonly type: 'usage_charged';
      readonly node: string;
      readonly attempt: number;
      readonly usage: Partial<Usage>;
    }
  | {
      readonly type: 'attempt_ended';
      readonly node: string;
      readonly attempt: number;
      readonly outcome: AttemptOutcome;
      readonly next: NextState;
      /** What this attempt used in all, charges included. */
      readonly usage: Usage;
      /** What the run has used after it. */
      readonly total: Usage;
      readonly outputs?: JsonObject;
      readonly error?: AttemptError;
    }
  | {
      readonly type: 'node_settled';
      readonly node: string;
      readonly state: SettledState;
      readonly outputs?: JsonObject;
      readonly error?: AttemptError;
      /** Set when a person settled it. */
      readonly by?: string;
      readonly reason?: string;
    }
  | { readonly type: 'key_recorded'; readonly node: string; readonly key: string }
  | CheckpointEmitted
  /** A progress checkpoint too near to the one before it; its delta goes into the next. */
  | { readonly type: 'checkpoint_deferred'; readonly node: string; readonly delta: ArtifactsDelta }
  | {
      readonly type: 'approval_recorded';
      /** Sequence number of the decision's `checkpoint_emitted`. */
      readonly checkpoint: number;
      readonly by: string;
      readonly reason: string;
      /** Equal to the decision's own (I8). */
      readonly binds: string;
      /** By whoever approved, over all of the above; what it is worth only a verifier with keys can tell. */
      readonly signature?: SignatureEnvelope;
    }
  | {
      readonly type: 'limits_raised';
      readonly limits: Limits;
      readonly by: string;
      readonly reason: string;
    }
  | ({ readonly type: 'fact_recorded' } & Fact);

export type EventType = RunEvent['type'];

export interface EnvironmentOverride {
  readonly expectedHash: string;
  readonly by: string;
  readonly reason: string;
}

/** Where an imported run stood after its last line. */
export interface ImportedState {
  readonly standing: Standing;
  readonly usage: Usage;
  readonly startedAtMs: number;
  /** Nodes of `spec` that had succeeded, and those started but not done. */
  readonly succeeded: readonly string[];
  readonly interrupted: readonly string[];
  readonly decisions: readonly {
    readonly checkpoint: number;
    readonly approved: boolean;
    readonly node?: string;
  }[];
  readonly environment?: Fingerprint;
  readonly reasonCodes: readonly string[];
}

/** An event in its place: `seq` counts 1..n without gap (I2), `atMs` never decreases. */
export interface RecordedEvent {
  readonly seq: number;
  /** Milliseconds since 1970, UTC. */
  readonly atMs: number;
  readonly event: RunEvent;
}
