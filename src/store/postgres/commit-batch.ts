/** Commits as the commit function takes them: JSON texts, in the order in which everybody takes locks. */
import type { Commit, WorkChange } from '../run-store.ts';
import { LEASED } from '../sql/schema.ts';
import { parkedState } from '../sql/statements.ts';

/** About so many characters of events and snapshots go to the server at a time; a bigger commit goes alone. */
const CHARS_MAX = 16 * 1024 * 1024;

export interface Batch {
  readonly commits: string;
  readonly events: string;
  /** Null: nothing changes. */
  readonly work: string | null;
  /** Where each commit of the batch stood in what was given. */
  readonly places: readonly number[];
}

/** Sorted by run; commits of one run keep their order. More than one batch only for very big ones. */
export function batchesOf(commits: readonly Commit[]): Batch[] {
  const sorted = commits
    .map((commit, place) => ({ commit, place }))
    .toSorted((a, b) => compare(a.commit.runId, b.commit.runId));
  const batches: Batch[] = [];
  let next = new Gathering();
  for (const { commit, place } of sorted) {
    if (next.chars > 0 && next.chars + charsOf(commit) > CHARS_MAX) {
      batches.push(next.batch());
      next = new Gathering();
    }
    next.add(commit, place);
  }
  batches.push(next.batch());
  return batches;
}

/** Indexes into the lists are from 1, as the server counts. */
class Gathering {
  readonly #places: number[] = [];
  readonly #commits: object[] = [];
  readonly #events: object[] = [];
  readonly #work: object[] = [];
  chars = 0;

  add(commit: Commit, place: number): void {
    const { runId, expectedVersion, expectedHash, events, head, work, snapshot, aliases } = commit;
    this.#places.push(place);
    this.#commits.push({
      id: whole(runId),
      expected: expectedVersion,
      expected_hash: expectedHash,
      is_rewrite: events.length === 0,
      tenant: whole(head.tenant),
      name: whole(head.name),
      queue: whole(head.queue),
      phase: head.phase,
      hold: head.hold,
      version: head.version,
      hash: head.hash,
      created_ms: head.createdAtMs,
      updated_ms: head.updatedAtMs,
      nodes: head.nodes,
      nodes_settled: head.nodesSettled,
      work_from: this.#work.length + 1,
      work_to: this.#work.length + work.length,
      has_lease: work.some(({ op }) => op === 'lease'),
      ...(snapshot === undefined
        ? {}
        : { snapshot: whole(snapshot.body), snapshot_version: snapshot.version }),
      ...(aliases === undefined ? {} : { aliases: aliases.map(whole) }),
    });
    const of = this.#commits.length;
    for (const { seq, atMs, type, body, hash } of events)
      this.#events.push({ of, seq, at_ms: atMs, type: whole(type), body: whole(body), hash });
    for (const change of work) this.#work.push(workJson(change));
    this.chars += charsOf(commit);
  }

  batch(): Batch {
    return {
      commits: JSON.stringify(this.#commits),
      events: JSON.stringify(this.#events),
      work: this.#work.length === 0 ? null : JSON.stringify(this.#work),
      places: this.#places,
    };
  }
}

function charsOf({ events, snapshot }: Commit): number {
  return events.reduce((sum, { body }) => sum + body.length, snapshot?.body.length ?? 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function workJson(change: WorkChange): object {
  const { op } = change;
  switch (op) {
    case 'offer':
    case 'unlease':
      return { op, node: whole(change.node), due_ms: change.dueMs, state: parkedState(change.parked) };
    case 'lease':
      return {
        op,
        node: whole(change.node),
        until: change.untilMs,
        state: LEASED,
        epoch: change.epoch,
        worker: whole(change.worker),
        lease_id: whole(change.leaseId),
        now: change.nowMs,
      };
    case 'drop':
      return { op, node: whole(change.node) };
    case 'park':
      return { op, state: parkedState(change.parked) };
    case 'clear':
      return { op };
  }
}

/** JSON would write a lone surrogate as an escape that PostgreSQL refuses. */
function whole(text: string): string {
  return text.isWellFormed() ? text : text.toWellFormed();
}
