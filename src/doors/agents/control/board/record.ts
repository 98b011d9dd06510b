/** A task as the fold of its run's events (I3): what lists show, who holds it, and whether it is over. Pure. */
import type { RecordedEvent, RunEvent } from '../../../../model/events.ts';
import type { JsonObject } from '../../../../model/json.ts';
import { timestamp } from '../../ids.ts';
import { isFinal, type TaskResult, type TaskStatus, type TaskView } from '../../wire/tasks.ts';

export const DOOR = 'agents';
export const EXECUTOR = 'agent';
/** Its agent has begun. */
export const STARTED_FACT = 'agents.started';
/** Somebody wants a task that an agent holds to stop. */
export const CANCEL_FACT = 'agents.cancel_requested';

/** A task as it was asked for, with all that was not said filled in: the document of its run. */
export type TaskDocument = Pick<
  TaskView,
  | 'task_id'
  | 'run_id'
  | 'tenant'
  | 'action'
  | 'skill'
  | 'command'
  | 'args'
  | 'target'
  | 'timeout_s'
  | 'max_output_bytes'
  | 'max_attempts'
  | 'priority'
  | 'env_refs'
  | 'not_before'
  | 'rollout_id'
  | 'phase'
>;

/** What is recorded with the end of a task, beside how it ended for the engine. */
export interface TaskEnd {
  readonly status: TaskStatus;
  readonly reason?: string;
  readonly result?: TaskResult;
  /** Of the lease under which it was reported, and a hash of the whole report: the same again changes nothing. */
  readonly lease_id?: string;
  readonly report?: string;
}

export interface Lease {
  readonly id: string;
  readonly epoch: number;
  readonly agent: string;
  readonly attempt: number;
  readonly untilMs: number;
}

export interface TaskRecord {
  /** Of the run in the engine. */
  readonly engineId: string;
  /** Of the last event. */
  readonly version: number;
  readonly view: TaskView;
  readonly createdMs: number;
  /** Of the last attempt. */
  readonly startedMs: number | undefined;
  readonly endedMs: number | undefined;
  readonly lease: Lease | undefined;
  /** Somebody else ended the lease of an attempt that goes on. */
  readonly isOrphan: boolean;
  readonly end: TaskEnd | undefined;
}

/** @throws TypeError for a run that is no task: a defect of the caller */
export function foldTask(
  record: TaskRecord | undefined,
  engineId: string,
  { seq, atMs, event }: RecordedEvent,
): TaskRecord {
  if (event.type === 'run_created') return created(engineId, seq, atMs, event);
  if (record === undefined) throw new TypeError(`run ${engineId} does not begin as a task`);
  return { ...record, ...changed(record, event, atMs), version: seq };
}

function created(
  engineId: string,
  seq: number,
  atMs: number,
  { spec }: Extract<RunEvent, { type: 'run_created' }>,
): TaskRecord {
  const document = spec.document as unknown as TaskDocument;
  return {
    engineId,
    version: seq,
    createdMs: atMs,
    startedMs: undefined,
    endedMs: undefined,
    lease: undefined,
    isOrphan: false,
    end: undefined,
    view: {
      ...document,
      status: 'queued',
      attempt: 0,
      created_at: timestamp(atMs),
      created_by: spec.actor,
    },
  };
}

function changed(record: TaskRecord, event: RunEvent, atMs: number): Partial<TaskRecord> {
  const { view, lease } = record;
  switch (event.type) {
    case 'attempt_started': {
      if (event.lease === undefined) return {};
      const untilMs = atMs + (event.ttlMs ?? 0);
      const { worker: agent, leaseId: id, epoch } = event.lease;
      const { started_at: _, ...rest } = view;
      return {
        lease: { id, epoch, agent, attempt: event.attempt, untilMs },
        isOrphan: false,
        startedMs: undefined,
        view: {
          ...rest,
          status: 'leased',
          attempt: event.attempt,
          agent_id: agent,
          lease_expires_at: timestamp(untilMs),
        },
      };
    }
    case 'node_released':
      return lease === undefined ? {} : { isOrphan: true };
    case 'fact_recorded':
      return fact(record, event.name, event.data as JsonObject, atMs);
    case 'attempt_ended': {
      if (event.next.state === 'queued') return freed(record);
      return ended(record, endOf(event), atMs);
    }
    case 'node_settled':
      return ended(record, endOf(event), atMs);
    case 'phase_changed':
      // Whoever ended the run by other means.
      if (event.to.phase !== 'canceled' || isFinal(view.status)) return {};
      return ended(
        record,
        { status: 'cancelled', ...(event.reason === undefined ? {} : { reason: event.reason }) },
        atMs,
      );
    default:
      return {};
  }
}

function fact(record: TaskRecord, name: string, data: JsonObject, atMs: number): Partial<TaskRecord> {
  const { view } = record;
  if (isFinal(view.status)) return {};
  if (name === STARTED_FACT && view.status === 'leased')
    return { startedMs: atMs, view: { ...view, status: 'running', started_at: timestamp(atMs) } };
  if (name !== CANCEL_FACT) return {};
  const reason = typeof data['reason'] === 'string' ? { reason: data['reason'] } : {};
  return { view: { ...view, cancel_requested: true, ...reason } };
}

function freed(record: TaskRecord): Partial<TaskRecord> {
  const { lease_expires_at: _until, started_at: _started, ...view } = record.view;
  return { ...NO_LEASE, startedMs: undefined, view: { ...view, status: 'queued' } };
}

function ended(record: TaskRecord, end: TaskEnd, atMs: number): Partial<TaskRecord> {
  const { lease_expires_at: _until, cancel_requested: _asked, ...view } = record.view;
  const { status, reason, result } = end;
  return {
    ...NO_LEASE,
    end,
    endedMs: atMs,
    view: {
      ...view,
      status,
      finished_at: timestamp(atMs),
      ...(reason === undefined ? {} : { reason }),
      ...(result === undefined ? {} : { result }),
    },
  };
}

const NO_LEASE = { lease: undefined, isOrphan: false } as const;

/** What was recorded with it; where somebody else ended it, what the engine makes of it. */
function endOf(event: Extract<RunEvent, { type: 'attempt_ended' | 'node_settled' }>): TaskEnd {
  const end = event.outputs as unknown as TaskEnd | undefined;
  if (end?.status !== undefined) return end;
  const state = event.type === 'node_settled' ? event.state : event.next.state;
  const status = state === 'succeeded' ? 'succeeded' : state === 'canceled' ? 'cancelled' : 'failed';
  return { status, ...(event.error === undefined ? {} : { reason: event.error.message }) };
}
