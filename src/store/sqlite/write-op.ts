/** The writing calls of the port as values, so that they can wait in one queue and cross a socket. */
import { changeOf, type Change } from '../change.ts';
import type { Commit, CommitResult } from '../run-store.ts';

export type WriteOp =
  | {
      readonly op: 'commit';
      readonly commits: readonly Commit[];
      /**
       * Sent before, and never answered. A commit whose last event is in the store then counts as `ok`: it was ours.
       * (Two writers can only be mistaken for each other if both say the same in the same millisecond after the same
       * event, and one of them lost its answer just then.)
       */
      readonly again: boolean;
    }
  | {
      readonly op: 'renew';
      readonly runId: string;
      readonly node: string;
      readonly epoch: number;
      readonly untilMs: number;
    }
  /** With what tells it from another run of that id: a late repetition must not remove one that was made since. */
  | ({ readonly op: 'remove'; readonly runId: string } & RunIdentity);

export interface RunIdentity {
  readonly no: number;
  readonly createdAtMs: number;
}

export type WriteResult = readonly CommitResult[] | boolean;

/** What a carried out operation changed, for those who listen. */
export function changesOf(op: WriteOp, result: WriteResult): readonly Change[] {
  if (op.op === 'remove') return result === true ? [{ runId: op.runId, queue: null }] : [];
  if (op.op === 'renew' || typeof result === 'boolean') return [];
  return op.commits.filter((_, at) => result[at] === 'ok').map(changeOf);
}
