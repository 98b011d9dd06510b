import type { RecordedEvent } from '../model/events.ts';
import { isPlan } from '../model/node.ts';
import { awaitsDecision, deadlineOf, leaseOn, leaseOwner, type Node, type RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import type { ExpectedWork } from '../store/work-rows.ts';
import type { WorkChange } from '../store/run-store.ts';

/**
 * The work rows that events call for. A node has a row iff no plan is above it: a plan is claimed whole. An open node has
 * one only if its time is limited, due when that is up.
 *
 * @param state The run after the events. `state.fresh` names nodes that became ready; the caller empties it.
 */
export function workChanges(events: readonly RecordedEvent[], state: RunState): readonly WorkChange[] {
  const changes: WorkChange[] = [];
  for (const { event, atMs } of events) {
    switch (event.type) {
      case 'node_assigned':
        changes.push(leaseChange(event.node, event.lease, event.ttlMs, atMs));
        break;
      case 'attempt_started':
        if (event.lease !== undefined)
          changes.push(leaseChange(event.node, event.lease, event.ttlMs ?? 0, atMs));
        break;
      case 'node_released':
        if (isIdle(state, event.node)) changes.push({ op: 'drop', node: event.node });
        else
          changes.push({
            op: 'unlease',
            node: event.node,
            dueMs: dueOf(state, event.node, atMs),
            parked: isParked(state, event.node),
          });
        break;
      case 'attempt_ended':
        if (!ownsRow(state, event.node)) break;
        if (event.next.state === 'queued')
          changes.push({
            op: 'unlease',
            node: event.node,
            dueMs: event.next.notBeforeMs ?? atMs,
            parked: isParked(state, event.node),
          });
        else if (!isIdle(state, event.node))
          changes.push({
            op: 'unlease',
            node: event.node,
            dueMs: dueOf(state, event.node, atMs),
            parked: isParked(state, event.node),
          });
        else changes.push({ op: 'drop', node: event.node });
        break;
      case 'node_settled':
        changes.push({ op: 'drop', node: event.node });
        break;
      case 'checkpoint_emitted':
        // A node that waits for its own approval is offered again by that; whoever holds its lease releases it first.
        if (event.blocks === 'node' && event.node !== undefined && isIdle(state, event.node)) {
          changes.push({ op: 'drop', node: event.node });
        }
        if (event.blocks === 'dependents') waitingPlans(state, changes);
        changes.push(park(state));
        break;
      case 'limits_raised':
        deadlines(state, changes);
        break;
      case 'phase_changed':
        changes.push(park(state));
        if (event.to.phase === 'running') deadlines(state, changes);
        if (event.to.phase === 'running' && event.from.phase === 'held') retries(state, changes);
        break;
      case 'approval_recorded':
        changes.push(park(state));
        break;
      default:
        break;
    }
  }
  // What became ready below a plan may be what the plan, let go of, was waiting for.
  for (const id of new Set(state.fresh.flatMap((fresh) => [fresh, leaseOwner(state, fresh)]))) {
    const node = state.nodes.get(id);
    if (node === undefined) changes.push({ op: 'drop', node: id });
    else if (node.lease === undefined && isOffered(state, id)) {
      changes.push(offer(state, id));
    }
  }
  if (!isTerminal(state.standing)) return changes;
  return state.live.size === 0 ? [{ op: 'clear' }] : leftoverChanges(state, changes);
}

/** A run that ended with work still running keeps the rows of those who have to stop that work, and no others. */
function leftoverChanges(state: RunState, changes: readonly WorkChange[]): readonly WorkChange[] {
  const { rootId } = state.spec;
  const expected = leftoverWork(state);
  const named = changes.flatMap((change) => ('node' in change ? [change.node] : []));
  const gone = new Set([...named, ...state.live.keys(), rootId]);
  for (const row of expected) if (row.state === 'leased') gone.delete(row.node);
  return [
    ...changes.filter(({ op }) => op === 'lease'),
    ...[...gone].map((node): WorkChange => ({ op: 'drop', node })),
    ...expected
      .filter((row) => row.state === 'offered')
      .map(({ node, dueMs }): WorkChange => ({ op: 'offer', node, dueMs, parked: false })),
  ];
}

/** Who stops what runs on after the end: the root's holder, the holders of single nodes, or else whoever comes. */
function leftoverWork(state: RunState): readonly ExpectedWork[] {
  const dueMs = state.lastAtMs;
  const { rootId } = state.spec;
  const held = [...new Set([rootId, ...state.live.keys()])].flatMap((id): ExpectedWork[] => {
    const node = state.nodes.get(id);
    const lease = id === rootId ? state.rootLease : node && leaseOn(node);
    return lease === undefined ? [] : [{ node: id, state: 'leased', ...lease, dueMs }];
  });
  if (held.length > 0) return held;
  return [{ node: rootId, state: 'offered', epoch: 0, worker: null, leaseId: null, dueMs }];
}

function offer(state: RunState, id: string): WorkChange {
  return { op: 'offer', node: id, dueMs: dueOf(state, id, state.lastAtMs), parked: isParked(state, id) };
}

/** In a queued run only the root's row is ever free, and nobody holds it. */
function park(state: RunState): WorkChange {
  const { rootId } = state.spec;
  return state.standing.phase === 'queued'
    ? offer(state, rootId)
    : { op: 'park', parked: isParked(state, rootId) };
}

/** A plan that nobody holds may have nothing left to do before the approval of what was decided below it. */
function waitingPlans(state: RunState, changes: WorkChange[]): void {
  for (const id of state.nodes.keys()) {
    const node = state.nodes.get(id);
    if (node !== undefined && isPlan(node.spec) && leaseOwner(state, id) === id && isIdle(state, id))
      changes.push({ op: 'drop', node: id });
  }
}

/** The time of open nodes begins to count, or there is more or no end of it. */
function deadlines(state: RunState, changes: WorkChange[]): void {
  for (const id of state.open.keys()) {
    if (leaseOwner(state, id) !== id || state.nodes.get(id)?.lease !== undefined) continue;
    if (isIdle(state, id)) changes.push({ op: 'drop', node: id });
    else changes.push(offer(state, id));
  }
}

/** A person looked: what waited to be tried again is due now. */
function retries(state: RunState, changes: WorkChange[]): void {
  for (const id of state.ready.keys()) {
    const node = state.nodes.get(id);
    const isRetry = node?.lastOutcome === 'failed' || node?.lastOutcome === 'timed_out';
    if (isRetry && node.lease === undefined && isOffered(state, id)) changes.push(offer(state, id));
  }
}

/** From when on an unleased node is for a worker: the time before which it must not start, or at which it expires. */
function dueOf(state: RunState, id: string, nowMs: number): number {
  const node = state.nodes.get(id);
  if (node === undefined) return nowMs;
  return node.notBeforeMs ?? (isToBegin(state, node) ? undefined : deadlineIfOpen(state, node)) ?? nowMs;
}

function deadlineIfOpen(state: RunState, node: Node): number | undefined {
  return state.open.has(node.spec.id) ? deadlineOf(state, node) : undefined;
}

/** A root that nobody starts: a worker claims it once, and with that the run begins. */
function isToBegin(state: RunState, { spec: { id }, begun }: Node): boolean {
  return id === state.spec.rootId && !begun && state.open.has(id);
}

/** Whether nobody holds the node and nobody should. */
function isIdle(state: RunState, id: string): boolean {
  return state.nodes.get(id)?.lease === undefined && !isOffered(state, id);
}

/** Whether an unleased node is for a worker to claim: it may start, has work to take over, or is a plan that is open. */
function isOffered(state: RunState, id: string): boolean {
  const node = state.nodes.get(id);
  if (node === undefined || leaseOwner(state, id) !== id) return false;
  if (node.live !== undefined || isToBegin(state, node)) return true;
  if (state.open.has(id)) return deadlineOf(state, node) !== undefined;
  return isPlan(node.spec) ? node.waiting === 0 && !awaitsDecision(state, node) : state.ready.has(id);
}

/** All work rows that a state calls for: what `workChanges` adds up to. For checks and repairs. */
export function expectedWork(state: RunState): readonly ExpectedWork[] {
  if (isTerminal(state.standing)) return state.live.size === 0 ? [] : leftoverWork(state);
  return [...state.nodes.keys()].flatMap((id): ExpectedWork[] => {
    const node = state.nodes.get(id);
    if (node === undefined || leaseOwner(state, id) !== id) return [];
    const free = isParked(state, id) ? 'parked' : 'offered';
    const lease = leaseOn(node);
    const due = dueOf(state, id, state.lastAtMs);
    if (lease !== undefined) return [{ node: id, state: 'leased', ...lease, dueMs: due }];
    if (!isOffered(state, id)) return [];
    return [{ node: id, state: free, epoch: node.epoch, worker: null, leaseId: null, dueMs: due }];
  });
}

/**
 * Nobody may claim it: a person has to do something first, or the run has not begun, which is for the root's holder. A
 * terminal run's leftovers are never parked.
 */
function isParked(state: RunState, id: string): boolean {
  const { phase } = state.standing;
  return phase === 'held' || (phase === 'queued' && (id !== state.spec.rootId || state.openDecisions > 0));
}

/** A settled node has left the table; a plan's child never had a row, and dropping none is harmless. */
function ownsRow(state: RunState, node: string): boolean {
  return !state.nodes.has(node) || leaseOwner(state, node) === node;
}

function leaseChange(
  node: string,
  lease: { worker: string; leaseId: string; epoch: number },
  ttlMs: number,
  nowMs: number,
): WorkChange {
  return {
    op: 'lease',
    node,
    worker: lease.worker,
    leaseId: lease.leaseId,
    epoch: lease.epoch,
    untilMs: nowMs + ttlMs,
    nowMs,
  };
}
