/**
 * Whether an event in wrkr's words and the event of the run that it stands for say the same, as far as that can be told
 * without the door that translates: their kinds fit, and what decides a run (checkpoints, approvals, counters, keys)
 * is equal word for word.
 */
import type { Json, JsonObject } from '../model/json.ts';
import { isObject, type ChainEvent } from './chain-entry.ts';
import { sameJson, type EventRecord } from './records.ts';
import { timeText, trimmedTime } from './time.ts';

/** Types of the model that wrkr has a word for, with that word. A few have one only for some nodes. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  run_created: ['job_initialized'],
  environment_recorded: ['env_fingerprint_set', 'env_override_recorded'],
  phase_changed: ['status_changed'],
  node_assigned: ['lease_set'],
  node_released: ['lease_released'],
  attempt_started: ['adapter_step'],
  attempt_ended: ['counters_updated'],
  key_recorded: ['idempotency_recorded'],
  checkpoint_emitted: ['checkpoint_emitted'],
  approval_recorded: ['approval_recorded'],
};

/** @returns what they differ in; undefined when they agree. */
export function disagreement(record: EventRecord, { seq, at, event }: ChainEvent): string | undefined {
  if (record.event_id !== `evt_${seq}`) return 'sequence number';
  if (event['type'] === 'line_imported') return importedDifference(record, event['line']);
  if (trimmedTime(record.created_at) !== timeText(at)) return 'time';
  const { type } = event;
  if (typeof type !== 'string') return 'type';
  if (record.type === `reeve.${type}`) {
    const { type: _, ...rest } = event;
    return sameJson(rest, record.payload) ? undefined : 'payload';
  }
  if (!Object.hasOwn(WORDS, type) || WORDS[type]?.includes(record.type) !== true) return 'type';
  return payloadDifference(record, event);
}

function importedDifference(record: EventRecord, line: Json | undefined): string | undefined {
  if (!isObject(line)) return 'line';
  const { type, created_at: createdAt, payload = {} } = line;
  if (type !== record.type) return 'type';
  if (typeof createdAt !== 'string' || trimmedTime(createdAt) !== trimmedTime(record.created_at))
    return 'time';
  return sameJson(payload, record.payload) ? undefined : 'payload';
}

function payloadDifference({ type, payload }: EventRecord, event: JsonObject): string | undefined {
  switch (type) {
    case 'checkpoint_emitted': {
      const { checkpoint, summary, delta, reasonCodes, requiredAction = null } = event;
      const { required_action = null } = payload;
      return differs(
        { ...payload, required_action },
        {
          type: checkpoint,
          summary,
          artifacts_delta: delta,
          reason_codes: reasonCodes,
          required_action: requiredAction,
        },
      );
    }
    case 'approval_recorded': {
      const { checkpoint, by, reason } = event;
      if (typeof checkpoint !== 'number') return 'checkpoint_id';
      return differs(payload, { checkpoint_id: `cp_${checkpoint}`, approved_by: by, reason });
    }
    case 'counters_updated': {
      const { retries, steps, toolCalls } = (event['total'] ?? {}) as JsonObject;
      return differs(payload, { retry_count: retries, step_count: steps, tool_call_count: toolCalls });
    }
    case 'idempotency_recorded':
      return differs(payload, { key: event['key'] });
    default:
      return undefined;
  }
}

function differs(
  payload: JsonObject,
  wanted: Readonly<Record<string, Json | undefined>>,
): string | undefined {
  return Object.keys(wanted).find((key) => !sameJson(payload[key], wanted[key]));
}
