/** Constraints of runs and NodeRuns: how several count together, and what of them the engine enforces (contract arp §4.5). */
import type { Limits } from '../../../model/budget.ts';
import { SIDE_EFFECTS, type Constraints, type SideEffect } from '../../../model/constraints.ts';
import type { CONSTRAINT_ENVELOPE } from '../wire/core.ts';
import type { TypeOf } from '../../wire-schema.ts';

export type Envelope = TypeOf<typeof CONSTRAINT_ENVELOPE>;
type Structural = NonNullable<Envelope['structural']>;
type Candidates = NonNullable<Envelope['candidates']>;
type Budgets = NonNullable<Envelope['budgets']>;
type Gates = NonNullable<Envelope['gates']>;

const MICROS = 1_000_000;

/** Several envelopes as one, as it is shown; undefined when none says anything. What it leaves out does not count. */
export function mergeEnvelopes(...given: readonly (Envelope | undefined)[]): Envelope | undefined {
  const envelopes = given.filter((envelope) => envelope !== undefined);
  const structural = groupsOf(envelopes, 'structural');
  const candidates = groupsOf(envelopes, 'candidates');
  const budgets = groupsOf(envelopes, 'budgets');
  const gates = groupsOf(envelopes, 'gates');
  return unlessEmpty({
    structural: unlessEmpty<Structural>({
      max_depth: least(structural, 'max_depth'),
      max_children_per_composite: least(structural, 'max_children_per_composite'),
      max_total_nodes_per_run: least(structural, 'max_total_nodes_per_run'),
      max_decomposition_rounds_per_node: least(structural, 'max_decomposition_rounds_per_node'),
    }),
    candidates: unlessEmpty<Candidates>({
      max_candidates_per_subtask: least(candidates, 'max_candidates_per_subtask'),
      allowed_node_type_ids: listed(candidates, 'allowed_node_type_ids', (all, more) =>
        all.intersection(more),
      ),
      denied_node_type_ids: listed(candidates, 'denied_node_type_ids', (all, more) => all.union(more)),
    }),
    budgets: unlessEmpty<Budgets>({
      max_wall_time_ms: least(budgets, 'max_wall_time_ms'),
      max_steps: least(budgets, 'max_steps'),
      max_external_calls: least(budgets, 'max_external_calls'),
      max_cost: least(budgets, 'max_cost'),
    }),
    gates: unlessEmpty<Gates>({
      side_effect_class: highestEffect(gates),
      require_approval: approvalOf(gates),
    }),
  });
}

/** The lowest ceiling of side effects: what is shown is the highest, what holds is this (H12). */
export function strictestEffect(...ceilings: readonly (SideEffect | undefined)[]): SideEffect | undefined {
  return SIDE_EFFECTS.find((effect) => ceilings.includes(effect));
}

/** What bounds the tree. Types and side effects are looked at when a NodeRun is dispatched, not when it is created (H18). */
export function structuralOf({ structural = {} }: Envelope): Constraints {
  return present({
    maxDepth: structural.max_depth,
    maxChildrenPerNode: structural.max_children_per_composite,
    maxNodes: structural.max_total_nodes_per_run,
    maxRoundsPerNode: structural.max_decomposition_rounds_per_node,
  });
}

/** The run's limits. A limit of 0 is none here: admission refuses what may not even begin. */
export function limitsOf({ budgets = {} }: Envelope): Limits {
  const { max_wall_time_ms, max_steps, max_external_calls, max_cost } = budgets;
  return present({
    wallMs: max_wall_time_ms,
    steps: max_steps,
    toolCalls: max_external_calls,
    costMicros: max_cost === undefined ? undefined : Math.ceil(max_cost * MICROS),
  });
}

function groupsOf<K extends 'structural' | 'candidates' | 'budgets' | 'gates'>(
  envelopes: readonly Envelope[],
  name: K,
): readonly NonNullable<Envelope[K]>[] {
  return envelopes.flatMap((envelope) => envelope[name] ?? []);
}

function least<K extends string>(
  groups: readonly { readonly [key in K]?: number }[],
  field: K,
): number | undefined {
  const found = groups.flatMap((group) => group[field] ?? []);
  return found.length === 0 ? undefined : Math.min(...found);
}

function listed(
  groups: readonly Candidates[],
  field: 'allowed_node_type_ids' | 'denied_node_type_ids',
  join: (all: Set<string>, more: Set<string>) => Set<string>,
): readonly string[] | undefined {
  const lists = groups.flatMap((group) => (group[field] === undefined ? [] : [new Set(group[field])]));
  return lists.length === 0 ? undefined : [...lists.reduce((all, more) => join(all, more))].toSorted();
}

function highestEffect(gates: readonly Gates[]): SideEffect | undefined {
  return SIDE_EFFECTS.findLast((effect) =>
    gates.some(({ side_effect_class }) => side_effect_class === effect),
  );
}

function approvalOf(gates: readonly Gates[]): boolean | undefined {
  const said = gates.flatMap(({ require_approval }) => require_approval ?? []);
  return said.length === 0 ? undefined : said.includes(true);
}

type Loose<T> = { readonly [K in keyof T]: T[K] | undefined };

/** Without what is undefined. */
export function present<T extends object>(fields: Loose<T>): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function unlessEmpty<T extends object>(fields: Loose<T>): T | undefined {
  const found = present<T>(fields);
  return Object.keys(found).length === 0 ? undefined : found;
}
