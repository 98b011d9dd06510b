/** What the door knows of a run: the fold of its events, in the terms of ARP (I3). Nothing of it is stored. */
import type { AttemptError, RecordedEvent, RunEvent } from '../../../model/events.ts';
import type { NodeSpec, SettledState } from '../../../model/node.ts';
import type { RunSpec } from '../../../model/run-spec.ts';
import { isTerminal } from '../../../model/transitions.ts';
import type { RunStartRequest } from '../wire/requests.ts';
import {
  BINDING_FACT,
  RECOVERY_FACT,
  EVALUATION_FACT,
  type BindingFact,
  type EvaluationFact,
  type EvaluationResult,
  type NodeRunEnd,
  type RecoveryAction,
  type RecoveryFact,
} from './facts.ts';
import { PROTOCOL, type NodeInput } from './spec.ts';

export type EndState = SettledState;

/** A NodeRun. `input` is what it was created with; the rest has happened since. */
export interface NodeRecord {
  readonly id: string;
  readonly parent: string | undefined;
  readonly isComposite: boolean;
  /** Nothing is changed by running it twice. */
  readonly isRepeatable: boolean;
  readonly input: NodeInput;
  readonly createdAtMs: number;
  /** The event that made it, and the last one that changed what is shown of it. */
  readonly createdSeq: number;
  changedSeq: number;
  readonly children: string[];
  rounds: number;
  state: 'queued' | 'running' | EndState;
  startedAtMs?: number;
  endedAtMs?: number;
  /** The event that ended it. */
  endedSeq?: number;
  end?: NodeRunEnd;
  error?: AttemptError;
  evaluation?: EvaluationResult;
  recovery?: RecoveryAction;
  recovered?: RecoveryFact;
  binding?: BindingFact;
}

export interface RunView {
  readonly id: string;
  /** Sequence number of the last event that is in it. */
  version: number;
  createdAtMs: number;
  rootId: string;
  /** Undefined: it belongs to no tenant. */
  tenant: string | undefined;
  request: Omit<RunStartRequest, 'metadata'>;
  /** Of the model's run. */
  labels: RunSpec['labels'];
  state: 'running' | EndState;
  endedAtMs?: number;
  endedSeq?: number;
  readonly nodes: Map<string, NodeRecord>;
  /** For each event of ARP, in order, the model event that it is made of. */
  readonly sources: number[];
  /** Roughly how much memory it takes, bytes. */
  weight: number;
}

export function emptyView(id: string): RunView {
  return {
    id,
    version: 0,
    createdAtMs: 0,
    rootId: '',
    tenant: undefined,
    request: { root_node_type_ref: { node_type_id: '', version: '' }, input: {} },
    labels: {},
    state: 'running',
    nodes: new Map(),
    sources: [],
    weight: 0,
  };
}

export function isOfArp(spec: Pick<RunSpec, 'labels'>): boolean {
  return spec.labels['protocol'] === PROTOCOL;
}

/** Whether the NodeRun was over before this event. */
export function wasOver(record: Pick<NodeRecord, 'endedSeq'> | undefined, seq: number): boolean {
  return record?.endedSeq !== undefined && record.endedSeq < seq;
}

/**
 * NodeRuns that had started and were ended by an event about something else: the end of what is above them. Whoever
 * works on them does not know.
 */
export function stoppedBy(view: RunView, seq: number, above = view.rootId): readonly NodeRecord[] {
  const found: NodeRecord[] = [];
  const ids = [above];
  for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
    const record = view.nodes.get(id);
    if (record === undefined) continue;
    const isStopped =
      record.endedSeq === seq && record.state === 'canceled' && record.startedAtMs !== undefined;
    if (isStopped && (id !== above || seq === view.endedSeq)) found.push(record);
    ids.push(...record.children);
  }
  return found;
}

/** Takes one event in. */
export function fold(view: RunView, { seq, atMs, event }: RecordedEvent): void {
  view.version = seq;
  switch (event.type) {
    case 'run_created':
      return begin(view, event.spec, { seq, atMs });
    case 'nodes_added': {
      const parent = view.nodes.get(event.parent);
      if (parent === undefined) return;
      parent.rounds += 1;
      parent.changedSeq = seq;
      for (const spec of event.nodes) {
        parent.children.push(spec.id);
        add(view, spec, parent.id, { seq, atMs });
      }
      return;
    }
    case 'attempt_started': {
      const record = view.nodes.get(event.node);
      if (record === undefined || record.endedSeq !== undefined) return;
      record.startedAtMs ??= atMs;
      record.changedSeq = seq;
      record.state = 'running';
      return;
    }
    case 'attempt_ended': {
      const { state } = event.next;
      if (state === 'queued' || state === 'running') return;
      return end(view, event.node, { state, seq, atMs }, event);
    }
    case 'node_settled':
      return end(view, event.node, { state: event.state, seq, atMs }, event);
    case 'phase_changed': {
      if (!isTerminal(event.to) || view.endedSeq !== undefined) return;
      view.state = event.to.phase as EndState;
      view.endedAtMs = atMs;
      view.endedSeq = seq;
      return end(view, view.rootId, { state: 'canceled', seq, atMs }, {});
    }
    case 'fact_recorded':
      return take(view, seq, event);
    default:
      return;
  }
}

function begin(view: RunView, spec: RunSpec, at: Instant): void {
  view.createdAtMs = at.atMs;
  view.rootId = spec.root.id;
  view.labels = spec.labels;
  const tenant = spec.labels['tenant'];
  view.tenant = typeof tenant === 'string' ? tenant : undefined;
  view.request = spec.document as unknown as RunView['request'];
  view.weight += JSON.stringify(spec.document ?? null).length;
  add(view, spec.root, undefined, at);
}

/** When, by number and by clock. */
interface Instant {
  readonly seq: number;
  readonly atMs: number;
}

const NODE_WEIGHT = 1000;

function add(view: RunView, spec: NodeSpec, parent: string | undefined, { seq, atMs }: Instant): void {
  view.weight += NODE_WEIGHT + JSON.stringify(spec.input ?? null).length;
  view.nodes.set(spec.id, {
    id: spec.id,
    parent,
    isComposite: spec.kind === 'composite',
    isRepeatable: spec.onInterrupt === 'rerun',
    input: spec.input as unknown as NodeInput,
    createdAtMs: atMs,
    createdSeq: seq,
    changedSeq: seq,
    children: [],
    rounds: 0,
    state: 'queued',
  });
}

interface Ending extends Instant {
  readonly state: EndState;
}

/** As the model has it: what is below a composite that ended is canceled. */
function end(
  view: RunView,
  id: string,
  ending: Ending,
  said: { readonly outputs?: unknown; readonly error?: AttemptError },
): void {
  const record = view.nodes.get(id);
  if (record === undefined || record.endedSeq !== undefined) return;
  close(record, ending);
  const { outputs, error } = said;
  if (outputs !== undefined) {
    record.end = outputs as NodeRunEnd;
    view.weight += JSON.stringify(outputs).length;
    if (record.end.evaluation !== undefined) record.evaluation = record.end.evaluation;
  }
  if (error !== undefined) record.error = error;
  const below = [...record.children];
  for (let child = below.pop(); child !== undefined; child = below.pop()) {
    const open = view.nodes.get(child);
    if (open === undefined || open.endedSeq !== undefined) continue;
    close(open, { ...ending, state: 'canceled' });
    below.push(...open.children);
  }
}

function close(record: NodeRecord, { state, seq, atMs }: Ending): void {
  record.state = state;
  record.endedAtMs = atMs;
  record.endedSeq = seq;
  record.changedSeq = seq;
}

function take(
  view: RunView,
  seq: number,
  { name, node, data }: Extract<RunEvent, { type: 'fact_recorded' }>,
): void {
  const record = view.nodes.get(node ?? '');
  if (record === undefined) return;
  if ([BINDING_FACT, EVALUATION_FACT, RECOVERY_FACT].includes(name)) record.changedSeq = seq;
  if (name === BINDING_FACT) record.binding = data as unknown as BindingFact;
  if (name === RECOVERY_FACT) record.recovered = data as unknown as RecoveryFact;
  if (name !== EVALUATION_FACT) return;
  const { evaluation_result, recovery_action } = data as unknown as EvaluationFact;
  record.evaluation = evaluation_result;
  if (recovery_action === undefined) delete record.recovery;
  else record.recovery = recovery_action;
  view.weight += JSON.stringify(data).length;
}
