import type { Command } from '../commands.ts';
import { nodeRefused, type Constraints } from '../constraints.ts';
import { isPlan, type NodeSpec } from '../node.ts';
import { isUndecided } from '../state.ts';
import { isTerminal } from '../transitions.ts';
import { declaredCheckpoint } from './checkpoint.ts';
import { conclude } from './conclude.ts';
import { changeStanding, holdIfPossible, standingText } from './control.ts';
import { refuse, type Draft } from './draft.ts';

export function create(draft: Draft, command: Extract<Command, { type: 'create' }>): void {
  const { spec, environment } = command;
  refuseExisting(draft);
  checkNodes(draft, [spec.root]);
  checkNodes(draft, spec.nodes, spec.root.id);
  const constraints = spec.constraints ?? {};
  const [children, added] = [spec.nodes.length, spec.nodes.length > 0 ? 1 : 0];
  refuseSizes(constraints, { depth: added, children, nodes: 1 + children, rounds: added });
  refuseTypes(draft, constraints, [spec.root, ...spec.nodes]);
  draft.emit({ type: 'run_created', spec });
  if (environment !== undefined) draft.emit({ type: 'environment_recorded', environment });
}

export function importRun(draft: Draft, command: Extract<Command, { type: 'import' }>): void {
  const { lines, timesMs, spec, state } = command;
  refuseExisting(draft);
  checkNodes(draft, [spec.root]);
  checkNodes(draft, spec.nodes, spec.root.id);
  lines.forEach((line, at) => draft.emit({ type: 'line_imported', line }, timesMs[at]));
  draft.emit({ type: 'run_imported', spec, state }, draft.state.lastAtMs);
}

function refuseExisting(draft: Draft): void {
  const { id, version } = draft.state;
  if (version > 0) refuse('E_INVALID_INPUT_SCHEMA', `run '${id}' exists already`, { job_id: id });
}

export function addNodes(draft: Draft, command: Extract<Command, { type: 'add_nodes' }>): void {
  const { state } = draft;
  const { parent: parentId, nodes } = command;
  const parent = state.nodes.get(parentId);
  if (
    parent === undefined ||
    parent.spec.kind !== 'composite' ||
    isTerminal(state.standing) ||
    parent.state === 'canceled'
  ) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${parentId}' of ${state.id} takes no children now`, {
      node: parentId,
      phase: standingText(state.standing),
    });
  }
  if (nodes.length === 0) return;
  const constraints = state.spec.constraints ?? {};
  refuseSizes(constraints, {
    depth: parent.depth + 1,
    children: parent.children + nodes.length,
    nodes: state.nodeCount + nodes.length,
    rounds: parent.rounds + 1,
  });
  checkNodes(draft, nodes, parentId);
  refuseTypes(draft, constraints, nodes);
  draft.emit({ type: 'nodes_added', parent: parentId, nodes });
  conclude(draft, undefined);
}

function refuseSizes(
  { maxDepth, maxChildrenPerNode, maxNodes, maxRoundsPerNode }: Constraints,
  size: { depth: number; children: number; nodes: number; rounds: number },
): void {
  const sizes = [
    ['max_depth', size.depth, maxDepth],
    ['max_children_per_node', size.children, maxChildrenPerNode],
    ['max_nodes', size.nodes, maxNodes],
    ['max_rounds_per_node', size.rounds, maxRoundsPerNode],
  ] as const;
  for (const [name, actual, limit] of sizes) {
    if (limit !== undefined && actual > limit) {
      refuse('E_CONSTRAINT_VIOLATED', `${name} is ${limit}, this would make it ${actual}`, {
        constraint: name,
        limit,
        actual,
      });
    }
  }
}

function refuseTypes(draft: Draft, constraints: Constraints, nodes: readonly NodeSpec[]): void {
  for (const node of nodes) {
    const reason = nodeRefused(constraints, node);
    if (reason !== undefined)
      refuse('E_CONSTRAINT_VIOLATED', `${reason} in ${draft.state.id}`, { node: node.id });
  }
}

/** Ids are new and unique, `needs` name siblings without a cycle, and decisions say what is to be decided. */
function checkNodes(draft: Draft, nodes: readonly NodeSpec[], parent?: string): void {
  const { state } = draft;
  const ids = new Set<string>();
  for (const { id, kind, drive, before, after } of nodes) {
    if (id.length < 1 || id.length > 200)
      refuse('E_INVALID_INPUT_SCHEMA', 'a node id has 1 to 200 characters', { node: id });
    if (ids.has(id) || id === parent || state.nodes.has(id) || state.settled.has(id)) {
      refuse('E_INVALID_INPUT_SCHEMA', `node id '${id}' is used twice`, { node: id });
    }
    if (kind === 'atomic' && drive !== undefined)
      refuse('E_INVALID_INPUT_SCHEMA', `atomic node '${id}' has a drive`, { node: id });
    if (before?.type === 'decision-needed') {
      refuse('E_INVALID_INPUT_SCHEMA', `node '${id}' begins with a decision: use \`approval: 'before'\``, {
        node: id,
      });
    }
    if (after?.type === 'decision-needed' && after.requiredAction === undefined) {
      refuse(
        'E_INVALID_INPUT_SCHEMA',
        `the decision after node '${id}' does not say which action is required`,
        { node: id },
      );
    }
    ids.add(id);
  }
  const waiting = new Map<string, number>();
  const dependents = new Map<string, string[]>();
  for (const { id, needs = [] } of nodes) {
    const inside = needs.filter((need) => ids.has(need));
    // Anything but a sibling could be waiting for this node's parent, and what failed is never met.
    const known = (need: string): boolean =>
      parent !== undefined &&
      (state.nodes.get(need)?.parent === parent || state.settled.get(need)?.state === 'succeeded');
    const unknown = needs.find((need) => !ids.has(need) && !known(need));
    if (unknown !== undefined) {
      refuse(
        'E_INVALID_INPUT_SCHEMA',
        `node '${id}' needs '${unknown}', which is no sibling that may yet succeed`,
        { node: id, needs: unknown },
      );
    }
    waiting.set(id, inside.length);
    for (const need of inside) dependents.set(need, [...(dependents.get(need) ?? []), id]);
  }
  const free = [...waiting].filter(([, count]) => count === 0).map(([id]) => id);
  for (let at = 0; at < free.length; at += 1) {
    for (const id of dependents.get(free[at] ?? '') ?? []) {
      const left = (waiting.get(id) ?? 0) - 1;
      waiting.set(id, left);
      if (left === 0) free.push(id);
    }
  }
  if (free.length < nodes.length) {
    const cycle = [...waiting].filter(([, count]) => count > 0).map(([id]) => id);
    refuse(
      'E_INVALID_INPUT_SCHEMA',
      `these nodes need each other in a circle: ${cycle.slice(0, 10).join(', ')}`,
      { cycle: cycle.slice(0, 10) },
    );
  }
}

export function settleNode(draft: Draft, command: Extract<Command, { type: 'settle' }>): void {
  const { state } = draft;
  const { type: _, node: id, ...settled } = command;
  const node = state.nodes.get(id);
  if (
    node === undefined ||
    node.state === 'canceled' ||
    node.live !== undefined ||
    isTerminal(state.standing)
  ) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' of ${state.id} cannot be settled now`, { node: id });
  }
  const external = node.spec.kind === 'composite' && !isPlan(node.spec);
  if (!external) {
    if (node.lastOutcome !== 'unknown') {
      refuse('E_INVALID_STATE_TRANSITION', `the outcome of node '${id}' is not unknown`, { node: id });
    }
    if ((command.by ?? '') === '' || (command.reason ?? '').trim() === '') {
      refuse('E_INVALID_INPUT_SCHEMA', 'settling an unknown outcome needs a name and a reason', { node: id });
    }
  }
  const undecided = settled.state === 'succeeded' && isUndecided(state, node);
  draft.emit({ type: 'node_settled', node: id, ...settled });
  if (undecided) holdIfPossible(draft, 'decision'); // I8, as when its attempt ends
  if (settled.state === 'succeeded') {
    if (node.spec.after !== undefined) declaredCheckpoint(draft, node.spec, node.spec.after);
    if (node.spec.key !== undefined) draft.emit({ type: 'key_recorded', node: id, key: node.spec.key });
  }
  // Only a running run ends by its root; a held one must be resumed or canceled first.
  if (external && id === state.spec.rootId && state.standing.phase !== 'running')
    changeStanding(draft, { phase: settled.state });
  conclude(draft, node.parent);
}
