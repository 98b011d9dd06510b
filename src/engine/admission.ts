/** Admission: what a door has to say about a node before its attempt starts. */
import type { AttemptError, Fact } from '../model/events.ts';
import type { Node, RunState } from '../model/state.ts';

/**
 * `go`: it starts. `refuse`: it fails with that error, without an attempt. `ask`: a decision gates exactly this node and
 * binds its arguments (I8); its approval offers it again, and it is admitted again. Facts are recorded together with
 * whatever follows: the start, the failure or the decision.
 */
export type Admission =
  | 'go'
  | { readonly go: true; readonly facts?: readonly Fact[] }
  | { readonly refuse: AttemptError; readonly facts?: readonly Fact[] }
  | {
      readonly ask: { readonly summary: string; readonly instructions: string };
      readonly facts?: readonly Fact[];
    };

export interface AdmissionContext {
  /** A person has approved its start with these very arguments: `ask` would change nothing, and it goes. */
  readonly isApproved: boolean;
  /** Aborts when the worker stops or has lost its lease: nothing is recorded any more. */
  readonly signal: AbortSignal;
}

/**
 * Asked under the lease, before each attempt; nothing of it is on record until it has answered, so that a crash in
 * between loses nothing and it is asked again. The lease may not be durable yet: if it never is, what was answered counts
 * for nothing. One that answers without waiting for anything lets claim and start share a transaction. What it throws stops the driving of this run, as a failure of the store
 * does.
 */
export type Admit = (state: RunState, node: Node, context: AdmissionContext) => Promise<Admission>;
