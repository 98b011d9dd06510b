/** The work rows that a run's state calls for, beside those that are there. */
import type { WorkChange, WorkRow } from './run-store.ts';

/** A work row as the state calls for it; of offered rows the time is not checked. */
export interface ExpectedWork {
  readonly node: string;
  readonly state: WorkRow['state'];
  readonly epoch: number;
  readonly worker: string | null;
  readonly leaseId: string | null;
  /** From when on it may be claimed, should the row have to be written. */
  readonly dueMs: number;
}

/** Those that are wrong are dropped. */
export function staleRows(rows: readonly WorkRow[], expected: readonly ExpectedWork[]): WorkChange[] {
  const wanted = byNode(expected);
  const wrong = rows.filter((row) => !agrees(row, wanted.get(row.node)));
  return wrong.map(({ node }) => ({ op: 'drop', node }));
}

/** @param nowMs leases hold until then. */
export function missingRows(
  rows: readonly WorkRow[],
  expected: readonly ExpectedWork[],
  nowMs: number,
): WorkChange[] {
  const there = byNode(rows);
  const missing = expected.filter((want) => !agrees(there.get(want.node), want));
  return missing.map((want): WorkChange => {
    const { node, dueMs, epoch, worker, leaseId } = want;
    if (worker === null || leaseId === null)
      return { op: 'offer', node, dueMs, parked: want.state === 'parked' };
    return { op: 'lease', node, worker, leaseId, epoch, untilMs: nowMs, nowMs };
  });
}

/** Of one node. */
export function agrees(row: WorkRow | undefined, want: ExpectedWork | undefined): boolean {
  if (row === undefined || want === undefined || row.state !== want.state) return false;
  if (want.state !== 'leased') return true;
  return row.epoch === want.epoch && row.worker === want.worker && row.leaseId === want.leaseId;
}

export function byNode<T extends { readonly node: string }>(rows: readonly T[]): ReadonlyMap<string, T> {
  return new Map(rows.map((row) => [row.node, row]));
}
