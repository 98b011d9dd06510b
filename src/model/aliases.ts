/** The names by which a run is found beside its id: those of its nodes, where its spec says so. */
import type { RecordedEvent, RunEvent } from './events.ts';
import type { RunState } from './state.ts';

/** All aliases of a run. */
export function aliasesOf({ spec, nodes, settled }: RunState): readonly string[] {
  if (spec.addressable !== true) return [];
  return [...nodes.keys(), ...settled.keys()];
}

/** The aliases that events add to their run, given whether it is addressable. */
export function aliasesAddedBy(
  events: readonly RecordedEvent[],
  { spec }: RunState,
): readonly string[] | undefined {
  if (spec.addressable !== true) return undefined;
  const added = events.flatMap(({ event }) => nodesOf(event));
  return added.length === 0 ? undefined : added.map(({ id }) => id);
}

function nodesOf(event: RunEvent): readonly { readonly id: string }[] {
  switch (event.type) {
    case 'run_created':
    case 'run_imported':
      return [event.spec.root, ...event.spec.nodes];
    case 'nodes_added':
      return event.nodes;
    default:
      return [];
  }
}
