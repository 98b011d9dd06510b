/**
 * `evolve` applies what was decided. It never refuses, has no clock and no chance in it: the same events give the same
 * state everywhere (I3, I10). It changes the state it is given, which it owns, and costs O(1) per event except where an
 * event is about many nodes.
 */
import { unreachable } from './errors.ts';
import type { CheckpointEmitted, ImportedState, RecordedEvent, RunEvent } from './events.ts';
import {
  hasAttempts,
  isExternal,
  NO_DELTA,
  type ArtifactsDelta,
  type NodeSpec,
  type SettledState,
} from './node.ts';
import type { RunSpec } from './run-spec.ts';
import { isTicking, leaseOn, leaseOwner, requireNode, type Node, type RunState } from './state.ts';
import { addUsage, NO_USAGE, subtractUsage } from './usage.ts';

export function evolve(state: RunState, recorded: RecordedEvent): RunState {
  const { event } = recorded;
  // Time runs from event to event; after a worker was lost it stopped when the worker was last seen.
  const until = event.type === 'node_released' ? Math.min(event.seenMs, recorded.atMs) : recorded.atMs;
  if (isTicking(state)) state.used = addUsage(state.used, { wallMs: Math.max(0, until - state.lastAtMs) });
  state.version = recorded.seq;
  state.lastAtMs = recorded.atMs;
  apply(state, event, recorded);
  return state;
}

function apply(state: RunState, event: RunEvent, recorded: RecordedEvent): void {
  switch (event.type) {
    case 'run_created':
      begin(state, event.spec, recorded.atMs);
      return;
    case 'line_imported':
    case 'fact_recorded':
    case 'key_recorded':
      return;
    case 'run_imported':
      begin(state, event.spec, event.state.startedAtMs);
      adopt(state, event.state, recorded.seq);
      return;
    case 'environment_recorded':
      state.environment = event.environment;
      return;
    case 'phase_changed':
      changePhase(state, event, recorded.seq);
      return;
    case 'nodes_added':
      addNodes(state, event.parent, event.nodes);
      return;
    case 'node_assigned': {
      const node = requireNode(state, event.node);
      const { worker, leaseId, epoch } = event.lease;
      put(state, {
        ...node,
        state: node.state !== 'queued' ? node.state : state.open.has(event.node) ? 'running' : 'assigned',
        epoch,
        lease: { worker, leaseId, ttlMs: event.ttlMs },
        begun: true,
      });
      return;
    }
    case 'node_released': {
      if (event.node === state.spec.rootId) state.rootLease = undefined;
      const released = state.nodes.get(event.node);
      if (released === undefined) return; // the run is over, and its holder lets go
      const { lease: _, ...node } = released;
      put(state, { ...node, state: node.state === 'assigned' ? 'queued' : node.state });
      return;
    }
    case 'attempt_started':
      startAttempt(state, event, recorded.atMs);
      return;
    case 'usage_charged': {
      const node = requireNode(state, event.node);
      if (node.live === undefined) return;
      put(state, { ...node, live: { ...node.live, charged: addUsage(node.live.charged, event.usage) } });
      state.used = addUsage(state.used, event.usage);
      return;
    }
    case 'attempt_ended':
      endAttempt(state, event, recorded);
      return;
    case 'node_settled':
      settle(state, event.node, event.state, recorded.seq);
      return;
    case 'checkpoint_emitted':
      emitCheckpoint(state, event, recorded);
      return;
    case 'checkpoint_deferred':
      spokenOf(state, event.node);
      state.checkpoints = {
        ...state.checkpoints,
        pending: mergeDelta(state.checkpoints.pending, event.delta),
      };
      return;
    case 'approval_recorded':
      approve(state, event.checkpoint);
      return;
    case 'limits_raised':
      state.limits = { ...state.limits, ...event.limits };
      return;
    default:
      unreachable(event);
  }
}

function begin(state: RunState, spec: RunSpec, startedAtMs: number): void {
  const { document: _document, nodes, root, ...rest } = spec;
  state.spec = { ...rest, rootId: root.id };
  state.standing = { phase: 'queued' };
  state.startedAtMs = startedAtMs;
  state.limits = spec.limits;
  addNode(state, root, undefined);
  if (nodes.length > 0) addNodes(state, root.id, nodes);
}

function adopt(state: RunState, imported: ImportedState, seq: number): void {
  state.standing = imported.standing;
  state.used = imported.usage;
  state.environment = imported.environment;
  state.reasonCodes = imported.reasonCodes;
  for (const decision of imported.decisions) {
    const { checkpoint, approved, node } = decision;
    const blocks = node === undefined ? 'run' : 'dependents';
    state.decisions.set(checkpoint, {
      checkpoint,
      approved,
      blocks,
      binds: '',
      ...(node === undefined ? {} : { node }),
    });
    if (!approved) state.openDecisions += 1;
  }
  for (const id of imported.interrupted) put(state, { ...requireNode(state, id), ran: 1, attempt: 1 });
  for (const id of imported.succeeded) settle(state, id, 'succeeded', seq);
  for (const id of imported.succeeded) if (isReleased(state, id)) release(state, id);
  const { rootId } = state.spec;
  put(state, { ...requireNode(state, rootId), begun: true });
  const { phase } = imported.standing;
  if (phase === 'succeeded' || phase === 'failed' || phase === 'canceled') settle(state, rootId, phase, seq);
}

/** What children of a composite need as long as the composite itself waits for others (I8). */
function openingOf(composite: string): string {
  return `${composite}\u0000open`;
}

/** Among the dependents of a step with a decision: its plan, which must not end before the approval. */
const CLOSING = '\u0000close';

function addNodes(state: RunState, parentId: string, specs: readonly NodeSpec[]): void {
  const parent = requireNode(state, parentId);
  put(state, { ...parent, children: parent.children + specs.length, rounds: parent.rounds + 1 });
  for (const spec of specs) addNode(state, spec, state.nodes.get(parentId));
}

const NEW_NODE = {
  state: 'queued',
  attempt: 0,
  ran: 0,
  failures: 0,
  epoch: 0,
  begun: false,
  children: 0,
  childrenSettled: 0,
  childrenFailed: 0,
  undecided: 0,
  rounds: 0,
} as const;

function addNode(state: RunState, spec: NodeSpec, parent: Node | undefined): void {
  const needs = (spec.needs ?? []).filter((need) => !isReleased(state, need));
  if (parent !== undefined && parent.waiting > 0) needs.push(openingOf(parent.spec.id));
  for (const need of needs) state.dependents.set(need, [...(state.dependents.get(need) ?? []), spec.id]);
  const place = { spec, index: state.nodeCount, waiting: needs.length };
  put(
    state,
    parent === undefined
      ? { ...NEW_NODE, ...place, depth: 0 }
      : { ...NEW_NODE, ...place, depth: parent.depth + 1, parent: parent.spec.id },
  );
  state.nodeCount += 1;
  if (needs.length === 0) becomeReady(state, spec.id);
}

function becomeReady(state: RunState, id: string): void {
  const node = requireNode(state, id);
  if (hasAttempts(node.spec)) {
    offer(state, id);
  } else {
    state.fresh.push(id);
    if (isExternal(node.spec)) state.open.set(id, true);
    if (node.parent !== undefined) put(state, { ...node, state: 'running' });
  }
  release(state, openingOf(id));
}

function offer(state: RunState, id: string): void {
  state.ready.set(id, true);
  state.fresh.push(id);
}

/** True when nothing needs to wait for `id` any more: it succeeded and its own decision, if any, is approved. */
export function isReleased(state: RunState, id: string): boolean {
  if (state.settled.get(id)?.state !== 'succeeded') return false;
  for (const key of state.decisions.keys()) {
    const decision = state.decisions.get(key);
    if (decision?.node === id && decision.blocks === 'dependents' && !decision.approved) return false;
  }
  return true;
}

function release(state: RunState, id: string): void {
  const waiting = state.dependents.get(id);
  if (waiting === undefined) return;
  state.dependents.delete(id);
  for (const dependent of waiting) {
    if (dependent.endsWith(CLOSING)) {
      decided(state, dependent.slice(0, -CLOSING.length));
      continue;
    }
    const node = state.nodes.get(dependent);
    if (node === undefined || node.state === 'canceled') continue;
    put(state, { ...node, waiting: node.waiting - 1 });
    if (node.waiting === 1) becomeReady(state, dependent);
  }
}

function decided(state: RunState, plan: string): void {
  const node = state.nodes.get(plan);
  if (node === undefined) return;
  put(state, { ...node, undecided: node.undecided - 1 });
  state.fresh.push(plan);
}

function startAttempt(
  state: RunState,
  event: Extract<RunEvent, { type: 'attempt_started' }>,
  atMs: number,
): void {
  const { notBeforeMs: _, ...node } = requireNode(state, event.node);
  const { attempt, epoch, executor, effectKey, reserved } = event;
  put(state, {
    ...node,
    state: 'running',
    attempt,
    begun: true,
    epoch: event.lease?.epoch ?? node.epoch,
    ...(event.lease === undefined
      ? {}
      : {
          lease: { worker: event.lease.worker, leaseId: event.lease.leaseId, ttlMs: event.ttlMs ?? 0 },
        }),
    live: { attempt, epoch, executor, effectKey, startedAtMs: atMs, reserved, charged: NO_USAGE },
  });
  state.reserved = addUsage(state.reserved, reserved);
  state.ready.delete(event.node);
  state.live.set(event.node, true);
}

function endAttempt(
  state: RunState,
  event: Extract<RunEvent, { type: 'attempt_ended' }>,
  { seq, atMs }: RecordedEvent,
): void {
  const { live, lease: _lease, ...node } = requireNode(state, event.node);
  state.live.delete(event.node);
  if (live !== undefined) {
    state.reserved = subtractUsage(state.reserved, live.reserved);
    state.used = addUsage(state.used, subtractUsage(event.usage, live.charged));
  }
  const ended: Node = {
    ...node,
    ran: node.ran + (event.outcome === 'not_started' ? 0 : 1),
    failures: node.failures + (event.outcome === 'failed' || event.outcome === 'timed_out' ? 1 : 0),
    lastOutcome: event.outcome,
  };
  const { next } = event;
  if (node.state === 'canceled' || (next.state !== 'queued' && next.state !== 'running')) {
    put(state, ended);
    const isLeft = next.state === 'queued' || next.state === 'running';
    settle(state, event.node, isLeft ? 'canceled' : next.state, seq);
    return;
  }
  if (next.state === 'running') {
    put(state, { ...ended, handedOverAtMs: atMs });
    state.open.set(event.node, true);
    return;
  }
  // A plan's lease outlives its children's attempts; a node claimed by itself is claimed anew.
  const { notBeforeMs } = next;
  put(state, { ...ended, state: 'queued', ...(notBeforeMs === undefined ? {} : { notBeforeMs }) });
  offer(state, event.node);
}

function settle(state: RunState, id: string, settled: SettledState, seq: number): void {
  const node = state.nodes.get(id);
  if (node === undefined) return;
  const { index } = node;
  if (id === state.spec.rootId) state.rootLease = leaseOn(node) ?? state.rootLease;
  state.ready.delete(id);
  state.open.delete(id);
  if (node.live !== undefined) {
    put(state, { ...node, state: 'canceled' });
  } else {
    state.nodes.delete(id);
    state.settled.set(id, { state: settled, seq, index });
  }
  const isDecision = settled === 'succeeded' && node.spec.after?.type === 'decision-needed';
  const parent = node.parent === undefined ? undefined : state.nodes.get(node.parent);
  if (parent !== undefined && node.state !== 'canceled') {
    put(state, {
      ...parent,
      childrenSettled: parent.childrenSettled + 1,
      childrenFailed: parent.childrenFailed + (settled === 'succeeded' ? 0 : 1),
      undecided: parent.undecided + (isDecision ? 1 : 0),
    });
    if (isDecision)
      state.dependents.set(id, [...(state.dependents.get(id) ?? []), `${parent.spec.id}${CLOSING}`]);
  }
  if (node.spec.kind === 'composite') cancelBelow(state, id, seq);
  if (settled === 'succeeded' && !isDecision) release(state, id);
}

function cancelBelow(state: RunState, parent: string, seq: number): void {
  // Deleting what has been passed is safe while iterating.
  for (const id of state.nodes.keys()) {
    const node = state.nodes.get(id);
    if (node?.parent !== parent || node.state === 'canceled') continue;
    if (leaseOwner(state, id) === id) state.fresh.push(id);
    settle(state, id, 'canceled', seq);
  }
}

function cancelAll(state: RunState, seq: number): void {
  if (state.nodes.has(state.spec.rootId)) settle(state, state.spec.rootId, 'canceled', seq);
}

function changePhase(
  state: RunState,
  event: Extract<RunEvent, { type: 'phase_changed' }>,
  seq: number,
): void {
  state.standing = event.to;
  if (event.to.phase === 'canceled' || event.to.phase === 'failed') cancelAll(state, seq);
  if (event.to.phase !== 'running' || event.from.phase !== 'held') return;
  // A person looked: earlier failures no longer count against the retry policy, and back-off is over.
  for (const id of state.ready.keys()) {
    const node = requireNode(state, id);
    if (node.failures === 0 && node.notBeforeMs === undefined) continue;
    const { notBeforeMs: _, ...rest } = node;
    put(state, { ...rest, failures: 0 });
  }
}

function emitCheckpoint(state: RunState, event: CheckpointEmitted, { seq, atMs }: RecordedEvent): void {
  const { types } = state.checkpoints;
  state.checkpoints = {
    types: types.includes(event.checkpoint) ? types : [...types, event.checkpoint],
    count: state.checkpoints.count + 1,
    lastSeq: seq,
    lastAtMs: atMs,
    lastSummary: event.summary,
    pending: NO_DELTA,
  };
  state.reasonCodes = event.reasonCodes;
  if (event.node !== undefined) spokenOf(state, event.node);
  if (event.checkpoint !== 'decision-needed') return;
  const { blocks = 'run', binds = '', node } = event;
  state.decisions.set(seq, {
    checkpoint: seq,
    blocks,
    binds,
    approved: false,
    ...(node === undefined ? {} : { node }),
  });
  state.openDecisions += 1;
  if (blocks === 'node' && node !== undefined) {
    put(state, { ...requireNode(state, node), gate: seq });
    state.ready.delete(node);
  }
}

/** A composite that nobody starts has begun with its first checkpoint. */
function spokenOf(state: RunState, id: string): void {
  const node = state.nodes.get(id);
  if (node?.spec.kind === 'composite' && !node.begun) put(state, { ...node, begun: true });
}

function approve(state: RunState, checkpoint: number): void {
  const decision = state.decisions.get(checkpoint);
  if (decision === undefined || decision.approved) return;
  state.decisions.set(checkpoint, { ...decision, approved: true });
  state.openDecisions -= 1;
  if (decision.node === undefined) return;
  if (decision.blocks === 'node') {
    const node = state.nodes.get(decision.node);
    if (node !== undefined && node.live === undefined && node.state !== 'canceled')
      offer(state, decision.node);
  } else if (isReleased(state, decision.node)) {
    release(state, decision.node);
  }
}

export function mergeDelta(a: ArtifactsDelta, b: ArtifactsDelta): ArtifactsDelta {
  const merge = (x: readonly string[], y: readonly string[]): readonly string[] =>
    x.length === 0 ? y : y.length === 0 ? x : [...new Set([...x, ...y])].toSorted();
  return {
    added: merge(a.added, b.added),
    changed: merge(a.changed, b.changed),
    removed: merge(a.removed, b.removed),
  };
}

function put(state: RunState, node: Node): void {
  state.nodes.set(node.spec.id, node);
}
