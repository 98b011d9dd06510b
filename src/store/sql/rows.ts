/** Rows as both databases give them, and what the port makes of them. */
import type { HoldKind, RunPhase } from '../../model/transitions.ts';
import type {
  Holder,
  ListQuery,
  QueueStanding,
  RunHead,
  RunPage,
  StoredEvent,
  WorkRow,
} from '../run-store.ts';
import { LEASED, OFFERED, PARKED } from './schema.ts';

export interface HeadRow {
  no: number;
  id: string;
  tenant: string;
  name: string;
  queue: string;
  phase: string;
  hold: string | null;
  version: number;
  hash: string;
  created_ms: number;
  updated_ms: number;
  nodes: number;
  nodes_settled: number;
}
export interface EventRow {
  seq: number;
  at_ms: number;
  type: string;
  body: string;
  hash: string;
}
export interface WorkRecord {
  run_id: string;
  node: string;
  queue: string;
  due_ms: number;
  state: number;
  epoch: number;
  worker: string | null;
  lease_id: string | null;
}
export interface HolderRow {
  worker: string;
  lease_id: string | null;
}
export interface StandingRow {
  oldest_due_ms: number | null;
  runnable: number;
  leased: number;
}

export function toHead(row: HeadRow): RunHead {
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    queue: row.queue,
    phase: row.phase as RunPhase,
    hold: row.hold as HoldKind | null,
    version: row.version,
    hash: row.hash,
    createdAtMs: row.created_ms,
    updatedAtMs: row.updated_ms,
    nodes: row.nodes,
    nodesSettled: row.nodes_settled,
  };
}

/** A page that is full may have another one behind it. */
export function toPage(rows: readonly HeadRow[], { limit }: ListQuery): RunPage {
  const last = rows.length === limit ? rows.at(-1) : undefined;
  return {
    runs: rows.map(toHead),
    ...(last === undefined ? {} : { next: { createdAtMs: last.created_ms, no: last.no } }),
  };
}

export function toEvent({ seq, at_ms, type, body, hash }: EventRow): StoredEvent {
  return { seq, atMs: at_ms, type, body, hash };
}

const WORK_STATES = { [OFFERED]: 'offered', [LEASED]: 'leased', [PARKED]: 'parked' } as const;

export function toWork(row: WorkRecord): WorkRow {
  const state = WORK_STATES[row.state as keyof typeof WORK_STATES];
  return {
    runId: row.run_id,
    node: row.node,
    queue: row.queue,
    dueMs: row.due_ms,
    state,
    epoch: row.epoch,
    worker: row.worker,
    leaseId: row.lease_id,
    untilMs: state === 'leased' ? row.due_ms : null,
  };
}

export function toHolder({ worker, lease_id }: HolderRow): Holder {
  return { worker, leaseId: lease_id ?? '' };
}

export function toStanding({ oldest_due_ms, runnable, leased }: StandingRow): QueueStanding {
  return { runnable, oldestDueMs: oldest_due_ms ?? undefined, leased };
}
