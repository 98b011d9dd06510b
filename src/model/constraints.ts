/** What a run's nodes may be and do. Merging two envelopes never loosens either. */

export const SIDE_EFFECTS = ['read', 'write', 'irreversible'] as const;
export type SideEffect = (typeof SIDE_EFFECTS)[number];

export interface Constraints {
  /** Deepest node; the root has depth 0. */
  readonly maxDepth?: number;
  readonly maxChildrenPerNode?: number;
  /** All nodes of the run, root and settled ones included. */
  readonly maxNodes?: number;
  /** Times nodes may be added below one parent. */
  readonly maxRoundsPerNode?: number;
  /** Highest side effect a node may have. */
  readonly sideEffectCeiling?: SideEffect;
  /** Every node needs an approval before it starts. */
  readonly requireApproval?: boolean;
  /** Node types that may run; absent: all, empty: none. */
  readonly allowedTypes?: readonly string[];
  readonly deniedTypes?: readonly string[];
}

/** The tighter of two envelopes in every respect. */
export function mergeConstraints(a: Constraints, b: Constraints): Constraints {
  const least = (x?: number, y?: number): number | undefined =>
    x === undefined ? y : y === undefined ? x : Math.min(x, y);
  const merged: { -readonly [K in keyof Constraints]: Constraints[K] | undefined } = {
    maxDepth: least(a.maxDepth, b.maxDepth),
    maxChildrenPerNode: least(a.maxChildrenPerNode, b.maxChildrenPerNode),
    maxNodes: least(a.maxNodes, b.maxNodes),
    maxRoundsPerNode: least(a.maxRoundsPerNode, b.maxRoundsPerNode),
    sideEffectCeiling: lowerEffect(a.sideEffectCeiling, b.sideEffectCeiling),
    requireApproval: a.requireApproval === true || b.requireApproval === true ? true : undefined,
    allowedTypes: intersect(a.allowedTypes, b.allowedTypes),
    deniedTypes: union(a.deniedTypes, b.deniedTypes),
  };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
}

/** Whether a node of this type and side effect may run; the reason when not. */
export function nodeRefused(
  constraints: Constraints,
  node: { readonly type?: string; readonly sideEffect?: SideEffect },
): string | undefined {
  const { allowedTypes, deniedTypes, sideEffectCeiling } = constraints;
  const type = node.type ?? '';
  if (allowedTypes !== undefined && !allowedTypes.includes(type)) return `node type '${type}' is not allowed`;
  if (deniedTypes?.includes(type) === true) return `node type '${type}' is denied`;
  const effect = node.sideEffect ?? 'write';
  if (
    sideEffectCeiling !== undefined &&
    SIDE_EFFECTS.indexOf(effect) > SIDE_EFFECTS.indexOf(sideEffectCeiling)
  ) {
    return `side effect '${effect}' is above the ceiling '${sideEffectCeiling}'`;
  }
  return undefined;
}

function lowerEffect(a?: SideEffect, b?: SideEffect): SideEffect | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return SIDE_EFFECTS.indexOf(a) < SIDE_EFFECTS.indexOf(b) ? a : b;
}

function intersect(a?: readonly string[], b?: readonly string[]): readonly string[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.filter((type) => b.includes(type)).toSorted();
}

function union(a?: readonly string[], b?: readonly string[]): readonly string[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return [...new Set([...a, ...b])].toSorted();
}
