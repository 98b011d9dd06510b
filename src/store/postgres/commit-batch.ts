/** Commits as the commit function takes them: one JSON text, in the order in which everybody takes locks. */
import type { Commit, WorkChange } from '../run-store.ts';
import { LEASED } from '../sql/schema.ts';
import { parkedState } from '../sql/statements.ts';

/** A text of at most about this many characters goes to the server at a time; a bigger commit goes alone. */
const TEXT_MAX = 16 * 1024 * 1024;

export interface Batch {
  readonly text: string;
  /** Where each commit of the text stood in what was given. */
  readonly places: readonly number[];
}

/** Sorted by run; commits of one run keep their order. More than one batch only for very big ones. */
export function batchesOf(commits: readonly Commit[]): Batch[] {
  const order = commits.map((_, at) => at).toSorted((a, b) => compare(idOf(commits, a), idOf(commits, b)));
  const batches: Batch[] = [];
  let texts: string[] = [];
  let places: number[] = [];
  let size = 0;
  const flush = (): void => {
    if (texts.length > 0) batches.push({ text: `[${texts.join(',')}]`, places });
    [texts, places, size] = [[], [], 0];
  };
  for (const place of order) {
    const commit = commits[place];
    if (commit === undefined) continue;
    const text = JSON.stringify(toJson(commit));
    if (size + text.length > TEXT_MAX) flush();
    texts.push(text);
    places.push(place);
    size += text.length;
  }
  flush();
  return batches;
}

function idOf(commits: readonly Commit[], at: number): string {
  return commits[at]?.runId ?? '';
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function toJson({ runId, expectedVersion, expectedHash, events, head, work, snapshot }: Commit): object {
  return {
    id: whole(runId),
    expected: expectedVersion,
    expected_hash: expectedHash,
    rewrite: events.length === 0,
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
    events: events.map(({ seq, atMs, type, body, hash }) => ({
      seq,
      at_ms: atMs,
      type: whole(type),
      body: whole(body),
      hash,
    })),
    leases: work.flatMap((change) =>
      change.op === 'lease' ? [{ node: whole(change.node), now: change.nowMs }] : [],
    ),
    work: work.map(workJson),
    ...(snapshot === undefined ? {} : { snapshot: whole(snapshot.body) }),
  };
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
