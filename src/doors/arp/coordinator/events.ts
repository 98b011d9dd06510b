/**
 * Events of ARP, made of the run's own (contract arp §4.9). Each is made of one model event and of what the view knows of
 * NodeRuns, which never changes afterwards; so they can be made again at any time, and come out the same.
 */
import type { Fact, RecordedEvent } from '../../../model/events.ts';
import type { NodeSpec } from '../../../model/node.ts';
import { isTerminal } from '../../../model/transitions.ts';
import type { RUN_EVENT_TYPE } from '../wire/core.ts';
import { wireTime } from '../wire/ids.ts';
import type { TypeOf } from '../../wire-schema.ts';
import {
  EVALUATION_FACT,
  POLICY_FACT,
  type EvaluationFact,
  type NodeRunEnd,
  type PolicyFact,
} from './facts.ts';
import type { NodeInput } from './spec.ts';
import { fold, wasOver, type RunView } from './view.ts';

type EventType = TypeOf<typeof RUN_EVENT_TYPE>;

/** An event without its number and time. */
export interface EventDraft {
  readonly type: EventType;
  readonly node?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What happened, in the words of ARP; most model events are nothing there. The view may be any amount ahead. */
export function eventsOf(view: RunView, { seq, event }: RecordedEvent): readonly EventDraft[] {
  switch (event.type) {
    case 'run_created': {
      const { id } = event.spec.root;
      return [
        { type: 'run_started', data: { root_node_run_id: id } },
        { type: 'node_run_assigned', node: id, data: { root: true } },
      ];
    }
    case 'nodes_added':
      return [
        { type: 'composite_decomposed', node: event.parent, data: { node_run_count: event.nodes.length } },
        ...event.nodes.flatMap((spec) => childEvents(event.parent, spec)),
      ];
    case 'attempt_ended': {
      const { state } = event.next;
      if (state === 'queued' || state === 'running') return [];
      return endEvents(view, seq, { node: event.node, state, outputs: event.outputs });
    }
    case 'node_settled':
      return endEvents(view, seq, event);
    case 'phase_changed': {
      if (!isTerminal(event.to) || (view.endedSeq !== undefined && view.endedSeq < seq)) return [];
      const { rootId } = view;
      // A run that was canceled took its root along; otherwise its root ended it.
      const byRoot = wasOver(view.nodes.get(rootId), seq) ? { node: rootId } : {};
      return [{ type: 'run_completed', ...byRoot, data: { state: event.to.phase } }];
    }
    case 'fact_recorded':
      return factEvents(event);
    default:
      return [];
  }
}

function childEvents(parent: string, { id, input }: NodeSpec): readonly EventDraft[] {
  const { binding_decision: binding, candidate_set_id: set } = input as unknown as NodeInput;
  const subtask = binding === undefined ? {} : { subtask_id: binding.subtask_id };
  return [
    { type: 'node_run_assigned', node: id, data: { parent_node_run_id: parent } },
    ...(binding === undefined ? [] : [{ type: 'subtask_mapped', node: id, data: binding } as const]),
    ...(set === undefined
      ? []
      : [
          { type: 'candidate_set_generated', node: id, data: { candidate_set_id: set, ...subtask } } as const,
        ]),
  ];
}

function endEvents(
  view: RunView,
  seq: number,
  { node, state, outputs }: { readonly node: string; readonly state: string; readonly outputs?: unknown },
): readonly EventDraft[] {
  const record = view.nodes.get(node);
  if (record === undefined || wasOver(record, seq)) return [];
  const { evaluation } = (outputs ?? {}) as NodeRunEnd;
  const isAtomic = record.input.kind === 'atomic';
  return [
    ...(evaluation === undefined ? [] : [{ type: 'node_evaluated', node, data: evaluation } as const]),
    ...(isAtomic ? [{ type: 'atomic_executed', node, data: { state } } as const] : []),
  ];
}

function factEvents({ name, node, data }: Fact): readonly EventDraft[] {
  const about = node === undefined ? {} : { node };
  if (name === POLICY_FACT) {
    const { action, decision: said } = data as unknown as PolicyFact;
    const { decision, reason_code, message, approval_ref } = said;
    return [
      {
        type: 'policy_decided',
        ...about,
        data: {
          action,
          decision,
          ...(reason_code === undefined ? {} : { reason_code }),
          ...(message === undefined ? {} : { message }),
          ...(approval_ref === undefined ? {} : { approval_ref }),
        },
      },
    ];
  }
  if (name !== EVALUATION_FACT) return [];
  const { evaluation_result, recovery_action } = data as unknown as EvaluationFact;
  return [
    { type: 'node_evaluated', ...about, data: evaluation_result },
    ...(recovery_action === undefined
      ? []
      : [{ type: 'recovery_applied', ...about, data: recovery_action } as const]),
  ];
}

/** Takes one model event into the view, and the events of ARP that it makes. */
export function advance(view: RunView, recorded: RecordedEvent): void {
  fold(view, recorded);
  for (const _ of eventsOf(view, recorded)) view.sources.push(recorded.seq);
}

/** An event as it is sent: one line of JSON, without its end. */
export function eventText(
  view: RunView,
  seq: number,
  atMs: number,
  { type, node, data }: EventDraft,
): string {
  return JSON.stringify({
    run_id: view.id,
    seq,
    type,
    time: wireTime(atMs),
    ...(node === undefined ? {} : { node_run_id: node }),
    data,
  });
}
