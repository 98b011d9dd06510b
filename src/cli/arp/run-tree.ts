/** The NodeRuns of a run as a tree: its shape out of the events, the rest out of the NodeRuns themselves. */
import { Unavailable } from '../../doors/arp/clients/failures.ts';
import type { StreamedEvent } from '../../doors/arp/clients/runs-client.ts';
import { ArpError } from '../../doors/arp/wire/errors.ts';
import type { InternalNodeRun } from '../../doors/arp/wire/runs.ts';

export interface RunTreeNode {
  readonly node_run_id: string;
  readonly state: string;
  /** Undefined where only events are known, and none names it. */
  readonly node_type_id?: string;
  readonly version?: string;
  readonly kind?: string;
  readonly started_at?: string;
  readonly ended_at?: string;
  readonly duration_ms?: number;
  readonly error?: { readonly code: string; readonly message: string };
  readonly children: readonly RunTreeNode[];
}

/** Questions to the coordinator at a time. */
const CONCURRENCY = 8;

interface Known {
  readonly id: string;
  parent: string | undefined;
  state: string;
  type?: { readonly node_type_id: string; readonly version: string };
  startedAt?: string | undefined;
  endedAt?: string | undefined;
}

/** What events tell of each NodeRun, in the order in which they were assigned. */
export class NodeRunFacts {
  readonly #nodes = new Map<string, Known>();

  add({ type, time, node_run_id: id, data = {} }: StreamedEvent): void {
    if (id === undefined) return;
    if (type === 'node_run_assigned') {
      const parent = textIn(data, 'parent_node_run_id');
      if (!this.#nodes.has(id)) this.#nodes.set(id, { id, parent, state: 'queued' });
      return;
    }
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    if (type === 'subtask_mapped') {
      const ref = data['chosen_node_type_ref'] as NonNullable<Known['type']> | undefined;
      if (typeof ref?.node_type_id === 'string') node.type = ref;
    } else if (
      type === 'policy_decided' &&
      data['action'] === 'node.run.execute' &&
      data['decision'] === 'allow'
    ) {
      node.state = 'running';
      node.startedAt ??= time;
    } else if (type === 'atomic_executed' || type === 'run_completed') {
      node.state = textIn(data, 'state') ?? node.state;
      node.endedAt ??= time;
    }
  }

  get ids(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** @param details of NodeRuns, by id; those that are missing are shown as events tell them. */
  tree(rootId: string, details: ReadonlyMap<string, InternalNodeRun>): RunTreeNode {
    const children = new Map<string, string[]>();
    for (const { id, parent } of this.#nodes.values()) {
      if (id === rootId) continue;
      const above = parent !== undefined && this.#nodes.has(parent) ? parent : rootId;
      children.set(above, [...(children.get(above) ?? []), id]);
    }
    const seen = new Set<string>();
    const nodeOf = (id: string): RunTreeNode => {
      seen.add(id); // a service that names a child as its own ancestor does not keep us here
      const below = (children.get(id) ?? []).filter((child) => !seen.has(child));
      const facts = this.#nodes.get(id) ?? { id, parent: undefined, state: 'unknown' };
      return { ...described(facts, details.get(id)), children: below.map(nodeOf) };
    };
    return nodeOf(rootId);
  }
}

function described(facts: Known, detail: InternalNodeRun | undefined): Omit<RunTreeNode, 'children'> {
  const type = detail?.node_type_ref ?? facts.type;
  const started = detail === undefined ? facts.startedAt : detail.started_at;
  const ended = detail === undefined ? facts.endedAt : detail.ended_at;
  const ms = Date.parse(ended ?? '') - Date.parse(started ?? '');
  const error = detail === undefined ? undefined : errorOf(detail);
  return {
    node_run_id: facts.id,
    state: detail?.state ?? facts.state,
    ...(type === undefined ? {} : { node_type_id: type.node_type_id, version: type.version }),
    ...(detail?.kind === undefined ? {} : { kind: detail.kind }),
    ...(started === undefined ? {} : { started_at: started }),
    ...(ended === undefined ? {} : { ended_at: ended }),
    ...(Number.isNaN(ms) ? {} : { duration_ms: Math.max(0, ms) }),
    ...(error === undefined ? {} : { error }),
  };
}

/** Why a NodeRun did not succeed, as whoever completed it said. */
export function errorOf({ extensions = {} }: InternalNodeRun): RunTreeNode['error'] {
  const error = (extensions['completion_error'] ?? extensions['jarvis.completion_error']) as
    | { readonly code?: unknown; readonly message?: unknown }
    | undefined;
  if (typeof error?.code !== 'string') return undefined;
  return { code: error.code, message: typeof error.message === 'string' ? error.message : '' };
}

/**
 * The NodeRuns themselves. A gateway has none to tell: then the first question shows it, and no other is asked.
 * @returns those that are there; none where nobody tells
 * @throws ArpError
 */
export async function nodeRunsOf(
  ids: readonly string[],
  nodeRun: (id: string) => Promise<InternalNodeRun>,
): Promise<ReadonlyMap<string, InternalNodeRun>> {
  const found = new Map<string, InternalNodeRun>();
  const [first, ...others] = ids;
  if (first === undefined) return found;
  const root = await nodeRunOrNone(first, nodeRun);
  if (root === undefined) return found;
  found.set(first, root);
  const next = others.values();
  const work = async (): Promise<void> => {
    for (const id of next) {
      const detail = await nodeRunOrNone(id, nodeRun);
      if (detail !== undefined) found.set(id, detail);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return found;
}

/** Undefined where whom we ask knows no NodeRuns, as a gateway. @throws ArpError */
export async function nodeRunOrNone(
  id: string,
  nodeRun: (id: string) => Promise<InternalNodeRun>,
): Promise<InternalNodeRun | undefined> {
  try {
    return await nodeRun(id);
  } catch (error) {
    const isUnknownRoute =
      error instanceof Unavailable
        ? error.answered === 404 || error.answered === 405
        : error instanceof ArpError && (error.wireCode === 'not_found' || error.status === 405);
    if (isUnknownRoute) return undefined;
    throw error;
  }
}

function textIn(data: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = data[name];
  return typeof value === 'string' ? value : undefined;
}
