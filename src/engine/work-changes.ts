import type { RecordedEvent } from '../model/events.ts';
import { isPlan } from '../model/node.ts';
import { leaseOwner, type RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import type { ExpectedWork } from '../store/check.ts';
import type { WorkChange } from '../store/run-store.ts';

/**
 * The work rows that events call for. A node has a row iff no plan is above it: a plan is claimed whole.
 *
 * @param state The run after the events. `state.fresh` names nodes that became ready; the caller empties it.
 */
export function workChanges(events: readonly RecordedEvent[], state: RunState): readonly WorkChange[] {
  const changes: WorkChange[] = [];
  const parked = isParked(state);
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
        else changes.push({ op: 'unlease', node: event.node, dueMs: atMs, parked });
        break;
      case 'attempt_ended':
        if (!ownsRow(state, event.node)) break;
        if (event.next.state === 'queued')
          changes.push({ op: 'unlease', node: event.node, dueMs: event.next.notBeforeMs ?? atMs, parked });
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
        changes.push({ op: 'park', parked });
        break;
      case 'phase_changed':
      case 'approval_recorded':
        changes.push({ op: 'park', parked });
        break;
      default:
        break;
    }
  }
  for (const id of state.fresh) {
    const node = state.nodes.get(id);
    if (node === undefined) changes.push({ op: 'drop', node: id });
    else if (node.lease === undefined && isOffered(state, id)) {
      changes.push({ op: 'offer', node: id, dueMs: node.notBeforeMs ?? state.lastAtMs, parked });
    }
  }
  if (!isTerminal(state.standing)) return changes;
  // A run that ended with work still running keeps its rows, and gets no others: someone has to stop that work.
  return state.live.size === 0
    ? [{ op: 'clear' }]
    : changes.filter(({ op }) => op !== 'drop' && op !== 'offer');
}

/** Whether nobody holds the node and nobody should. */
function isIdle(state: RunState, id: string): boolean {
  return state.nodes.get(id)?.lease === undefined && !isOffered(state, id);
}

/** Whether an unleased node is for a worker to claim: it may start, has work to take over, or is a plan that is open. */
function isOffered(state: RunState, id: string): boolean {
  const node = state.nodes.get(id);
  if (node === undefined || leaseOwner(state, id) !== id) return false;
  return node.live !== undefined || (isPlan(node.spec) ? node.waiting === 0 : state.ready.has(id));
}

/** All work rows that a state calls for: what `workChanges` adds up to. For checks and repairs. */
export function expectedWork(state: RunState): readonly ExpectedWork[] {
  if (isTerminal(state.standing) && state.live.size === 0) return [];
  const free = isParked(state) ? 'parked' : 'offered';
  return [...state.nodes.keys()].flatMap((id): ExpectedWork[] => {
    const node = state.nodes.get(id);
    if (node === undefined || leaseOwner(state, id) !== id) return [];
    const { lease, epoch, notBeforeMs: dueMs = state.lastAtMs } = node;
    if (lease === undefined && !isOffered(state, id)) return [];
    if (lease === undefined) return [{ node: id, state: free, epoch, worker: null, leaseId: null, dueMs }];
    return [{ node: id, state: 'leased', epoch, ...lease, dueMs }];
  });
}

/** Nobody may claim it: a person has to do something first. A terminal run's leftovers are never parked. */
function isParked(state: RunState): boolean {
  const { phase } = state.standing;
  return phase === 'held' || (phase === 'queued' && state.openDecisions > 0);
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
