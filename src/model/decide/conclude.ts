import { isReleased } from '../evolve.ts';
import { hasAttempts, isExternal, isPlan, NO_DELTA } from '../node.ts';
import { leaseOwner } from '../state.ts';
import type { Standing } from '../transitions.ts';
import { checkpointNow, declaredCheckpoint } from './checkpoint.ts';
import type { Draft } from './draft.ts';

/**
 * Draws the consequences of a change below or at `at`: a plan whose children are all settled is settled too, and so on
 * up to the run, which ends as its root did; a run in which everything left waits for a decision is held for it.
 */
export function conclude(draft: Draft, at: string | undefined): void {
  const { state } = draft;
  settleUp(draft, at);
  // Plans that were opened, or whose last decision was approved, by what this draft emitted; more may follow from each.
  for (let next = 0; next < state.fresh.length; next += 1) {
    const id = state.fresh[next] ?? '';
    announce(draft, id);
    // A plan below nobody's lease may still be filled: it is looked at when it is claimed.
    if (leaseOwner(state, id) !== id || state.nodes.get(id)?.begun === true) settleUp(draft, id);
  }
  endAsRoot(draft);
  if (state.standing.phase === 'running') holdForDecision(draft);
}

/** The same for every plan of the run, innermost first: while it was held nothing was concluded. */
export function concludeAll(draft: Draft): void {
  const { state } = draft;
  for (const id of [...state.nodes.keys()].toReversed()) {
    announce(draft, id);
    settlePlan(draft, id);
  }
  conclude(draft, undefined);
}

/** The checkpoint with which a composite that nobody starts or claims begins: once, when its needs are met. */
function announce(draft: Draft, id: string): void {
  const { state } = draft;
  const node = state.nodes.get(id);
  if (node?.spec.before === undefined || node.begun || node.waiting > 0 || id === state.spec.rootId) return;
  if (state.standing.phase !== 'running' || hasAttempts(node.spec)) return;
  if (isPlan(node.spec) && leaseOwner(state, id) === id) return; // its claim says so
  declaredCheckpoint(draft, node.spec, node.spec.before);
}

function settleUp(draft: Draft, at: string | undefined): void {
  const { state } = draft;
  for (let id = at; id !== undefined; ) {
    const parent: string | undefined = state.nodes.get(id)?.parent;
    settlePlan(draft, id);
    id = parent;
  }
}

function settlePlan(draft: Draft, id: string): void {
  const { state } = draft;
  const node = state.nodes.get(id);
  if (state.standing.phase !== 'running' || node === undefined || !isPlan(node.spec) || node.waiting > 0)
    return;
  const failed = node.childrenFailed > 0;
  const done = node.childrenSettled === node.children && node.undecided === 0;
  if (!failed && !done) return;
  if (id === state.spec.rootId && !failed && !requiredCheckpointsMet(draft)) return;
  if (!failed && node.spec.after !== undefined) {
    // The last word of a run speaks of the run as it is then.
    const isRunsOwn = id === state.spec.rootId && node.spec.after.type === 'completed';
    declaredCheckpoint(
      draft,
      node.spec,
      node.spec.after,
      NO_DELTA,
      isRunsOwn ? { phase: 'succeeded' } : undefined,
    );
  }
  draft.emit({ type: 'node_settled', node: id, state: failed ? 'failed' : 'succeeded' });
}

/** A run that was held when its root settled ends once it is resumed; one with a decision about its root, once approved. */
function endAsRoot(draft: Draft): void {
  const { state } = draft;
  const { rootId } = state.spec;
  const ended = state.settled.get(rootId)?.state;
  if (ended === undefined || state.standing.phase !== 'running') return;
  const to: Standing =
    isReleased(state, rootId) || ended !== 'succeeded'
      ? { phase: ended }
      : { phase: 'held', hold: 'decision' };
  draft.emit({ type: 'phase_changed', from: state.standing, to });
}

/** A strict policy names checkpoint types without which the run must not succeed (contract wrkr §c). */
function requiredCheckpointsMet(draft: Draft): boolean {
  const { state } = draft;
  const root = state.nodes.get(state.spec.rootId);
  const emitted = new Set(state.checkpoints.types);
  if (root?.spec.after !== undefined) emitted.add(root.spec.after.type);
  const missing = (state.spec.requiredCheckpoints ?? []).filter((type) => !emitted.has(type));
  if (missing.length === 0) return true;
  checkpointNow(draft, {
    type: 'blocked',
    summary: `required checkpoints were not emitted: ${missing.join(', ')}`,
    reasonCodes: ['E_ADAPTER_FAIL'],
  });
  draft.emit({ type: 'phase_changed', from: draft.state.standing, to: { phase: 'held', hold: 'error' } });
  return false;
}

function holdForDecision(draft: Draft): void {
  const { state } = draft;
  if (state.openDecisions === 0 || state.ready.size > 0 || state.live.size > 0 || state.open.size > 0) return;
  const root = state.nodes.get(state.spec.rootId);
  if (root === undefined || isExternal(root.spec)) return;
  draft.emit({ type: 'phase_changed', from: state.standing, to: { phase: 'held', hold: 'decision' } });
}
