import type { Commit } from './run-store.ts';

/** What those who listen are told of a commit. */
export interface Change {
  readonly runId: string;
  /** The queue in which a worker may find work because of it; null: none. */
  readonly queue: string | null;
}

export function changeOf({ runId, head, work }: Commit): Change {
  const isOffer = work.some((change) => 'parked' in change && !change.parked);
  return { runId, queue: isOffer ? head.queue : null };
}
