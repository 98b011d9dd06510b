/** What may be chosen from: node types within the limits of a request, each in its latest version (contract arp §7.2). Pure. */
import { mergeConstraints, nodeRefused, SIDE_EFFECTS, type SideEffect } from '../../../model/constraints.ts';
import { highest } from '../registry/semver.ts';
import type { CONSTRAINT_ENVELOPE, NodeType } from '../wire/core.ts';
import { PLANNER_PREFIX } from '../wire/ids.ts';
import type { TypeOf } from '../../wire-schema.ts';
import { byIdAndVersion } from './words.ts';

export type ConstraintEnvelope = TypeOf<typeof CONSTRAINT_ENVELOPE>;

export interface Inventory {
  /** By id. */
  readonly atomics: readonly NodeType[];
  /** Who plans what no single node type can do. */
  readonly planner: NodeType | undefined;
}

/**
 * All that envelopes say of candidates, the stricter where they differ: an allow-list of nothing allows nothing (D11), and
 * a side effect is a ceiling (H12).
 */
export function strictest(envelopes: readonly (ConstraintEnvelope | undefined)[]): ConstraintEnvelope {
  const given = envelopes.filter((envelope) => envelope !== undefined);
  const { allowedTypes, deniedTypes, sideEffectCeiling } = given.map(boundsOf).reduce(mergeConstraints, {});
  const most = given.flatMap(({ candidates }) => candidates?.max_candidates_per_subtask ?? []);
  const candidates = {
    ...(most.length === 0 ? {} : { max_candidates_per_subtask: Math.min(...most) }),
    ...(allowedTypes === undefined ? {} : { allowed_node_type_ids: allowedTypes }),
    ...(deniedTypes === undefined ? {} : { denied_node_type_ids: deniedTypes }),
  };
  return {
    ...(Object.keys(candidates).length === 0 ? {} : { candidates }),
    ...(sideEffectCeiling === undefined ? {} : { gates: { side_effect_class: sideEffectCeiling } }),
  };
}

function boundsOf({ candidates = {}, gates = {} }: ConstraintEnvelope) {
  const { allowed_node_type_ids: allowedTypes, denied_node_type_ids: deniedTypes } = candidates;
  const { side_effect_class: sideEffectCeiling } = gates;
  return {
    ...(allowedTypes === undefined ? {} : { allowedTypes }),
    ...(deniedTypes === undefined ? {} : { deniedTypes }),
    ...(sideEffectCeiling === undefined ? {} : { sideEffectCeiling }),
  };
}

/** @param plannerId node type that plans where it is there; else it is the first planner by id. */
export function inventoryOf(
  types: readonly NodeType[],
  constraints: ConstraintEnvelope,
  plannerId: string | undefined,
): Inventory {
  const bounds = boundsOf(constraints);
  const fitting = types.filter(
    (type) => nodeRefused(bounds, { type: type.node_type_id, sideEffect: sideEffectOf(type) }) === undefined,
  );
  const offered = latest(fitting).toSorted(byIdAndVersion);
  const planners = offered.filter((type) => isPlanner(type, plannerId));
  return {
    atomics: offered.filter(({ kind }) => kind === 'atomic'),
    planner: planners.find(({ node_type_id }) => node_type_id === plannerId) ?? planners[0],
  };
}

/** What its extension says; a word that nobody knows is the worst there is. */
export function sideEffectOf({ extensions = {} }: NodeType): SideEffect {
  const told = extensions['jarvis.side_effect'] ?? 'read';
  return SIDE_EFFECTS.find((effect) => effect === told) ?? 'irreversible';
}

function isPlanner(
  { kind, node_type_id: id, extensions = {} }: NodeType,
  plannerId: string | undefined,
): boolean {
  if (kind !== 'composite') return false;
  return id === plannerId || id.startsWith(PLANNER_PREFIX) || extensions['jarvis.role'] === 'planner';
}

function latest(types: readonly NodeType[]): readonly NodeType[] {
  return [...Map.groupBy(types, ({ node_type_id }) => node_type_id).values()].flatMap((versions) => {
    const version = highest(versions.map((type) => type.version));
    return versions.find((type) => type.version === version) ?? [];
  });
}
