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
import { anyMoves, anyPlan, commandOf, contextOf, type Plan } from '../model/arbitraries.ts';
import { specOf, step, T0 } from '../model/rig.ts';

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

/** A run and its rows, changed together and compared after each command. */
class Comparison {
  readonly state = emptyState('run-1');
  readonly rows = new Map<string, Row>();
  readonly dueMs = new Map<string, number>();
  readonly known: string[] = [];
  compared = 0;

  carryOut(command: Parameters<typeof decide>[1], ctx: Parameters<typeof decide>[2]): void {
    const { state, rows } = this;
    const decided = decide(state, command, ctx);
    if (!decided.ok) return;
    for (const recorded of decided.events) {
      evolve(state, recorded);
      if (recorded.event.type === 'nodes_added') this.known.push(...recorded.event.nodes.map(({ id }) => id));
    }
    for (const work of workChanges(decided.events, state)) {
      change(rows, work);
      if ('dueMs' in work) this.dueMs.set(work.node, work.dueMs);
    }
    state.fresh.length = 0;
    if (isTerminal(state.standing)) {
      // What still runs must be found by someone: a row that is leased, or that may be claimed.
      if (state.live.size === 0) expect(rows.size).toBe(0);
      else expect([...rows.values()].some((row) => row.state !== 'parked')).toBe(true);
      return;
    }
    this.compared += 1;
    const expected = expectedWork(state).map(({ node, ...row }): [string, Row] => [
      node,
      { state: row.state, worker: row.worker },
    ]);
    expect(rows, command.type).toEqual(new Map(expected));
    for (const { node, state: is, dueMs } of expectedWork(state))
      if (is !== 'leased')
        expect(this.dueMs.get(node), `${command.type}: ${node} is due`).toBeLessThanOrEqual(dueMs);
  }

  begin({ spec, below }: Plan): void {
    const ctx = { nowMs: T0, sha256, random: () => 0.5 };
    this.carryOut({ type: 'create', spec }, ctx);
    this.known.push(spec.root.id, ...spec.nodes.map(({ id }) => id));
    for (const { parent, nodes } of below) this.carryOut({ type: 'add_nodes', parent, nodes }, ctx);
  }
}

test('under any commands the rows are those that the state calls for', () => {
  let compared = 0;
  fc.assert(
    fc.property(anyPlan, anyMoves, (plan, moves) => {
      const run = new Comparison();
      run.begin(plan);
      let nowMs = T0;
      for (const [serial, move] of moves.entries()) {
        nowMs = Math.max(0, nowMs + move.elapsed);
        const command = commandOf(run.state, run.known, move, serial);
        if (command !== undefined) run.carryOut(command, contextOf(move, nowMs));
      }
      compared += run.compared;
    }),
    { numRuns: 200, interruptAfterTimeLimit: 15_000 },
  );
  expect(compared).toBeGreaterThan(1000);
});

test('a person who resumes a run ends the back-off of its steps, also of those that nobody holds', () => {
  const run = new Comparison();
  run.begin({
    spec: specOf({
      root: { id: 'root', kind: 'composite' },
      nodes: [step('a', { retry: { max: 3, backoffMs: 60_000, capMs: 60_000 } })],
    }),
    below: [],
  });
  const ctx = { nowMs: T0, sha256, random: () => 0.5 };
  const claimed = (node: string) => ({ node, claimant: { worker: 'w', leaseId: 'l', ttlMs: 1000 } });
  run.carryOut({ type: 'claim', ...claimed('root') }, ctx);
  run.carryOut({ type: 'start', epoch: 1, ...claimed('a') }, ctx);
  run.carryOut({ type: 'finish', node: 'a', attempt: 1, epoch: 1, outcome: 'failed', usage: {} }, ctx);
  expect(run.rows.get('a')).toEqual({ state: 'offered', worker: null });
  expect(run.dueMs.get('a')).toBe(T0 + 30_000);
  run.carryOut({ type: 'pause', by: 'ann' }, ctx);
  const resume = { by: 'ann' };
  const seen = { live: false, seenMs: T0 };
  run.carryOut({ type: 'claim', ...claimed('root'), resume }, { ...ctx, lease: seen });
  expect(run.state.nodes.get('a')?.notBeforeMs).toBeUndefined();
  expect(run.dueMs.get('a')).toBe(T0);
});

test('a free plan with nothing left but a decision is offered to nobody before its approval', () => {
  const run = new Comparison();
  const decision = {
    type: 'decision-needed',
    summary: 'is this right?',
    requiredAction: { kind: 'approval' },
  } as const;
  run.begin({
    spec: specOf({
      root: { id: 'root', kind: 'composite' },
      nodes: [{ id: 'plan', kind: 'composite', drive: 'plan' }],
    }),
    below: [{ parent: 'plan', nodes: [{ id: 'empty', kind: 'composite', drive: 'plan', after: decision }] }],
  });
  expect(run.rows.has('plan')).toBe(true);
  const ctx = { nowMs: T0, sha256, random: () => 0.5 };
  // The run begins, and with it the empty plan inside ends: without a lease of the plan around it.
  run.carryOut({ type: 'claim', node: 'root', claimant: { worker: 'w', leaseId: 'l', ttlMs: 1000 } }, ctx);
  expect(run.rows.has('plan')).toBe(false);
  const [checkpoint = 0] = run.state.decisions.keys();
  run.carryOut({ type: 'approve', checkpoint, by: 'ann', reason: 'fine' }, ctx);
  expect(run.rows.get('plan')).toEqual({ state: 'offered', worker: null });
});
