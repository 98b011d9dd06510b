/**
 * Lines of wrkr → events of the model, so that a log of the reference is folded by the same `evolve` as our own (I3).
 * wrkr says less than the model knows: a step's end is the `counters_updated` after its `adapter_step`, and steps that
 * never began are not known. What has no counterpart becomes a fact that changes nothing.
 */
import type { RecordedEvent, RunEvent } from '../model/events.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { CHECKPOINT_TYPES, type ArtifactsDelta, type CheckpointType, type NodeSpec } from '../model/node.ts';
import type { RunSpec } from '../model/run-spec.ts';
import type { RunState } from '../model/state.ts';
import { NO_USAGE, subtractUsage, type Usage } from '../model/usage.ts';
import { isObject } from './chain-entry.ts';
import type { EventRecord } from './records.ts';
import { isStatus, standingOf } from './statuses.ts';

const ROOT = 'job';

/** The steps that a log names, by index. */
export class LineSteps {
  readonly #nodes = new Map<string, NodeSpec>();

  add({ type, payload }: EventRecord): void {
    if (type !== 'adapter_step') return;
    const id = stepNode(payload);
    const { step_id: name, summary, command, artifacts, executed } = payload;
    if (this.#nodes.has(id)) return;
    this.#nodes.set(id, {
      id,
      kind: 'atomic',
      name: text(name) || id,
      ...(executed === false ? {} : { executor: 'process' }),
      after: {
        type: 'progress',
        summary: text(summary),
        delta: { added: strings(artifacts), changed: [], removed: [] },
      },
      labels: { command: text(command) },
    });
  }

  spec(name: string): RunSpec {
    return {
      tenant: '',
      actor: '',
      name,
      limits: {},
      // All time in `running` counts, as it does when such a job is imported: these logs do not know who held it.
      root: { id: ROOT, kind: 'composite' },
      nodes: [...this.#nodes.values()],
      labels: {},
    };
  }
}

export class LineEvents {
  readonly #spec: RunSpec;
  /** The step that the next counters speak of. */
  #running: string | undefined;
  #last: string | undefined;
  #epoch = 0;

  constructor(spec: RunSpec) {
    this.#spec = spec;
  }

  /** @param state before the line. */
  next(record: EventRecord, seq: number, atMs: number, state: RunState): RecordedEvent {
    return { seq, atMs, event: this.#event(record, seq, atMs, state) ?? fact(record) };
  }

  #event({ type, payload }: EventRecord, seq: number, atMs: number, state: RunState): RunEvent | undefined {
    if (seq === 1) return { type: 'run_created', spec: this.#spec };
    const hasRoot = state.nodes.has(ROOT);
    switch (type) {
      case 'env_fingerprint_set':
      case 'env_override_recorded':
        return environment(payload);
      case 'status_changed': {
        const { to } = payload;
        return isStatus(to) ? { type: 'phase_changed', from: state.standing, to: standingOf(to) } : undefined;
      }
      case 'lease_set': {
        if (!hasRoot) return undefined;
        this.#epoch += 1;
        const ttlMs = Date.parse(text(payload['expires_at'])) - atMs;
        return { type: 'node_assigned', node: ROOT, lease: this.#lease(payload), ttlMs: ttlMs || 0 };
      }
      case 'lease_released':
        return {
          type: 'node_released',
          node: ROOT,
          lease: this.#lease(payload),
          cause: 'released',
          seenMs: atMs,
        };
      case 'adapter_step':
        return this.#started(payload, state);
      case 'counters_updated':
        return this.#ended(payload, state);
      case 'idempotency_recorded':
        return { type: 'key_recorded', node: this.#last ?? ROOT, key: text(payload['key']) };
      case 'checkpoint_emitted':
        return this.#checkpoint(payload, state);
      case 'approval_recorded': {
        const checkpoint = Number(/^cp_([1-9]\d{0,14})$/.exec(text(payload['checkpoint_id']))?.[1] ?? 0);
        const { approved_by: by, reason } = payload;
        return { type: 'approval_recorded', checkpoint, by: text(by), reason: text(reason), binds: '' };
      }
      default:
        return undefined;
    }
  }

  #lease({ worker_id: worker, lease_id: leaseId }: JsonObject) {
    return { worker: text(worker), leaseId: text(leaseId), epoch: this.#epoch };
  }

  #started(payload: JsonObject, state: RunState): RunEvent | undefined {
    const node = stepNode(payload);
    const before = state.nodes.get(node);
    if (before === undefined) return undefined; // a step that is done has begun again: only the reference knows why
    this.#running = node;
    this.#last = node;
    return {
      type: 'attempt_started',
      node,
      attempt: before.attempt + 1,
      epoch: this.#epoch,
      executor: before.spec.executor ?? null,
      effectKey: '',
      argumentsHash: '',
      reserved: NO_USAGE,
    };
  }

  #ended(payload: JsonObject, state: RunState): RunEvent | undefined {
    const total = countersOf(payload, state.used);
    const node = this.#running;
    const live = node === undefined ? undefined : state.nodes.get(node)?.live;
    this.#running = undefined;
    if (node === undefined || live === undefined) return undefined;
    const isDone = total.steps > state.used.steps;
    return {
      type: 'attempt_ended',
      node,
      attempt: live.attempt,
      outcome: isDone ? 'succeeded' : 'failed',
      next: { state: isDone ? 'succeeded' : 'queued' },
      usage: subtractUsage(total, { ...state.used, wallMs: total.wallMs }),
      total,
    };
  }

  #checkpoint(payload: JsonObject, state: RunState): RunEvent | undefined {
    const { type, status, summary, artifacts_delta: delta, required_action: action, budget_state } = payload;
    if (!CHECKPOINT_TYPES.some((known) => known === type) || !isStatus(status)) return undefined;
    // Only a step says blocked_decision while the job is still running: its status follows (contract wrkr §e).
    const isOfStep = status === 'blocked_decision' && state.standing.phase === 'running';
    const { kind, instructions } = isObject(action) ? action : {};
    const isStepWord = isOfStep || type === 'progress';
    return {
      type: 'checkpoint_emitted',
      checkpoint: type as CheckpointType,
      summary: text(summary),
      standing: standingOf(status),
      usage: countersOf(isObject(budget_state) ? budget_state : {}, state.used),
      delta: deltaOf(delta),
      reasonCodes: strings(payload['reason_codes']),
      ...(isObject(action) ? { requiredAction: { kind: text(kind), instructions: text(instructions) } } : {}),
      ...(isStepWord && this.#last !== undefined ? { node: this.#last } : {}),
      ...(type === 'decision-needed' ? { blocks: isOfStep ? 'dependents' : 'run', binds: '' } : {}),
    };
  }
}

/** What counters of wrkr say; the rest as it was. */
export function countersOf(payload: JsonObject, used: Usage): Usage {
  const count = (key: string, before: number): number => {
    const value = payload[key];
    return typeof value === 'number' && value >= 0 ? value : before;
  };
  return {
    ...used,
    retries: count('retry_count', used.retries),
    steps: count('step_count', used.steps),
    toolCalls: count('tool_call_count', used.toolCalls),
  };
}

function environment(payload: JsonObject): RunEvent {
  const { hash, actual_hash: actual, expected_hash: expected, approved_by: by, reason, values } = payload;
  const pairs = isObject(values) ? Object.entries(values).map(([rule, value]) => [rule, text(value)]) : [];
  return {
    type: 'environment_recorded',
    environment: {
      rules: strings(payload['rules']),
      values: Object.fromEntries(pairs) as Record<string, string>,
      hash: text(actual) || text(hash),
    },
    ...(actual === undefined
      ? {}
      : { override: { expectedHash: text(expected), by: text(by), reason: text(reason) } }),
  };
}

function fact({ type, payload }: EventRecord): RunEvent {
  return { type: 'fact_recorded', name: type, data: payload };
}

function stepNode({ step_index: index, step_id: name }: JsonObject): string {
  return `${typeof index === 'number' ? index : ''}:${text(name)}`;
}

function deltaOf(delta: Json | undefined): ArtifactsDelta {
  const { added, changed, removed } = isObject(delta) ? delta : {};
  return { added: strings(added), changed: strings(changed), removed: strings(removed) };
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function strings(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((item: Json) => typeof item === 'string') : [];
}
