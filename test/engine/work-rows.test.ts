/** The rows that workers claim: what events call for adds up to what the state calls for, whatever happens. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectedWork, workChanges } from '../../src/engine/work-changes.ts';
import { sha256 } from '../../src/engine/system.ts';
import { decide } from '../../src/model/decide/index.ts';
import { evolve } from '../../src/model/evolve.ts';
import { emptyState } from '../../src/model/state.ts';
import { isTerminal } from '../../src/model/transitions.ts';
import type { WorkChange } from '../../src/store/run-store.ts';
import { anyMoves, anyPlan, commandOf, contextOf } from '../model/arbitraries.ts';
import { T0 } from '../model/rig.ts';

type Row = { state: 'offered' | 'leased' | 'parked'; worker: string | null };

/** The same, in the words of the store's statements. */
function change(rows: Map<string, Row>, work: WorkChange): void {
  const free = (parked: boolean): Row => ({ state: parked ? 'parked' : 'offered', worker: null });
  switch (work.op) {
    case 'offer':
      if (rows.get(work.node)?.state !== 'leased') rows.set(work.node, free(work.parked));
      return;
    case 'lease':
      rows.set(work.node, { state: 'leased', worker: work.worker });
      return;
    case 'unlease':
      if (rows.has(work.node)) rows.set(work.node, free(work.parked));
      return;
    case 'drop':
      rows.delete(work.node);
      return;
    case 'park':
      for (const [node, { state }] of rows) if (state !== 'leased') rows.set(node, free(work.parked));
      return;
    case 'clear':
      rows.clear();
  }
}

test('under any commands the rows are those that the state calls for', () => {
  let compared = 0;
  fc.assert(
    fc.property(anyPlan, anyMoves, (plan, moves) => {
      const rows = new Map<string, Row>();
      const state = emptyState('run-1');
      const known: string[] = [];
      const carryOut = (command: Parameters<typeof decide>[1], ctx: Parameters<typeof decide>[2]): void => {
        const decided = decide(state, command, ctx);
        if (!decided.ok) return;
        for (const recorded of decided.events) {
          evolve(state, recorded);
          if (recorded.event.type === 'nodes_added') known.push(...recorded.event.nodes.map(({ id }) => id));
        }
        for (const work of workChanges(decided.events, state)) change(rows, work);
        state.fresh.length = 0;
        if (isTerminal(state.standing)) {
          // What still runs must be found by someone: a row that is leased, or that may be claimed.
          if (state.live.size === 0) expect(rows.size).toBe(0);
          else expect([...rows.values()].some((row) => row.state !== 'parked')).toBe(true);
          return;
        }
        compared += 1;
        const expected = expectedWork(state).map((row): [string, Row] => [
          row.node,
          { state: row.state, worker: row.worker },
        ]);
        expect(rows, command.type).toEqual(new Map(expected));
      };
      carryOut({ type: 'create', spec: plan.spec }, { nowMs: T0, sha256, random: () => 0.5 });
      known.push(plan.spec.root.id, ...plan.spec.nodes.map(({ id }) => id));
      for (const { parent, nodes } of plan.below) {
        carryOut({ type: 'add_nodes', parent, nodes }, { nowMs: T0, sha256, random: () => 0.5 });
      }
      let nowMs = T0;
      for (const [serial, move] of moves.entries()) {
        nowMs = Math.max(0, nowMs + move.elapsed);
        const command = commandOf(state, known, move, serial);
        if (command !== undefined) carryOut(command, contextOf(move, nowMs));
      }
    }),
    { numRuns: 200, interruptAfterTimeLimit: 15_000 },
  );
  expect(compared).toBeGreaterThan(1000);
});
