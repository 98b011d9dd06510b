/** Runs and NodeRuns as they are sent. What is unset is absent (D3). */
import type { AttemptError } from '../../../model/events.ts';
import { wireTime } from '../wire/ids.ts';
import type { InternalNodeRun, InternalRun } from '../wire/runs.ts';
import { present } from './constraints.ts';
import type { NodeRecord, RunView } from './view.ts';

/**
 * How the keys of the coordinator's own are written: without a dot, as clients of ARP know them, or `jarvis.<key>`, as
 * the schemas of the standard want them (D2).
 */
export type ExtensionKeys = 'bare' | 'namespaced';

export function wireRun(view: RunView, keys: ExtensionKeys): InternalRun {
  const { id, state, rootId, createdAtMs, endedAtMs, request } = view;
  const { run_context, constraints, extensions } = request;
  return present<InternalRun>({
    run_id: id,
    state,
    root_node_run_id: rootId,
    run_context,
    started_at: wireTime(createdAtMs),
    ended_at: endedAtMs === undefined ? undefined : wireTime(endedAtMs),
    extensions: joined(extensions, { constraints }, keys),
  });
}

export function wireNodeRun(view: RunView, record: NodeRecord, keys: ExtensionKeys): InternalNodeRun {
  const { input, startedAtMs, endedAtMs, end = {}, error } = record;
  return present<InternalNodeRun>({
    node_run_id: record.id,
    run_id: view.id,
    node_type_ref: input.node_type_ref,
    state: record.state,
    kind: input.kind,
    parent_node_run_id: record.parent,
    created_at: wireTime(record.createdAtMs),
    started_at: startedAtMs === undefined ? undefined : wireTime(startedAtMs),
    ended_at: endedAtMs === undefined ? undefined : wireTime(endedAtMs),
    inputs: input.inputs,
    outputs: end.outputs,
    output_artifacts: end.output_artifacts,
    executor_binding: record.binding,
    evaluation_result: record.evaluation,
    recovery_actions: record.recovery === undefined ? undefined : [record.recovery],
    extensions: joined(
      record.recovered === undefined
        ? input.extensions
        : { ...input.extensions, 'reeve.recovery': { ...record.recovered } },
      {
        constraints: input.constraints,
        decomposition_rounds: record.rounds === 0 ? undefined : record.rounds,
        completion_error: end.error ?? (error === undefined ? undefined : wireError(error)),
        candidate_set_id: input.candidate_set_id,
        binding_decision: input.binding_decision,
        idempotency_key: input.idempotency_key,
      },
      keys,
    ),
  });
}

/** Our codes in the manner of ARP; an executor's own are kept. */
function wireError({ code, message, details, retryable }: AttemptError): object {
  return present<object>({
    code: code.startsWith('E_') ? code.slice(2).toLowerCase() : code,
    message,
    details,
    retryable,
  });
}

function joined(
  given: Readonly<Record<string, unknown>> | undefined,
  ours: Readonly<Record<string, unknown>>,
  keys: ExtensionKeys,
): Readonly<Record<string, unknown>> | undefined {
  const set = Object.entries(ours)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [keys === 'bare' ? key : `jarvis.${key}`, value] as const);
  const all = { ...given, ...Object.fromEntries(set) };
  return Object.keys(all).length === 0 && given === undefined ? undefined : all;
}
