/** Adding nodes: what is new of them, whether it may be there, and whether it is sound. */
import { canonicalJson } from '../canonical.ts';
import type { Branch, Command } from '../commands.ts';
import { mergeConstraints, nodeRefused, type Constraints } from '../constraints.ts';
import type { Json } from '../json.ts';
import { hasAttempts, type NodeSpec } from '../node.ts';
import { nodeState, type Node } from '../state.ts';
import { isTerminal } from '../transitions.ts';
import { conclude } from './conclude.ts';
import { standingText } from './control.ts';
import { recordFacts, refuse, type Draft } from './draft.ts';

export function addNodes(draft: Draft, command: Extract<Command, { type: 'add_nodes' }>): void {
  const { parent, nodes, below = [], facts = [], constraints } = command;
  const given = new Set([{ parent, nodes }, ...below].flatMap((branch) => branch.nodes.map(({ id }) => id)));
  const added = addBranches(draft, [{ parent, nodes }, ...below], constraints);
  if (added.size === 0) return;
  const isLeftOut = (id: string): boolean => given.has(id) && !added.has(id);
  recordFacts(
    draft,
    facts.filter(({ node }) => node === undefined || !isLeftOut(node)),
  );
  conclude(draft, undefined);
}

/** @returns the ids of the nodes that were not there before. */
export function addBranches(
  draft: Draft,
  branches: readonly Branch[],
  tighter: Constraints = {},
): ReadonlySet<string> {
  const added = new Set<string>();
  const constraints = mergeConstraints(draft.state.spec.constraints ?? {}, tighter);
  for (const { parent: id, nodes } of branches) {
    const parent = requireParent(draft, id);
    const fresh = newNodes(draft, id, nodes);
    if (fresh.length === 0) continue;
    const { state } = draft;
    refuseSizes(constraints, {
      depth: parent.depth + 1,
      children: parent.children + fresh.length,
      nodes: state.nodeCount + fresh.length,
      rounds: parent.rounds + 1,
    });
    checkNodes(draft, fresh, id);
    refuseTypes(draft, constraints, fresh);
    draft.emit({ type: 'nodes_added', parent: id, nodes: fresh });
    for (const node of fresh) added.add(node.id);
  }
  return added;
}

function requireParent({ state }: Draft, id: string): Node {
  const parent = state.nodes.get(id);
  const no = (reason: string): never =>
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' of ${state.id} takes no children: ${WORDS[reason]}`, {
      node: id,
      phase: standingText(state.standing),
      reason,
    });
  if (isTerminal(state.standing)) return no('run_terminal');
  if (state.settled.has(id) || parent?.state === 'canceled') return no('parent_terminal');
  if (parent === undefined) return no('parent_unknown');
  return parent.spec.kind === 'composite' ? parent : no('parent_atomic');
}
const WORDS: Readonly<Record<string, string>> = {
  run_terminal: 'the run is over',
  parent_terminal: 'it is settled',
  parent_unknown: 'there is no such node',
  parent_atomic: 'it is atomic',
};

/** Leaves out what is there already, or given twice, with the same spec. Anything else of that id refuses the command. */
function newNodes(draft: Draft, parent: string, nodes: readonly NodeSpec[]): readonly NodeSpec[] {
  const fresh = new Map<string, NodeSpec>();
  for (const node of nodes) {
    const { id } = node;
    const known = fresh.has(id) ? { parent, spec: fresh.get(id) } : existing(draft, id);
    if (known === undefined) {
      fresh.set(id, node);
      continue;
    }
    const { spec } = known;
    const differs = spec === undefined ? [] : differences(spec, node);
    if (spec !== undefined && known.parent !== parent) differs.unshift('parent');
    if (spec !== undefined && differs.length === 0) continue;
    const what = differs.length === 0 ? '' : ` with another ${differs.join(', ')}`;
    refuse('E_INVALID_INPUT_SCHEMA', `node id '${id}' is used twice${what}`, { node: id, differs });
  }
  return [...fresh.values()];
}

function existing(
  { state, ctx }: Draft,
  id: string,
): { parent: string | undefined; spec?: NodeSpec } | undefined {
  const node = state.nodes.get(id);
  if (node !== undefined) return { parent: node.parent, spec: node.spec };
  if (nodeState(state, id) === undefined) return undefined;
  return ctx.settledNodes?.get(id) ?? { parent: undefined };
}

/** Names of the fields in which two specs of one id differ; labels say nothing about the work. */
function differences(a: NodeSpec, b: NodeSpec): string[] {
  const [left, right] = [a, b] as unknown as readonly Record<string, Json | undefined>[];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  keys.delete('labels');
  const text = (value: Json | undefined): string => (value === undefined ? '' : canonicalJson(value));
  return [...keys].filter((key) => text(left?.[key]) !== text(right?.[key])).toSorted();
}

export function refuseSizes(
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

export function refuseTypes(draft: Draft, constraints: Constraints, nodes: readonly NodeSpec[]): void {
  for (const node of nodes) {
    const reason = nodeRefused(constraints, node);
    if (reason !== undefined)
      refuse('E_CONSTRAINT_VIOLATED', `${reason} in ${draft.state.id}`, { node: node.id });
  }
}

/** Ids are new and unique, `needs` name siblings without a cycle, and decisions say what is to be decided. */
export function checkNodes(draft: Draft, nodes: readonly NodeSpec[], parent?: string): void {
  const { state } = draft;
  const ids = new Set<string>();
  for (const spec of nodes) {
    const { id, kind, drive, before, after } = spec;
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
    if (spec.approval === 'before' && !hasAttempts(spec)) {
      refuse(
        'E_INVALID_INPUT_SCHEMA',
        `node '${id}' has no attempts: nothing of it could wait for an approval`,
        {
          node: id,
        },
      );
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
