/** The beginning of an attempt: whether it may start, and its intent. */
import { canonicalJson } from '../canonical.ts';
import type { Command } from '../commands.ts';
import type { Lease } from '../events.ts';
import { hasAttempts } from '../node.ts';
import { isGated, leaseOwner, type Node, type RunState } from '../state.ts';
import { addUsage, NO_USAGE } from '../usage.ts';
import { stopForBudget } from './budget.ts';
import {
  argumentsHash,
  budgetViolations,
  checkpointNow,
  declaredCheckpoint,
  fitSummary,
  isApproved,
} from './checkpoint.ts';
import { conclude } from './conclude.ts';
import { standingText } from './control.ts';
import { requireApproval } from './decision.ts';
import { recordFacts, refuse, type Draft } from './draft.ts';
import { expire, leaseConflict, requireEpoch } from './lease.ts';

type Start = Extract<Command, { type: 'start' }>;

/**
 * Records the intent of an attempt (I5), or why it may not begin: an approval that is missing becomes a decision
 * checkpoint, a budget that does not suffice holds the run. Both are events, not refusals: look at what was emitted.
 */
export function startAttempt(draft: Draft, command: Start): void {
  const { state, ctx } = draft;
  const node = startable(state, command.node);
  const { spec } = node;
  const lease = leaseForStart(draft, node, command);
  if ((node.notBeforeMs ?? 0) > ctx.nowMs) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${spec.id}' is not due before ${node.notBeforeMs}`, {
      node: spec.id,
    });
  }
  recordFacts(draft, command.facts);
  const hash = argumentsHash(draft.ctx.sha256, spec);
  if (!approved(draft, node)) return;
  const reserved = addUsage(NO_USAGE, { steps: 1, ...spec.reserve, ...(node.ran > 0 ? { retries: 1 } : {}) });
  const over = budgetViolations(draft, reserved); // I7
  if (over.length > 0) return stopForBudget(draft, over, spec.id);
  // The root's own was emitted when the run began.
  if (node.attempt === 0 && spec.before !== undefined && spec.id !== state.spec.rootId)
    declaredCheckpoint(draft, spec, spec.before);
  const attempt = node.attempt + 1;
  draft.emit({
    type: 'attempt_started',
    node: spec.id,
    attempt,
    epoch: lease.epoch,
    executor: spec.executor ?? null,
    effectKey: effectKey(draft, node, attempt),
    argumentsHash: hash,
    reserved,
    ...(lease.taken === undefined ? {} : { lease: lease.taken, ttlMs: command.claimant?.ttlMs ?? 0 }),
  });
}

/** The node, if the state of the run allows it to start. */
export function startable(state: RunState, id: string): Node {
  const node = state.nodes.get(id);
  if (node === undefined || node.state === 'canceled') {
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' of ${state.id} is settled or unknown`, { node: id });
  }
  if (!hasAttempts(node.spec) || state.open.has(id)) {
    const why = hasAttempts(node.spec) ? 'is handed over' : 'has no attempts: its children are started';
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' ${why}`, { node: id });
  }
  if (state.standing.phase !== 'running') {
    refuse(
      'E_INVALID_STATE_TRANSITION',
      `run ${state.id} is ${standingText(state.standing)}: nothing new starts`,
      {
        job_id: state.id,
        from: standingText(state.standing),
        to: 'running',
      },
    );
  }
  if (node.live !== undefined) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' has a live attempt ${node.live.attempt}`, {
      node: id,
    }); // I4
  }
  if (node.waiting > 0)
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' waits for ${node.waiting} others`, { node: id });
  return node;
}

/** The epoch to start under: of the plan's lease, or of a lease taken in the same act. */
function leaseForStart(draft: Draft, node: Node, command: Start): { epoch: number; taken?: Lease } {
  const { state, ctx } = draft;
  const id = node.spec.id;
  const { claimant } = command;
  if (claimant === undefined) {
    requireEpoch(state, id, command.epoch);
    return { epoch: command.epoch };
  }
  if (leaseOwner(state, id) !== id) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${id}' runs under its plan's lease`, { node: id });
  }
  if (node.lease !== undefined) {
    if (ctx.lease?.live !== false) leaseConflict(state, node);
    expire(draft, node, ctx.lease);
  }
  if (state.standing.phase === 'running' || id !== state.spec.rootId) {
    const taken: Lease = { worker: claimant.worker, leaseId: claimant.leaseId, epoch: node.epoch + 1 };
    return { epoch: taken.epoch, taken };
  }
  return refuse('E_INVALID_STATE_TRANSITION', `run ${state.id} is not running`, { job_id: state.id });
}

/** I8: decisions about the whole run, then the node's own. Opens the latter when there is none yet. */
function approved(draft: Draft, node: Node): boolean {
  const { state } = draft;
  if (state.openDecisions > 0) {
    for (const key of state.decisions.keys()) {
      const open = state.decisions.get(key);
      if (open?.approved === false && open.blocks === 'run') requireApproval(state, key);
    }
  }
  if (isGated(state, node)) requireApproval(state, node.gate ?? 0);
  const needed = node.spec.approval === 'before' || state.spec.constraints?.requireApproval === true;
  if (!needed) return true;
  const name = node.spec.name ?? node.spec.id;
  return !askBefore(draft, node, {
    summary: `approval needed before '${name}' starts`,
    instructions: `approve the start of '${name}' with exactly its arguments`,
  });
}

/** Opens the decision whether a node may start, unless it is approved with these very arguments. @returns whether. */
export function askBefore(
  draft: Draft,
  node: Node,
  words: { summary: string; instructions: string },
): boolean {
  const { state, ctx } = draft;
  if (isApproved(state, node, ctx.sha256)) return false;
  checkpointNow(draft, {
    type: 'decision-needed',
    summary: fitSummary(words.summary),
    requiredAction: { kind: 'approval', instructions: words.instructions },
    node: node.spec,
    blocks: 'node',
    binds: argumentsHash(ctx.sha256, node.spec),
  });
  conclude(draft, node.parent);
  return true;
}

const SAFE_ID = /^[A-Za-z0-9._-]{1,150}$/;

/** Names the effect of one attempt; readable where the run's id is safe in a file name. */
function effectKey(draft: Draft, node: Node, attempt: number): string {
  const { id } = draft.state;
  const run = SAFE_ID.test(id) ? id : draft.ctx.sha256(canonicalJson(id)).slice(0, 32);
  return `${run}.${node.index}.${attempt}`;
}
