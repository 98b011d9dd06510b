/** Run state as JSON and back. A snapshot only saves time: the events rebuild it (I3). */
import type { Json } from './json.ts';
import { emptyState, type Decision, type Node, type RunState, type SettledNode } from './state.ts';
import type { Table } from './table.ts';

/** Raised when the meaning of a snapshot changes: older ones are then ignored, and the events folded again. */
const SNAPSHOT_FORMAT = 3;

export function encodeSnapshot(state: RunState): string {
  const { nodes, settled, ready, live, open, dependents, decisions, fresh: _, ...head } = state;
  return JSON.stringify({
    format: SNAPSHOT_FORMAT,
    head,
    nodes: valuesOf(nodes),
    // Flat, four for each: a long run has many settled nodes.
    settled: [...settled.keys()].flatMap((id) => {
      const { state: ended, seq, index } = settled.get(id) as SettledNode;
      return [id, ended, seq, index];
    }),
    ready: [...ready.keys()],
    live: [...live.keys()],
    open: [...open.keys()],
    dependents: [...dependents.keys()].map((id) => [id, dependents.get(id)]),
    decisions: valuesOf(decisions),
  });
}

/** The state, or undefined for a snapshot of another format or none at all. */
export function decodeSnapshot(text: string): RunState | undefined {
  let stored: Record<string, Json> | null;
  try {
    stored = JSON.parse(text) as typeof stored;
  } catch {
    return undefined;
  }
  if (stored?.['format'] !== SNAPSHOT_FORMAT) return undefined;
  const state: RunState = { ...emptyState(''), ...(stored['head'] as unknown as Partial<RunState>) };
  for (const node of stored['nodes'] as unknown as Node[]) state.nodes.set(node.spec.id, node);
  const settled = stored['settled'] as (string | number)[];
  for (let at = 0; at < settled.length; at += 4) {
    const [id, ended, seq, index] = settled.slice(at, at + 4);
    state.settled.set(id as string, {
      state: ended as SettledNode['state'],
      seq: seq as number,
      index: index as number,
    });
  }
  for (const id of stored['ready'] as string[]) state.ready.set(id, true);
  for (const id of stored['live'] as string[]) state.live.set(id, true);
  for (const id of stored['open'] as string[]) state.open.set(id, true);
  for (const [id, waiting] of stored['dependents'] as unknown as [string, string[]][])
    state.dependents.set(id, waiting);
  for (const decision of stored['decisions'] as unknown as Decision[])
    state.decisions.set(decision.checkpoint, decision);
  return state;
}

function valuesOf<K, V>(table: Table<K, V>): V[] {
  return [...table.keys()].map((key) => table.get(key) as V);
}
