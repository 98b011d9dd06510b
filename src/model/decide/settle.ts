import type { Command } from '../commands.ts';
import { isExternal } from '../node.ts';
import { isUndecided, nodeState } from '../state.ts';
import { isTerminal } from '../transitions.ts';
import { stopForBudget } from './budget.ts';
import { budgetViolations } from './checkpoint.ts';
import { conclude } from './conclude.ts';
import { changeStanding, standingText } from './control.ts';
import { refuse, type Draft } from './draft.ts';
import { afterSuccess, endFromOutside, handOver } from './end-attempt.ts';

export function settleNode(draft: Draft, command: Extract<Command, { type: 'settle' }>): void {
  const { state } = draft;
  const { type: _, node: id, regardless = false, ...settled } = command;
  const node = state.nodes.get(id);
  const external = node !== undefined && isExternal(node.spec);
  const isBusy = node?.live !== undefined && !external && !regardless;
  if (node === undefined || node.state === 'canceled' || isBusy || isTerminal(state.standing)) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' of ${state.id} cannot be settled now`, {
      node: id,
      phase: standingText(state.standing),
      state: nodeState(state, id) ?? 'unknown',
    });
  }
  if (!external && !regardless) {
    if (node.lastOutcome !== 'unknown') {
      refuse('E_INVALID_STATE_TRANSITION', `the outcome of node '${id}' is not unknown`, { node: id });
    }
    if ((command.by ?? '') === '' || (command.reason ?? '').trim() === '') {
      refuse('E_INVALID_INPUT_SCHEMA', 'settling an unknown outcome needs a name and a reason', { node: id });
    }
  }
  const { spec } = node;
  const isRoot = id === state.spec.rootId;
  // Nobody will resume it for the sake of an end that is known.
  if (regardless && isRoot && state.standing.phase !== 'running') changeStanding(draft, { phase: 'running' });
  const isHandedOver =
    external && spec.executor !== undefined && (node.live !== undefined || state.open.has(id));
  const undecided = settled.state === 'succeeded' && isUndecided(state, node);
  if (node.live !== undefined && !external) endFromOutside(draft, node, node.live, settled);
  else {
    // Whoever settles it has taken it over, and was faster than the news of that.
    if (node.live !== undefined) handOver(draft, node, node.live);
    draft.emit({ type: 'node_settled', node: id, ...settled });
  }
  if (settled.state === 'succeeded') afterSuccess(draft, spec, undecided);
  // Only a running run ends by its root; a held one must be resumed or canceled first. What was handed over has ended all
  // the same, and is not told to come again: then its run ends once it is resumed.
  const isOfHeld = external && isRoot && state.standing.phase !== 'running';
  if (isOfHeld && (!isHandedOver || settled.state === 'canceled'))
    changeStanding(draft, { phase: settled.state });
  conclude(draft, node.parent);
}

/** Asked when the deadline of an open node is due. What comes early, or twice, changes nothing. */
export function expireNode(draft: Draft, { node: id }: Extract<Command, { type: 'expire' }>): void {
  const { state, ctx } = draft;
  const node = state.nodes.get(id);
  if (node === undefined || !state.open.has(id) || state.standing.phase !== 'running') return;
  const { handedOverAtMs, spec } = node;
  const { timeoutMs } = spec;
  if (timeoutMs !== undefined && handedOverAtMs !== undefined && ctx.nowMs >= handedOverAtMs + timeoutMs) {
    const error = {
      code: 'E_ADAPTER_FAIL',
      message: `it was not settled within ${timeoutMs / 1000} s, its time limit`,
      details: { reason: 'timed_out', timeout_ms: timeoutMs },
    };
    draft.emit({ type: 'node_settled', node: id, state: 'failed', error });
    conclude(draft, node.parent);
    return;
  }
  const over = budgetViolations(draft);
  if (over.length > 0) stopForBudget(draft, over);
}
