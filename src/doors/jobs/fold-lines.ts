/** The state that wrkr lines add up to, and the two files that show it (contract wrkr §d). Pure. */
import type { Limits } from '../../model/budget.ts';
import { ReeveError } from '../../model/errors.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import { isTerminal } from '../../model/transitions.ts';
import { goJson } from './go-json.ts';
import type { Line } from './lines.ts';
import { isStatus, standingOf, type Status } from './map.ts';
import type { JobSpec } from './schema.ts';
import { parseTime } from './time.ts';

export interface LeaseRecord {
  readonly worker_id: string;
  readonly lease_id: string;
  readonly acquired_at: string;
  readonly heartbeat_at: string;
  readonly expires_at: string;
}

/** In the key order of `snapshot.json`. `applyLine` changes it in place. */
export interface JobState {
  readonly job_id: string;
  status: Status;
  retry_count: number;
  step_count: number;
  tool_call_count: number;
  /** Without a prototype, since keys are anybody's. */
  readonly idempotency_keys: Record<string, true>;
  lease: LeaseRecord | undefined;
  last_applied_seq: number;
  started_at: string | undefined;
  last_reason_codes: readonly string[];
  env_fingerprint_hash: string;
  env_fingerprint_rules: readonly string[];
  env_fingerprint_values: Readonly<Record<string, string>>;
}

export function emptyJobState(jobId: string): JobState {
  return {
    job_id: jobId,
    status: 'queued',
    retry_count: 0,
    step_count: 0,
    tool_call_count: 0,
    idempotency_keys: Object.create(null) as Record<string, true>,
    lease: undefined,
    last_applied_seq: 0,
    started_at: undefined,
    last_reason_codes: [],
    env_fingerprint_hash: '',
    env_fingerprint_rules: [],
    env_fingerprint_values: {},
  };
}

/** Where a line stands, for the error that it is wrong. */
export interface LinePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export function corrupt(reason: string, place: LinePlace): ReeveError {
  return new ReeveError('E_STORE_CORRUPT', `${place.file}, line ${place.line}: ${reason}`, {
    ...place,
    reason,
  });
}

/**
 * Applies one line in O(1). Types of ours (`reeve.…`) change nothing.
 * @throws ReeveError E_STORE_CORRUPT for an unknown type or a payload that is not of its type (W9).
 */
export function applyLine(state: JobState, line: Line, place?: LinePlace): JobState {
  const reason = apply(state, line);
  if (reason !== undefined) throw corrupt(reason, place ?? { file: 'events.jsonl', line: line.seq });
  state.last_applied_seq = line.seq;
  return state;
}

/** @returns why the line cannot be applied. */
function apply(state: JobState, { type, payload, created_at }: Line): string | undefined {
  switch (type) {
    case 'job_initialized': {
      const { started_at: startedAt = created_at } = payload;
      if (!isTime(startedAt)) return 'started_at is no time';
      state.status = 'queued';
      state.started_at = startedAt;
      return undefined;
    }
    case 'status_changed':
      if (!isStatus(payload['to'])) return `unknown status ${JSON.stringify(payload['to'])}`;
      state.status = payload['to'];
      // Nobody holds a job that has ended, also where no lease_released follows.
      if (isTerminal(standingOf(state.status))) state.lease = undefined;
      return undefined;
    case 'counters_updated': {
      const { retry_count: retries = 0, step_count: steps = 0, tool_call_count: calls = 0 } = payload;
      if (!isCount(retries) || !isCount(steps) || !isCount(calls)) return 'a counter is no whole number';
      Object.assign(state, { retry_count: retries, step_count: steps, tool_call_count: calls });
      return undefined;
    }
    case 'idempotency_recorded':
      if (typeof payload['key'] !== 'string') return 'key is no string';
      state.idempotency_keys[payload['key']] = true;
      return undefined;
    case 'lease_set':
      if (!isLease(payload)) return 'the lease is incomplete';
      state.lease = payload as unknown as LeaseRecord;
      return undefined;
    case 'lease_released':
      state.lease = undefined;
      return undefined;
    case 'checkpoint_emitted': {
      const codes = payload['reason_codes'] ?? [];
      if (!isStrings(codes)) return 'reason_codes are no list of strings';
      state.last_reason_codes = codes;
      return undefined;
    }
    case 'env_fingerprint_set':
      return applyEnvironment(state, payload, payload['hash']);
    case 'env_override_recorded':
      return applyEnvironment(state, payload, payload['actual_hash']);
    case 'adapter_step':
    case 'approval_recorded':
      return undefined;
    default:
      return type.startsWith('reeve.') ? undefined : `unknown event type ${JSON.stringify(type)}`;
  }
}

function applyEnvironment(state: JobState, payload: JsonObject, hash: Json | undefined): string | undefined {
  const { rules = [], values = {} } = payload;
  if (typeof hash !== 'string' || !isStrings(rules) || !isStringMap(values))
    return 'the fingerprint is incomplete';
  Object.assign(state, {
    env_fingerprint_hash: hash,
    env_fingerprint_rules: rules,
    env_fingerprint_values: values,
  });
  return undefined;
}

function isTime(value: Json): value is string {
  return typeof value === 'string' && parseTime(value) !== undefined;
}
function isCount(value: Json): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
function isStrings(value: Json): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
function isStringMap(value: Json): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((item) => typeof item === 'string');
}
function isLease(payload: JsonObject): boolean {
  const { worker_id: worker, lease_id: id, expires_at: expiresAt = null } = payload;
  return typeof worker === 'string' && typeof id === 'string' && isTime(expiresAt);
}

/** The state object that `pause` and `cancel` print and `snapshot.json` holds; what is empty is left out. */
export function stateObject(state: JobState): JsonObject {
  const { lease, started_at, last_reason_codes } = state;
  const { env_fingerprint_hash, env_fingerprint_rules, env_fingerprint_values } = state;
  return {
    job_id: state.job_id,
    status: state.status,
    retry_count: state.retry_count,
    step_count: state.step_count,
    tool_call_count: state.tool_call_count,
    idempotency_keys: Object.fromEntries(Object.entries(state.idempotency_keys)),
    ...(lease === undefined ? {} : { lease: { ...lease } }),
    last_applied_seq: state.last_applied_seq,
    ...(started_at === undefined ? {} : { started_at }),
    ...(last_reason_codes.length === 0 ? {} : { last_reason_codes }),
    ...(env_fingerprint_hash === '' ? {} : { env_fingerprint_hash }),
    ...(env_fingerprint_rules.length === 0 ? {} : { env_fingerprint_rules }),
    ...(Object.keys(env_fingerprint_values).length === 0 ? {} : { env_fingerprint_values }),
  };
}

/** `snapshot.json`. @param createdAt the last line's, so that the same log always gives the same file. */
export function snapshotJson(state: JobState, createdAt: string): string {
  return goJson(
    { last_seq: state.last_applied_seq, created_at: createdAt, state: stateObject(state) },
    'indented',
  );
}

/** `runtime_config.json` as it is read. */
export interface RuntimeConfig {
  readonly schema_id: 'wrkr.runtime_config';
  readonly schema_version: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly producer_version: string;
  readonly adapter: string;
  readonly inputs: JsonObject;
  readonly budgets: RuntimeBudgets;
  readonly next_step_index: number;
}

export interface RuntimeBudgets {
  readonly MaxWallTimeSeconds: number;
  readonly MaxRetries: number;
  readonly MaxStepCount: number;
  readonly MaxToolCalls: number;
  readonly MaxEstimatedCost: number | null;
  readonly MaxTokens: number | null;
}

/**
 * `runtime_config.json`. Of a run without a JobSpec, such as a wrapped command, there is none.
 * @param document the run's own: a JobSpec, or the runtime config that it was imported with.
 * @param limits the run's, which may have been raised.
 */
export function runtimeConfigJson(
  document: Json | undefined,
  limits: Limits,
  progress: { readonly createdAt: string; readonly updatedAt: string; readonly nextStepIndex: number },
): string | undefined {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return undefined;
  const source = document as unknown as JobSpec | RuntimeConfig;
  const imported = source.schema_id === 'wrkr.runtime_config';
  if (!imported && source.schema_id !== 'wrkr.jobspec') return undefined;
  const config: RuntimeConfig = {
    schema_id: 'wrkr.runtime_config',
    schema_version: 'v1',
    created_at: imported ? source.created_at : progress.createdAt,
    updated_at: progress.updatedAt,
    producer_version: source.producer_version,
    adapter: imported ? source.adapter : source.adapter.name.trim().toLowerCase(),
    inputs: source.inputs as JsonObject,
    budgets: budgetsOf(limits),
    next_step_index: progress.nextStepIndex,
  };
  return goJson(config, 'indented');
}

/** No limit is 0, or null for the two that a spec need not name. */
function budgetsOf(limits: Limits): RuntimeBudgets {
  const { wallMs = 0, retries = 0, steps = 0, toolCalls = 0, costMicros, tokens } = limits;
  return {
    MaxWallTimeSeconds: Math.ceil(wallMs / 1000),
    MaxRetries: retries,
    MaxStepCount: steps,
    MaxToolCalls: toolCalls,
    MaxEstimatedCost: costMicros === undefined ? null : costMicros / 1_000_000,
    MaxTokens: tokens ?? null,
  };
}
