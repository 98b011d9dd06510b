/** What happens when a limit is reached (I7): the run is held for a person, or fails. */
import { checkpointNow, fitSummary } from './checkpoint.ts';
import { conclude } from './conclude.ts';
import type { Draft } from './draft.ts';

/**
 * @param node that may not start for want of budget. Without one the run itself is over it, by what was used.
 */
export function stopForBudget(draft: Draft, found: readonly string[], node?: string): void {
  const { state } = draft;
  if (state.spec.onBudget !== 'fail') return holdForBudget(draft, found);
  const id = node ?? state.spec.rootId;
  const failing = state.nodes.get(id);
  if (failing === undefined || state.standing.phase !== 'running') return;
  draft.emit({
    type: 'node_settled',
    node: id,
    state: 'failed',
    error: { code: 'E_BUDGET_EXCEEDED', message: summaryOf(found) },
  });
  conclude(draft, failing.parent);
}

/** First the standing, then the checkpoint that says why (contract wrkr §c). */
function holdForBudget(draft: Draft, found: readonly string[]): void {
  if (draft.state.standing.phase === 'running') {
    draft.emit({ type: 'phase_changed', from: draft.state.standing, to: { phase: 'held', hold: 'budget' } });
  }
  checkpointNow(draft, {
    type: 'blocked',
    summary: fitSummary(summaryOf(found)),
    reasonCodes: ['E_BUDGET_EXCEEDED'],
  });
}

function summaryOf(found: readonly string[]): string {
  return `budget exceeded: ${found.join(', ')}`;
}
