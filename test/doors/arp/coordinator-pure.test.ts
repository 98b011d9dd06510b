// Rules of the coordinator that need no server: merging, kinds, ids, and events as a projection.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  limitsOf,
  mergeEnvelopes,
  strictestEffect,
  structuralOf,
  type Envelope,
} from '../../../src/doors/arp/coordinator/constraints.ts';
import { newNodeRunId, newRunId } from '../../../src/doors/arp/coordinator/ids.ts';
import { childNodeRunId } from '../../../src/doors/arp/wire/ids.ts';
import { kindOf } from '../../../src/doors/arp/coordinator/kinds.ts';
import { AssignmentTokens } from '../../../src/doors/arp/coordinator/assignment-tokens.ts';

const counts = (...names: string[]) =>
  fc.record(Object.fromEntries(names.map((name) => [name, fc.nat(9)])), { requiredKeys: [] });
const ids = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 });
const ENVELOPES = fc.record(
  {
    structural: counts('max_depth', 'max_total_nodes_per_run'),
    candidates: fc.record({ allowed_node_type_ids: ids, denied_node_type_ids: ids }, { requiredKeys: [] }),
    budgets: counts('max_steps', 'max_cost'),
    gates: fc.record(
      { side_effect_class: fc.constantFrom('read', 'write', 'irreversible'), require_approval: fc.boolean() },
      { requiredKeys: [] },
    ),
    extensions: fc.constant({ 'x.y': 1 }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Envelope>;

describe('merging (§4.5)', () => {
  test('takes minima, intersects, unites, sorts, and leaves out what nobody says', () => {
    const merged = mergeEnvelopes(
      {
        structural: { max_depth: 3 },
        candidates: { allowed_node_type_ids: ['b', 'a'], denied_node_type_ids: ['z'] },
        gates: { side_effect_class: 'write', require_approval: false },
        extensions: { 'x.y': 1 },
      },
      undefined,
      {
        structural: { max_depth: 2, max_total_nodes_per_run: 0 },
        candidates: {
          allowed_node_type_ids: ['c', 'b'],
          denied_node_type_ids: ['a', 'z'],
          max_candidates_per_subtask: 4,
        },
        gates: { side_effect_class: 'read', require_approval: true },
        budgets: {},
      },
    );
    expect(merged).toEqual({
      structural: { max_depth: 2, max_total_nodes_per_run: 0 },
      candidates: {
        allowed_node_type_ids: ['b'],
        denied_node_type_ids: ['a', 'z'],
        max_candidates_per_subtask: 4,
      },
      gates: { side_effect_class: 'write', require_approval: true },
    });
    expect(mergeEnvelopes(undefined, {}, { budgets: {} })).toBeUndefined();
    const disjoint = mergeEnvelopes(
      { candidates: { allowed_node_type_ids: ['a'] } },
      { candidates: { allowed_node_type_ids: ['b'] } },
    );
    expect(disjoint).toEqual({ candidates: { allowed_node_type_ids: [] } }); // D11: nothing is allowed
  });

  test('does not depend on order or grouping', () => {
    fc.assert(
      fc.property(ENVELOPES, ENVELOPES, ENVELOPES, (a, b, c) => {
        const all = mergeEnvelopes(a, b, c);
        expect(mergeEnvelopes(c, b, a)).toEqual(all);
        expect(mergeEnvelopes(mergeEnvelopes(a, b), c)).toEqual(all);
        expect(mergeEnvelopes(all, all)).toEqual(all);
      }),
    );
  });

  test('H12 what holds is the strictest ceiling', () => {
    expect(strictestEffect('irreversible', undefined, 'read', 'write')).toBe('read');
    expect(strictestEffect('irreversible', 'write')).toBe('write');
    expect(strictestEffect(undefined)).toBeUndefined();
  });

  test('becomes limits of the model', () => {
    expect(structuralOf({ structural: { max_depth: 1, max_children_per_composite: 2 } })).toEqual({
      maxDepth: 1,
      maxChildrenPerNode: 2,
    });
    const budgets = { max_wall_time_ms: 5, max_steps: 4, max_external_calls: 3, max_cost: 0.1234567 };
    expect(limitsOf({ budgets })).toEqual({ wallMs: 5, steps: 4, toolCalls: 3, costMicros: 123_457 });
  });
});

test('kinds come from the registry, else from the id in any case', () => {
  const known = { node_type_id: 'atomic.x', version: '1', kind: 'composite' } as const;
  expect(kindOf('atomic.x', known)).toBe('composite');
  expect(kindOf('AtOmIc.x', undefined)).toBe('atomic');
  expect(kindOf('composite.', undefined)).toBe('composite');
  for (const id of ['atomic', 'xatomic.y', 'jarvis.atomic.x', ''])
    expect(kindOf(id, undefined)).toBeUndefined();
});

test('G14 ids are as the contract has them', () => {
  // printf 'run_1:node_run_2:a key ü' | sha256sum
  expect(childNodeRunId('run_1', 'node_run_2', 'a key ü')).toBe('node_run_9315ae9ab8091f79b5dfd2a9edd19d25');
  expect(newRunId()).toMatch(/^run_[0-9a-f]{32}$/);
  expect(newNodeRunId()).toMatch(/^node_run_[0-9a-f]{32}$/);
});

const RUN_IDS = fc.string({ unit: 'grapheme', minLength: 1 });

test('H3 an assignment is good for its run under its key, unchanged', () => {
  const tokens = new AssignmentTokens(new Uint8Array(32).fill(1));
  const others = new AssignmentTokens(new Uint8Array(32).fill(2));
  fc.assert(
    fc.property(RUN_IDS, RUN_IDS, (run, other) => {
      const header = `Bearer ${tokens.mint(run)}`;
      expect(tokens.runIn(header)).toBe(run);
      expect(others.runIn(header)).toBeUndefined();
      const [name, , seal] = header.split('.');
      const moved = [name, tokens.mint(other).split('.')[1], seal].join('.');
      expect(tokens.runIn(moved)).toBe(run === other ? run : undefined);
    }),
  );
  for (const header of [undefined, '', 'Bearer', 'Bearer reeve-assignment..', 'Basic abc'])
    expect(tokens.runIn(header)).toBeUndefined();
});
