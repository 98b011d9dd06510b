import type { RunState } from '../model/state.ts';
import type { RunHead } from './run-store.ts';

/** What lists show of a run, from its state. `createdAtMs` is the time of its first event. */
export function headOf(state: RunState, hash: string, createdAtMs: number): RunHead {
  const { spec, standing } = state;
  return {
    id: state.id,
    tenant: spec.tenant,
    name: spec.name,
    queue: spec.queue ?? 'default',
    phase: standing.phase,
    hold: standing.phase === 'held' ? standing.hold : null,
    version: state.version,
    hash,
    createdAtMs,
    updatedAtMs: state.lastAtMs,
    nodes: state.nodeCount,
    nodesSettled: state.settled.size,
  };
}
