import type { Lease } from './events.ts';
import type { NodeSpec, NodeState, SettledState, ArtifactsDelta, AttemptOutcome } from './node.ts';
import { isExternal, isPlan, NO_DELTA } from './node.ts';
import type { Fingerprint, RunSpec } from './run-spec.ts';
import type { Limits } from './budget.ts';
import { Overlay, type Table } from './table.ts';
import { addUsage, NO_USAGE, type Usage } from './usage.ts';
import type { Standing } from './transitions.ts';

/** An attempt that has started and not ended. At most one per node (I4). */
export interface LiveAttempt {
  readonly attempt: number;
  readonly epoch: number;
  readonly executor: string | null;
  readonly effectKey: string;
  readonly startedAtMs: number;
  readonly reserved: Usage;
  readonly charged: Usage;
}

/** A node that is not settled. Records are replaced, never changed in place. */
export interface Node {
  readonly spec: NodeSpec;
  readonly parent?: string;
  readonly depth: number;
  /** Place among all nodes of the run, in the order they were added, from 0. */
  readonly index: number;
  readonly state: NodeState;
  /** Needs still open. At 0 the node may start. */
  readonly waiting: number;
  /** Number of the last attempt; 0 before the first. */
  readonly attempt: number;
  /** Attempts that took effect or may have: the next start after one is a retry. */
  readonly ran: number;
  /** Failed attempts since a person last resumed the run. */
  readonly failures: number;
  /** Raised by every assignment; a write with an older one is refused (I4). */
  readonly epoch: number;
  readonly lease?: { readonly worker: string; readonly leaseId: string; readonly ttlMs: number };
  readonly live?: LiveAttempt;
  readonly notBeforeMs?: number;
  readonly lastOutcome?: AttemptOutcome;
  /** Sequence number of the open or approved decision about this node's arguments. */
  readonly gate?: number;
  readonly begun: boolean;
  /** When it was handed over to its executor, milliseconds since 1970. */
  readonly handedOverAtMs?: number;
  readonly children: number;
  readonly childrenSettled: number;
  readonly childrenFailed: number;
  /** Succeeded children whose own decision is not approved. */
  readonly undecided: number;
  /** Times children were added. */
  readonly rounds: number;
}

/** All that is kept in memory of a settled node; the rest is in the event at `seq`. */
export interface SettledNode {
  readonly state: SettledState;
  readonly seq: number;
  readonly index: number;
}

export interface Decision {
  readonly checkpoint: number;
  readonly blocks: 'run' | 'dependents' | 'node';
  readonly node?: string;
  readonly binds: string;
  readonly approved: boolean;
}

/**
 * What is known of a run: the fold of its events (I3). `evolve` owns it and changes it in place; everyone else reads.
 */
export interface RunState {
  readonly id: string;
  /** Sequence number of the last event; 0 before the first. */
  version: number;
  lastAtMs: number;
  /** Without its document and nodes: those are in the first event. */
  spec: Omit<RunSpec, 'document' | 'nodes' | 'root'> & { readonly rootId: string };
  standing: Standing;
  startedAtMs: number;
  limits: Limits;
  used: Usage;
  reserved: Usage;
  nodeCount: number;
  /** Unsettled nodes, and canceled ones whose attempt has not ended. */
  nodes: Table<string, Node>;
  settled: Table<string, SettledNode>;
  /** Nodes that may start: needs met, no attempt, not settled, no open decision about them. */
  ready: Table<string, true>;
  /** Nodes with a live attempt. */
  live: Table<string, true>;
  /** External composites that run until a command settles them: handed over, or without an executor. */
  open: Table<string, true>;
  /** Node id → nodes waiting for it. */
  dependents: Table<string, readonly string[]>;
  decisions: Table<number, Decision>;
  openDecisions: number;
  /** The root's lease, once the root is settled and as long as its holder has not let go. */
  rootLease: Lease | undefined;
  environment: Fingerprint | undefined;
  reasonCodes: readonly string[];
  checkpoints: CheckpointTally;
  /**
   * Nodes that became ready, composites that opened or plans that lost their last open decision, and nodes that went with their parent,
   * since the engine last looked; not part of the run's truth.
   */
  fresh: string[];
}

export interface CheckpointTally {
  readonly types: readonly string[];
  readonly count: number;
  readonly lastSeq: number;
  readonly lastAtMs: number;
  readonly lastSummary: string;
  /** Deltas of deferred progress checkpoints. */
  readonly pending: ArtifactsDelta;
}

const NO_SPEC: RunState['spec'] = {
  tenant: '',
  actor: '',
  name: '',
  limits: {},
  labels: {},
  rootId: '',
};

/** A run of which nothing has been recorded. */
export function emptyState(id: string): RunState {
  return {
    id,
    version: 0,
    lastAtMs: 0,
    spec: NO_SPEC,
    standing: { phase: 'queued' },
    startedAtMs: 0,
    limits: {},
    used: NO_USAGE,
    reserved: NO_USAGE,
    nodeCount: 0,
    nodes: new Map(),
    settled: new Map(),
    ready: new Map(),
    live: new Map(),
    open: new Map(),
    dependents: new Map(),
    decisions: new Map(),
    openDecisions: 0,
    rootLease: undefined,
    environment: undefined,
    reasonCodes: [],
    checkpoints: { types: [], count: 0, lastSeq: 0, lastAtMs: 0, lastSummary: '', pending: NO_DELTA },
    fresh: [],
  };
}

/** A state to try things on: changes stay in it and the given state is left alone. Costs nothing per node. */
export function fork(state: RunState): RunState {
  return {
    ...state,
    nodes: new Overlay(state.nodes),
    settled: new Overlay(state.settled),
    ready: new Overlay(state.ready),
    live: new Overlay(state.live),
    open: new Overlay(state.open),
    dependents: new Overlay(state.dependents),
    decisions: new Overlay(state.decisions),
    fresh: [],
  };
}

/** The lease of a node, as events speak of it. */
export function leaseOn({ lease, epoch }: Node): Lease | undefined {
  return lease === undefined ? undefined : { worker: lease.worker, leaseId: lease.leaseId, epoch };
}

/** The node, which must be there. @throws TypeError when it is not: a defect of the caller. */
export function requireNode(state: RunState, id: string): Node {
  const node = state.nodes.get(id);
  if (node === undefined) throw new TypeError(`run ${state.id} has no unsettled node '${id}'`);
  return node;
}

/**
 * The node whose lease covers this one: the topmost plan above it, or the node itself. Only such nodes are claimed.
 */
export function leaseOwner(state: RunState, id: string): string {
  let owner = id;
  for (let at = state.nodes.get(id)?.parent; at !== undefined; at = state.nodes.get(at)?.parent) {
    const node = state.nodes.get(at);
    if (node !== undefined && isPlan(node.spec)) owner = at;
  }
  return owner;
}

/** Whether time counts against the budget: the run is running and, where a worker drives it, one does. */
export function isTicking(state: RunState): boolean {
  if (state.standing.phase !== 'running') return false;
  const root = state.nodes.get(state.spec.rootId);
  if (root === undefined) return false;
  return isExternal(root.spec) || root.lease !== undefined;
}

/** Usage at an instant: what is recorded and the running time since the last event. */
export function usageAt(state: RunState, nowMs: number): Usage {
  if (!isTicking(state)) return state.used;
  return addUsage(state.used, { wallMs: Math.max(0, nowMs - state.lastAtMs) });
}

/**
 * When the time of an open node is up, by its own limit or the run's, milliseconds since 1970; undefined: never. While
 * the run is held the run's part of it moves on.
 */
export function deadlineOf(state: RunState, { spec, handedOverAtMs }: Node): number | undefined {
  if (state.standing.phase === 'queued') return undefined;
  const { timeoutMs } = spec;
  const own = timeoutMs === undefined || handedOverAtMs === undefined ? Infinity : handedOverAtMs + timeoutMs;
  const { wallMs = 0 } = state.limits;
  // One more than the limit: only then it is exceeded.
  const runs = wallMs > 0 ? state.lastAtMs + Math.max(0, wallMs - state.used.wallMs) + 1 : Infinity;
  const first = Math.min(own, runs);
  return first === Infinity ? undefined : first;
}

/** Whether the node waits for a decision that is not approved. */
export function isGated(state: RunState, node: Node): boolean {
  const gate = node.gate === undefined ? undefined : state.decisions.get(node.gate);
  return gate !== undefined && !gate.approved;
}

/**
 * Whether a node that is claimed by itself can do nothing before an approval: its own, or, for a plan, those of all it
 * has left. The root does not: its run is held then, as a whole.
 */
export function awaitsDecision(state: RunState, node: Node): boolean {
  if (isGated(state, node)) return true;
  const { id } = node.spec;
  if (state.openDecisions === 0 || id === state.spec.rootId || !isPlan(node.spec)) return false;
  for (const table of [state.ready, state.live, state.open])
    for (const key of table.keys()) if (leaseOwner(state, key) === id) return false;
  if (isUndecided(state, node)) return true;
  for (const key of state.nodes.keys()) {
    const inside = state.nodes.get(key);
    if (inside !== undefined && isGated(state, inside) && leaseOwner(state, key) === id) return true;
  }
  return false;
}

/** The oldest decision without an approval. */
export function firstOpenDecision(state: RunState): Decision | undefined {
  if (state.openDecisions === 0) return undefined;
  let first: Decision | undefined;
  for (const key of state.decisions.keys()) {
    const decision = state.decisions.get(key);
    if (decision !== undefined && !decision.approved && (first === undefined || key < first.checkpoint))
      first = decision;
  }
  return first;
}

/** Whether something that succeeded below a composite waits for the approval of its decision. Nothing comes after a root. */
export function isUndecided(state: RunState, { spec: { id, kind } }: Node): boolean {
  if (state.openDecisions === 0 || kind === 'atomic' || id === state.spec.rootId) return false;
  for (const key of state.nodes.keys()) {
    const node = state.nodes.get(key);
    if (node === undefined || node.undecided === 0) continue;
    for (let at: string | undefined = key; at !== undefined; at = state.nodes.get(at)?.parent)
      if (at === id) return true;
  }
  return false;
}

/** What may be asked about any node, settled or not. */
export function nodeState(state: RunState, id: string): NodeState | undefined {
  return state.settled.get(id)?.state ?? state.nodes.get(id)?.state;
}
