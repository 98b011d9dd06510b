/** What may be asked of a run. Imperative; `decide` answers with events or a refusal. */
import type { Limits } from './budget.ts';
import type { Sha256 } from './canonical.ts';
import type { Constraints } from './constraints.ts';
import type { AttemptError, Fact, ImportedState, SignatureEnvelope } from './events.ts';
import type { JsonObject } from './json.ts';
import type { ArtifactsDelta, CheckpointType, NodeSpec, RequiredAction, SettledState } from './node.ts';
import type { Fingerprint, RunSpec } from './run-spec.ts';
import type { RunState } from './state.ts';
import type { Standing } from './transitions.ts';
import type { Usage } from './usage.ts';

export interface Claimant {
  readonly worker: string;
  readonly leaseId: string;
  /** How long the lease holds without renewal, milliseconds. */
  readonly ttlMs: number;
}

/** Names an attempt and the lease under which the caller writes (I4). */
export interface AttemptRef {
  readonly node: string;
  readonly attempt: number;
  readonly epoch: number;
}

export type Command =
  | {
      readonly type: 'create';
      readonly spec: RunSpec;
      readonly environment?: Fingerprint;
      /** Children of composites among the run's nodes, parents first. */
      readonly below?: readonly Branch[];
      /** Recorded with the run, in order. */
      readonly facts?: readonly Fact[];
      /** It runs from then on. Default: it is queued until its root is claimed. */
      readonly begin?: true;
      /** Why the run is not to begin: it is created and has failed, in one act. */
      readonly denied?: AttemptError;
    }
  | {
      readonly type: 'import';
      readonly lines: readonly JsonObject[];
      readonly timesMs: readonly number[];
      readonly spec: RunSpec;
      readonly state: ImportedState;
    }
  /**
   * Adds children. Those that the parent has already, with the same spec (labels aside), are left out, so that it can be
   * repeated; an id in use for anything else refuses it all.
   */
  | (Branch & {
      readonly type: 'add_nodes';
      /** Children of composites that are added here or exist, parents first: all or nothing. */
      readonly below?: readonly Branch[];
      /** Recorded if anything is added; those about nodes that were left out are not. */
      readonly facts?: readonly Fact[];
      /** Holds for what is added, beside the run's own. */
      readonly constraints?: Constraints;
    })
  /** Takes the lease of a node. On the root also: checks the environment, lets a queued run begin. */
  | {
      readonly type: 'claim';
      readonly node: string;
      readonly claimant: Claimant;
      /** The claimant's environment under the recorded rules. */
      readonly environment?: Fingerprint;
      /** A person's wish to go on with a held run. */
      readonly resume?: Resume;
    }
  /** The holder goes, or is known to be dead. */
  | {
      readonly type: 'release';
      readonly node: string;
      readonly epoch: number;
      readonly cause: 'released' | 'expired';
      readonly seenMs: number;
    }
  /** Begins an attempt: its intent is recorded before any effect (I5). With a claimant, claims in the same act. */
  | {
      readonly type: 'start';
      readonly node: string;
      readonly epoch: number;
      readonly claimant?: Claimant;
      /** Recorded before the intent. */
      readonly facts?: readonly Fact[];
    }
  /** Instead of `start`: the node is not to start. It fails, without an attempt. */
  | {
      readonly type: 'reject';
      readonly node: string;
      readonly epoch: number;
      readonly error: AttemptError;
      readonly facts?: readonly Fact[];
    }
  /** Instead of `start`: a person must approve its very arguments first (I8). Nothing happens when one has. */
  | {
      readonly type: 'ask';
      readonly node: string;
      readonly epoch: number;
      readonly summary: string;
      readonly instructions: string;
      readonly facts?: readonly Fact[];
    }
  | (AttemptRef & { readonly type: 'charge'; readonly usage: Partial<Usage> })
  | (AttemptRef & {
      readonly type: 'finish';
      /** `accepted`: an external composite is handed over, and stays running until it is settled. */
      readonly outcome: 'succeeded' | 'accepted' | 'failed' | 'canceled' | 'timed_out' | 'over_budget';
      /** What the work reported beyond its reservation. */
      readonly usage: Partial<Usage>;
      readonly outputs?: JsonObject;
      readonly error?: AttemptError;
      /** Artifacts found to add to the node's declared checkpoint. */
      readonly delta?: ArtifactsDelta;
    })
  /** Recovery: what became of an attempt whose worker died. */
  | (AttemptRef & {
      readonly type: 'interrupt';
      readonly found: 'not_started' | 'unknown';
      readonly reason: string;
    })
  /** An external composite is done, or a person settles a node whose outcome is unknown. */
  | {
      readonly type: 'settle';
      readonly node: string;
      readonly state: SettledState;
      /**
       * Whoever reports it has the last word on any node, whatever it is doing: an attempt under way ends with it and is
       * stopped by its worker; as the root it ends the run, also a held one.
       */
      readonly regardless?: true;
      readonly outputs?: JsonObject;
      readonly error?: AttemptError;
      readonly by?: string;
      readonly reason?: string;
    }
  | {
      readonly type: 'emit_checkpoint';
      readonly checkpoint: CheckpointType;
      readonly summary: string;
      readonly standing?: Standing;
      readonly delta?: ArtifactsDelta;
      readonly requiredAction?: RequiredAction;
      readonly reasonCodes?: readonly string[];
    }
  | {
      readonly type: 'approve';
      readonly checkpoint: number;
      readonly by: string;
      readonly reason: string;
      /** When given it must equal what the decision binds. */
      readonly binds?: string;
      readonly signature?: SignatureEnvelope;
    }
  | { readonly type: 'pause'; readonly by: string; readonly reason?: string }
  | { readonly type: 'cancel'; readonly by: string; readonly reason?: string }
  /** Stops a running run for a reason found outside of an attempt (an unreadable workspace, a check of the budget). */
  | {
      readonly type: 'hold';
      readonly hold: 'budget' | 'error';
      readonly summary: string;
      readonly reasonCodes: readonly string[];
    }
  /** Looks whether the time of handed over work is up: its own, then it fails, or the run's, then that is held. */
  | { readonly type: 'expire'; readonly node: string }
  | ({ readonly type: 'record' } & Fact);

/** Nodes and the composite they are to be children of. */
export interface Branch {
  readonly parent: string;
  readonly nodes: readonly NodeSpec[];
}

/**
 * Whether the command comes from somebody who need not hold a lease: then its holder may be dead by now. The end of what is
 * left of a canceled composite is told by whoever stopped it, with or without a lease.
 */
export function isFromOutside(command: Command, { nodes }: RunState): boolean {
  const { type } = command;
  if (type === 'finish' || type === 'interrupt') return nodes.get(command.node)?.state === 'canceled';
  return OUTSIDE.includes(type);
}
const OUTSIDE: readonly Command['type'][] = [
  'add_nodes',
  'settle',
  'emit_checkpoint',
  'approve',
  'pause',
  'cancel',
  'hold',
  'expire',
  'record',
];

export interface Resume {
  readonly by: string;
  readonly reason?: string;
  /** Accepts the environment as it is now; needs a reason. */
  readonly force?: boolean;
  readonly limits?: Limits;
}

/** A lease as the store has it. */
export interface SeenLease {
  readonly live: boolean;
  /** When its holder was last seen: when it was last renewed. */
  readonly seenMs: number;
}

/** What `decide` may know beside the state: nothing of it is read from the world. */
export interface Context {
  readonly nowMs: number;
  readonly sha256: Sha256;
  /** In [0, 1). */
  readonly random: () => number;
  /** The lease on the node that is being claimed, of commands from outside the root's, as the store has it. */
  readonly lease?: SeenLease;
  /** When another node than the root is claimed: the lease on the root. */
  readonly rootLease?: SeenLease;
  /** Settled nodes that `add_nodes` names again, as they were added; state does not keep them. */
  readonly settledNodes?: ReadonlyMap<
    string,
    { readonly parent: string | undefined; readonly spec: NodeSpec }
  >;
}
