/**
 * A run's story: what reports and comparisons tell. It is bounded where a run is not: of events the first and the last
 * are kept, of usage as many points as a curve can show.
 */
import type { Limits } from '../model/budget.ts';
import type { Json, JsonObject } from '../model/json.ts';
import type { AttemptOutcome, NodeState, RequiredAction } from '../model/node.ts';
import type { Fingerprint, RunSpec } from '../model/run-spec.ts';
import type { Usage } from '../model/usage.ts';
import type { EventGroup } from './describe.ts';
import type { Status } from './statuses.ts';
import type { Verified } from './verify.ts';

/** Name of the fact that holds the result of an acceptance run; its document is an entry of its own. */
export const ACCEPT_FACT = 'accept_result';

export interface StoryAttempt {
  readonly number: number;
  readonly startedAtMs: number;
  endedAtMs?: number;
  outcome?: AttemptOutcome;
  exitCode?: number;
  error?: string;
}

export interface StoryStep {
  readonly id: string;
  readonly name: string;
  readonly depth: number;
  readonly isComposite: boolean;
  readonly attempts: StoryAttempt[];
  state: NodeState | 'waiting';
}

export interface StoryApproval {
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
}

export interface StoryCheckpoint {
  readonly seq: number;
  readonly type: string;
  readonly summary: string;
  readonly status: Status;
  readonly atMs: number;
  readonly step?: string;
  readonly blocks?: string;
  /** SHA-256 of what an approval of it approves. */
  readonly binds?: string;
  readonly requiredAction?: RequiredAction;
  readonly reasonCodes: readonly string[];
  readonly approvals: StoryApproval[];
}

/** A lease of the whole run. `lost`: its holder was never heard of again. */
export interface StoryLease {
  readonly worker: string;
  readonly fromMs: number;
  toMs?: number;
  end?: 'released' | 'lost';
}

/** `running`: a worker drives it. `unattended`: it is running and nobody does. `waiting`: for a person, or a worker. */
export type Pace = 'running' | 'unattended' | 'waiting';
export interface StorySpan {
  readonly pace: Pace;
  readonly status: Status;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface StoryPoint {
  readonly atMs: number;
  readonly used: Usage;
  readonly limits: Limits;
}

export interface StoryEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly type: string;
  readonly group: EventGroup;
  readonly text: string;
}

export interface StoryFact {
  readonly seq: number;
  readonly atMs: number;
  readonly name: string;
  readonly step?: string;
  readonly data: Json;
}

export interface RunStory {
  readonly jobId: string;
  readonly name: string;
  readonly actor: string;
  readonly producerVersion: string;
  readonly manifestSha256: string;
  readonly verified: Verified | undefined;
  /** Folded from wrkr's lines: the run's own events are not in the pack. */
  readonly isFromLines: boolean;
  readonly status: Status;
  readonly reasonCodes: readonly string[];
  readonly summary: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly spec: RunSpec | undefined;
  readonly environment: Fingerprint | undefined;
  readonly limits: Limits;
  readonly used: Usage;
  readonly steps: readonly StoryStep[];
  readonly checkpoints: readonly StoryCheckpoint[];
  readonly leases: readonly StoryLease[];
  readonly spans: readonly StorySpan[];
  readonly curve: readonly StoryPoint[];
  readonly facts: readonly StoryFact[];
  readonly eventCount: number;
  readonly firstEvents: readonly StoryEvent[];
  /** Without those that are among the first. */
  readonly lastEvents: readonly StoryEvent[];
  readonly artifacts: readonly {
    readonly path: string;
    readonly sha256: string;
    readonly redacted?: boolean;
  }[];
  readonly captureMode: string;
  readonly acceptance: JsonObject | undefined;
}
