/**
 * What a pack says of one line of a job's log (contract wrkr §f): its event, and for two types the checkpoint and the
 * approval in it. Writing and verifying use the same functions, so a pack is exactly what its events say.
 */
import type { Json, JsonObject } from '../model/json.ts';
import { trimmedTime } from './time.ts';

/** One line of a job's log, in wrkr's words. */
export interface PackLine {
  readonly seq: number;
  readonly created_at: string;
  readonly type: string;
  readonly payload: Json;
}

/** `wrkr.event`; keys in the order of RFC 8785. */
export interface EventRecord {
  readonly created_at: string;
  readonly event_id: string;
  readonly executed: boolean;
  readonly job_id: string;
  readonly payload: JsonObject;
  readonly producer_version: string;
  readonly schema_id: 'wrkr.event';
  readonly schema_version: string;
  readonly type: string;
}

/** @throws RangeError for a line without a time: no log has one. */
export function eventRecord(line: PackLine, jobId: string, producerVersion: string): EventRecord {
  const payload = payloadOf(line.payload);
  const createdAt = trimmedTime(line.created_at);
  if (createdAt === undefined) throw new RangeError(`line ${line.seq} has no time`);
  return {
    created_at: createdAt,
    event_id: `evt_${line.seq}`,
    executed: typeof payload['executed'] === 'boolean' ? payload['executed'] : true,
    job_id: jobId,
    payload,
    producer_version: producerVersion,
    schema_id: 'wrkr.event',
    schema_version: 'v1',
    type: line.type,
  };
}

function payloadOf(payload: Json | undefined): JsonObject {
  if (payload === undefined || payload === null) return {};
  if (typeof payload !== 'object' || Array.isArray(payload)) return { value: payload };
  return payload as JsonObject;
}

/** `wrkr.checkpoint` of an event that emitted one; undefined for others. */
export function checkpointOf(event: EventRecord): JsonObject | undefined {
  if (event.type !== 'checkpoint_emitted') return undefined;
  const { type, summary, status, budget_state, artifacts_delta, required_action, reason_codes } =
    event.payload;
  const record: Record<string, Json | undefined> = {
    artifacts_delta,
    budget_state,
    checkpoint_id: `cp_${event.event_id.slice(4)}`,
    created_at: event.created_at,
    job_id: event.job_id,
    producer_version: event.producer_version,
    reason_codes,
  };
  if (required_action !== undefined && required_action !== null) record['required_action'] = required_action;
  // What a log lacks that is required stays undefined: then no record fits.
  return Object.assign(record, {
    schema_id: 'wrkr.checkpoint',
    schema_version: event.schema_version,
    status,
    summary,
    type,
  }) as JsonObject;
}

/** `wrkr.approval_record` of an event that recorded one, as it was recorded; undefined for others. */
export function approvalOf(event: EventRecord): JsonObject | undefined {
  return event.type === 'approval_recorded' ? withTrimmedTime(event.payload) : undefined;
}

/** The same record with `created_at` in the trimmed form. */
export function withTrimmedTime(record: JsonObject): JsonObject {
  const { created_at: createdAt } = record;
  const trimmed = typeof createdAt === 'string' ? trimmedTime(createdAt) : undefined;
  return trimmed === undefined || trimmed === createdAt ? record : { ...record, created_at: trimmed };
}

/** Paths that a checkpoint record says were added or changed. */
export function artifactPaths(checkpoint: JsonObject): readonly string[] {
  const { added, changed } = (checkpoint['artifacts_delta'] ?? {}) as JsonObject;
  return [added, changed].flatMap((paths) =>
    Array.isArray(paths) ? paths.filter((path: Json) => typeof path === 'string') : [],
  );
}

/** What the lines of a log add up to, as far as `job.json` says it. */
export class JobFold {
  status = 'queued';
  budgets: JsonObject = { retry_count: 0, step_count: 0, tool_call_count: 0 };

  add({ type, payload }: EventRecord): void {
    if (type === 'job_initialized' || type === 'status_changed') {
      const status = type === 'status_changed' ? payload['to'] : payload['status'];
      if (typeof status === 'string' && status !== '') this.status = status;
    } else if (type === 'counters_updated') {
      const { retry_count = 0, step_count = 0, tool_call_count = 0 } = payload;
      this.budgets = { retry_count, step_count, tool_call_count };
    }
  }
}

/** Whether two JSON values are the same, whatever the order of keys. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item: Json, at) => sameJson(item, b[at]));
  }
  const [x, y] = [a as JsonObject, b as JsonObject];
  const keys = Object.keys(x);
  if (keys.length !== Object.keys(y).length) return false;
  return keys.every((key) => Object.hasOwn(y, key) && sameJson(x[key], y[key]));
}
