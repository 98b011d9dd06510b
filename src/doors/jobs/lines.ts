/**
 * Events of a run → lines of wrkr's `events.jsonl` (contract wrkr §d). One event is one line, with the same sequence
 * number. What wrkr has no type for becomes `reeve.<type>` and keeps every field of the event.
 */
import type {
  CheckpointEmitted,
  EnvironmentOverride,
  Lease,
  RecordedEvent,
  RunEvent,
} from '../../model/events.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import type { NodeSpec } from '../../model/node.ts';
import type { Fingerprint, RunSpec } from '../../model/run-spec.ts';
import type { Usage } from '../../model/usage.ts';
import { goJson } from './go-json.ts';
import { checkpointId, statusOf } from './map.ts';
import { formatTime } from './time.ts';

/** One line of the log, before it is written. Keys are in their written order. */
export interface Line {
  readonly seq: number;
  readonly created_at: string;
  readonly type: string;
  readonly payload: JsonObject;
}

/** What lines say beyond their event. */
export interface Projection {
  readonly jobId: string;
  readonly producerVersion: string;
  readonly rootId: string;
  /** Node id → the payload of its `adapter_step`. */
  readonly steps: ReadonlyMap<string, JsonObject>;
}

/**
 * From the spec in `run_created`, or in `run_imported`. The producer is the version that created the run, so that the
 * same events give the same lines after an upgrade (I10); `version` stands in where a run does not name it.
 */
export function projectionOf(jobId: string, spec: RunSpec, version: string): Projection {
  const { adapter, producer_version: producer } = spec.labels;
  const adapterName = typeof adapter === 'string' ? adapter : 'none';
  return {
    jobId,
    producerVersion: typeof producer === 'string' ? producer : version,
    rootId: spec.root.id,
    steps: new Map(spec.nodes.map((node, index) => [node.id, stepPayload(adapterName, node, index)])),
  };
}

function stepPayload(adapter: string, node: NodeSpec, index: number): JsonObject {
  return {
    adapter,
    artifacts: node.after?.delta?.added ?? [],
    command: commandOf(node),
    executed: node.labels?.['executed'] !== false,
    step_id: node.name ?? node.id,
    step_index: index,
    summary: node.after?.summary ?? '',
  };
}

/** A label comes first: it may be redacted. */
function commandOf(node: NodeSpec): string {
  const label = node.labels?.['command'];
  if (typeof label === 'string') return label;
  const { argv } = (node.input ?? {}) as { argv?: readonly string[] };
  return argv?.[0] === 'sh' && argv[1] === '-lc' ? (argv[2] ?? '') : '';
}

/** The bytes of a line, with its newline. */
export function lineText(line: Line): string {
  return `${goJson(line)}\n`;
}

export function lineOf(recorded: RecordedEvent, projection: Projection): Line {
  const { seq, atMs, event } = recorded;
  if (event.type === 'line_imported') return event.line as unknown as Line;
  const created_at = formatTime(atMs);
  const known = knownLine(event, created_at, atMs, projection);
  if (known !== undefined) return { seq, created_at, ...known };
  const { type, ...payload } = event;
  return { seq, created_at, type: `reeve.${type}`, payload: payload as unknown as JsonObject };
}

type TypeAndPayload = Pick<Line, 'type' | 'payload'>;

function knownLine(
  event: RunEvent,
  at: string,
  atMs: number,
  projection: Projection,
): TypeAndPayload | undefined {
  switch (event.type) {
    case 'run_created':
      return { type: 'job_initialized', payload: { started_at: at, status: 'queued' } };
    case 'environment_recorded':
      return environmentLine(event.environment, event.override, at);
    case 'phase_changed':
      return { type: 'status_changed', payload: { from: statusOf(event.from), to: statusOf(event.to) } };
    case 'node_assigned':
      if (event.node !== projection.rootId) return undefined;
      return { type: 'lease_set', payload: leasePayload(event.lease, at, formatTime(atMs + event.ttlMs)) };
    case 'node_released': {
      if (event.node !== projection.rootId) return undefined;
      return {
        type: 'lease_released',
        payload: { lease_id: event.lease.leaseId, worker_id: event.lease.worker },
      };
    }
    case 'attempt_started': {
      const payload = projection.steps.get(event.node);
      return payload === undefined ? undefined : { type: 'adapter_step', payload };
    }
    case 'attempt_ended':
      return { type: 'counters_updated', payload: countersOf(event.total) };
    case 'key_recorded':
      return { type: 'idempotency_recorded', payload: { key: event.key } };
    case 'checkpoint_emitted':
      return { type: 'checkpoint_emitted', payload: checkpointPayload(event) };
    case 'approval_recorded':
      return { type: 'approval_recorded', payload: approvalPayload(event, at, projection) };
    default:
      return undefined;
  }
}

function environmentLine(
  environment: Fingerprint,
  override: EnvironmentOverride | undefined,
  at: string,
): TypeAndPayload {
  const { rules, values, hash } = environment;
  if (override === undefined) {
    return { type: 'env_fingerprint_set', payload: { rules, values, hash, captured_at: at } };
  }
  return {
    type: 'env_override_recorded',
    payload: {
      actual_hash: hash,
      approved_by: override.by,
      captured_at: at,
      expected_hash: override.expectedHash,
      reason: override.reason,
      rules,
      values,
    },
  };
}

function leasePayload(lease: Lease, at: string, expires_at: string): JsonObject {
  return { worker_id: lease.worker, lease_id: lease.leaseId, acquired_at: at, heartbeat_at: at, expires_at };
}

function countersOf(total: Usage): JsonObject {
  return { retry_count: total.retries, step_count: total.steps, tool_call_count: total.toolCalls };
}

function checkpointPayload(event: CheckpointEmitted): JsonObject {
  const { usage, delta, requiredAction } = event;
  return {
    artifacts_delta: { added: delta.added, changed: delta.changed, removed: delta.removed },
    budget_state: { wall_time_seconds: Math.floor(usage.wallMs / 1000), ...countersOf(usage) },
    reason_codes: event.reasonCodes,
    required_action: requiredAction === undefined ? null : { ...requiredAction },
    status: statusOf(event.standing),
    summary: event.summary,
    type: event.checkpoint,
  };
}

function approvalPayload(
  event: Extract<RunEvent, { type: 'approval_recorded' }>,
  created_at: string,
  { jobId, producerVersion }: Projection,
): JsonObject {
  return {
    ...envelope('wrkr.approval_record', created_at, producerVersion),
    job_id: jobId,
    checkpoint_id: checkpointId(event.checkpoint),
    reason: event.reason,
    approved_by: event.by,
  };
}

function envelope(schema_id: string, created_at: string, producer_version: string): JsonObject {
  return { schema_id, schema_version: 'v1', created_at, producer_version };
}

/** `next_step_index`: the first step not done. @param from where an earlier answer was, which it never falls below. */
export function nextStepIndex(projection: Projection, isDone: (node: string) => boolean, from = 0): number {
  let index = from;
  for (const id of projection.steps.keys().drop(from)) {
    if (!isDone(id)) break;
    index += 1;
  }
  return index;
}

/** The checkpoint document of a `checkpoint_emitted` line (schema `wrkr.checkpoint`); undefined for other lines. */
export function checkpointRecord(line: Line, jobId: string, producerVersion: string): JsonObject | undefined {
  if (line.type !== 'checkpoint_emitted') return undefined;
  const { type, summary, status, budget_state, artifacts_delta, required_action, reason_codes } =
    line.payload;
  const record: Record<string, Json | undefined> = {
    ...envelope('wrkr.checkpoint', line.created_at, producerVersion),
    checkpoint_id: checkpointId(line.seq),
    job_id: jobId,
    type,
    summary,
    status,
    budget_state,
    artifacts_delta,
    ...(required_action === null ? {} : { required_action }),
    reason_codes,
  };
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as JsonObject;
}

/** The approval record of an `approval_recorded` line, as it was recorded; undefined for other lines. */
export function approvalRecord(line: Line): JsonObject | undefined {
  return line.type === 'approval_recorded' ? line.payload : undefined;
}
