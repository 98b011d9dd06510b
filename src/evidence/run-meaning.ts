/**
 * What an event means, apart from when, where and by which process it happened: two runs that went the same way mean
 * the same, in whichever store. Left out are times, ids of runs and leases, epochs, workers, running time, hashes over
 * any of these, and what commands printed. What was asked for is compared by itself.
 */
import type { RecordedEvent, RunEvent } from '../model/events.ts';
import type { Json } from '../model/json.ts';
import { canonicalJson } from '../model/canonical.ts';
import type { Usage } from '../model/usage.ts';
import { isObject } from './chain-entry.ts';
import { sha256 } from './hash.ts';

/** Fields of the documents of wrkr that say when, by which version and of which job. */
const ENVELOPE = new Set(['created_at', 'producer_version', 'job_id', 'captured_at']);

/** Equal for events that mean the same. */
export function meaningOf({ event }: RecordedEvent): string {
  return sha256(canonicalJson({ type: event.type, ...said(event) }));
}

function said(event: RunEvent): object {
  switch (event.type) {
    case 'run_created':
    case 'run_imported':
    case 'line_imported':
      return {};
    case 'environment_recorded':
      return { by: event.override?.by, reason: event.override?.reason };
    case 'phase_changed':
      return { from: event.from, to: event.to, reason: event.reason };
    case 'nodes_added':
      return { parent: event.parent, nodes: event.nodes.map(({ id }) => id) };
    case 'node_assigned':
    case 'key_recorded':
      return { node: event.node };
    case 'node_released':
      return { node: event.node, cause: event.cause };
    case 'attempt_started':
      return { node: event.node, attempt: event.attempt, executor: event.executor };
    case 'usage_charged':
      return { node: event.node, attempt: event.attempt, usage: countsOf(event.usage) };
    case 'attempt_ended': {
      const { node, attempt, outcome, next, usage, outputs, error } = event;
      const exit = outputs?.['exit_code'];
      return { node, attempt, outcome, next: next.state, usage: countsOf(usage), exit, error: error?.code };
    }
    case 'node_settled':
      return { node: event.node, state: event.state, by: event.by, reason: event.reason };
    case 'checkpoint_emitted': {
      const { checkpoint, summary, standing, node, reasonCodes, delta, requiredAction } = event;
      return { checkpoint, summary, standing, node, reasonCodes, delta, requiredAction };
    }
    case 'checkpoint_deferred':
      return { node: event.node, delta: event.delta };
    case 'approval_recorded':
      return { by: event.by, reason: event.reason };
    case 'limits_raised':
      return { limits: event.limits, by: event.by, reason: event.reason };
    case 'fact_recorded':
      return { name: event.name, node: event.node, data: withoutEnvelope(event.data) };
    default:
      return {};
  }
}

export function withoutEnvelope(value: Json): Json {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !ENVELOPE.has(key)));
}

function countsOf({ wallMs: _, ...counts }: Partial<Usage>): object {
  return counts;
}
