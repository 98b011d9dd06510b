import { stopPoint } from '../telemetry/stop-points.ts';
import type { Commit, CommitResult, RunStore, WorkChange } from '../store/run-store.ts';

interface Waiting {
  readonly commit: Commit;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Most commits in one transaction: bounds the time that the first of them waits for the last. */
const BATCH_MAX = 512;

/**
 * Group commit: everything that waits goes into one transaction and one sync. While one batch is being written the
 * next one gathers. Commits of one run stay in order and are merged.
 */
export class CommitQueue {
  readonly #store: RunStore;
  readonly #turn: () => Promise<void>;
  #waiting: Waiting[] = [];
  #running = false;

  /** @param turn Resolves in the next turn of the event loop. */
  constructor(store: RunStore, turn: () => Promise<void>) {
    this.#store = store;
    this.#turn = turn;
  }

  push(commit: Commit): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ commit, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      // Not at once: whoever was woken by the same event gets into the same transaction.
      void this.#turn().then(() => this.#drain());
    });
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_MAX);
      const groups = mergeByRun(batch);
      try {
        stopPoint('commit:before');
        const results = await this.#store.commit(groups.map(({ commit }) => commit));
        stopPoint('commit:after');
        groups.forEach((group, at) => {
          const result = results[at] ?? 'conflict';
          // A name that is taken is the first one's failure; the others were decided on what did not come about.
          const rest = result === 'alias_taken' ? 'conflict' : result;
          group.members.forEach(({ resolve }, member) => resolve(member === 0 ? result : rest));
        });
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      if (this.#waiting.length > 0) await this.#turn();
    }
    this.#running = false;
  }
}

interface Group {
  commit: Commit;
  readonly members: Waiting[];
}

function mergeByRun(batch: readonly Waiting[]): readonly Group[] {
  const groups: Group[] = [];
  const latest = new Map<string, Group>();
  for (const waiting of batch) {
    const { commit } = waiting;
    const group = latest.get(commit.runId);
    // After a conflict the queue may hold both the stale commit and its successor on the reloaded run. Aliases may be
    // refused: what came before them must not be refused with them.
    const follows = group?.commit.head.hash === commit.expectedHash && commit.aliases === undefined;
    if (group === undefined || !follows || takesWhatIsFreed(group.commit.work, commit.work)) {
      const begun = { commit, members: [waiting] };
      groups.push(begun);
      latest.set(commit.runId, begun);
      continue;
    }
    const snapshot = commit.snapshot ?? group.commit.snapshot;
    const { aliases } = group.commit;
    group.commit = {
      ...commit,
      expectedVersion: group.commit.expectedVersion,
      expectedHash: group.commit.expectedHash,
      events: [...group.commit.events, ...commit.events],
      work: joinedWork(group.commit.work, commit.work),
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(aliases === undefined ? {} : { aliases }),
    };
    group.members.push(waiting);
  }
  return groups;
}

/** The store judges a lease by the rows before its commit: one that is let go there would still stand. */
function takesWhatIsFreed(earlier: readonly WorkChange[], later: readonly WorkChange[]): boolean {
  const leased = new Set(later.flatMap((change) => (change.op === 'lease' ? [change.node] : [])));
  return earlier.some((change) => {
    if (change.op === 'clear') return leased.size > 0;
    return (change.op === 'unlease' || change.op === 'drop') && leased.has(change.node);
  });
}

/** A lease writes the whole row of its node: to offer that first would write it, and its place in the index, twice. */
function joinedWork(earlier: readonly WorkChange[], later: readonly WorkChange[]): readonly WorkChange[] {
  const leased = new Set(later.flatMap((change) => (change.op === 'lease' ? [change.node] : [])));
  const kept = earlier.filter((change) => change.op !== 'offer' || !leased.has(change.node));
  return [...kept, ...later];
}
