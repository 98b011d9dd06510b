import type { Limits } from '../budget.ts';
import type { Command, Resume, SeenLease } from '../commands.ts';
import type { Lease } from '../events.ts';
import { isPlan } from '../node.ts';
import type { Fingerprint } from '../run-spec.ts';
import { firstOpenDecision, isTicking, leaseOn, leaseOwner, type Node, type RunState } from '../state.ts';
import { isTerminal } from '../transitions.ts';
import { USAGE_KEYS } from '../usage.ts';
import { checkpointNow, declaredCheckpoint, fitSummary } from './checkpoint.ts';
import { changeStanding, standingText } from './control.ts';
import { conclude, concludeAll } from './conclude.ts';
import { requireApproval } from './decision.ts';
import { refuse, type Draft } from './draft.ts';

type Claim = Extract<Command, { type: 'claim' }>;

/**
 * Takes the lease of a node. One act, in the order of contract wrkr §c: lease, environment, open decisions, standing.
 * A refusal changes nothing, so a resume in the wrong place or too early leaves the run as it was (W3, W24).
 */
export function claim(draft: Draft, command: Claim): void {
  const { state } = draft;
  const node = state.nodes.get(command.node);
  const isRoot = command.node === state.spec.rootId;
  if (isTerminal(state.standing) || (node === undefined && !isRoot)) refuseStanding(state, 'running');
  if (leaseOwner(state, command.node) !== command.node) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${command.node}' runs under its plan's lease`, {
      node: command.node,
    });
  }
  if (!isRoot && state.open.has(command.node)) {
    refuse('E_INVALID_STATE_TRANSITION', `node '${command.node}' runs without a worker until it is settled`, {
      node: command.node,
    });
  }
  if (!isRoot) expireDead(draft);
  if (node !== undefined) expirePrevious(draft, node, command);
  if (isRoot && state.standing.phase === 'held' && command.resume === undefined)
    refuseStanding(state, 'running');
  if (isRoot && !environmentFits(draft, command)) return;
  if (isRoot) enter(draft, command);
  else if (node?.begun === false && isPlan(node.spec) && node.spec.before !== undefined)
    declaredCheckpoint(draft, node.spec, node.spec.before);
  if (node === undefined) return conclude(draft, undefined); // the root settled while the run was held: now the run ends too
  const { worker, leaseId, ttlMs } = command.claimant;
  const lease: Lease = { worker, leaseId, epoch: node.epoch + 1 };
  draft.emit({ type: 'node_assigned', node: command.node, lease, ttlMs });
  if (isRoot) concludeAll(draft);
  else conclude(draft, command.node);
}

/** Ends an older lease that has run out; a live one refuses the claim. */
function expirePrevious(draft: Draft, node: Node, command: Claim): void {
  const { state, ctx } = draft;
  if (node.lease === undefined) return;
  if (ctx.lease?.live !== false) {
    refuse('E_LEASE_CONFLICT', `run ${state.id} is held by ${node.lease.worker}`, {
      worker_id: command.claimant.worker,
      existing_worker_id: node.lease.worker,
      existing_lease_id: node.lease.leaseId,
    });
  }
  expire(draft, node, ctx.lease);
}

/**
 * Before a command from outside is carried out, or another node than the root is claimed: a worker that is dead by the store's word lets go, so that no time after
 * it was last seen is billed by what is recorded next (I7).
 */
export function expireDead(draft: Draft): void {
  const { state, ctx } = draft;
  const root = state.nodes.get(state.spec.rootId);
  const seen = ctx.rootLease ?? ctx.lease;
  if (root !== undefined && seen?.live === false && isTicking(state)) expire(draft, root, seen);
}

/** Ends a lease that has run out, as of when its holder was last seen. */
export function expire(draft: Draft, node: Node, { seenMs }: SeenLease): void {
  const lease = leaseOn(node);
  if (lease === undefined) return;
  draft.emit({ type: 'node_released', node: node.spec.id, lease, cause: 'expired', seenMs });
}

/** Fencing (I4): a write counts only under the current lease of the node's owner. */
export function requireEpoch(state: RunState, id: string, epoch: number): void {
  const owner = state.nodes.get(leaseOwner(state, id));
  if (owner?.lease === undefined || owner.epoch !== epoch) leaseConflict(state, owner);
}

export function leaseConflict(state: RunState, owner: Node | undefined): never {
  const lease = owner?.lease;
  return refuse(
    'E_LEASE_CONFLICT',
    `the lease on run ${state.id} is ${lease === undefined ? 'gone' : `held by ${lease.worker}`}`,
    {
      job_id: state.id,
      ...(lease === undefined ? {} : { existing_worker_id: lease.worker, existing_lease_id: lease.leaseId }),
    },
  );
}

function environmentFits(draft: Draft, command: Claim): boolean {
  const { state } = draft;
  const actual = command.environment;
  const expected = state.environment;
  if (actual === undefined || expected?.hash === actual.hash) return true;
  const force = command.resume?.force === true;
  if (force && (command.resume?.reason ?? '').trim() === '') {
    refuse('E_INVALID_INPUT_SCHEMA', 'accepting a changed environment needs a reason', { field: 'reason' });
  }
  if (expected === undefined) {
    draft.emit({ type: 'environment_recorded', environment: actual });
    return true;
  }
  if (force) {
    requireApprovals(state); // the gate comes before the override: an override never passes it
    const { by, reason = '' } = command.resume ?? { by: 'unknown' };
    draft.emit({
      type: 'environment_recorded',
      environment: actual,
      override: { expectedHash: expected.hash, by, reason: reason.trim() },
    });
    return true;
  }
  // A queued run must be running before it can be held.
  if (draft.state.standing.phase === 'queued') changeStanding(draft, { phase: 'running' });
  const { standing } = draft.state;
  if (standing.phase !== 'held' || (standing.hold !== 'error' && standing.hold !== 'outcome_unknown')) {
    changeStanding(draft, { phase: 'held', hold: 'error' });
  }
  checkpointNow(draft, {
    type: 'blocked',
    summary: fitSummary(
      `environment changed: ${changedRules(expected, actual).join(', ')}; expected ${expected.hash}, actual ${actual.hash}`,
    ),
    reasonCodes: ['E_ENV_FINGERPRINT_MISMATCH'],
    requiredAction: {
      kind: 'environment',
      instructions: 'restore the environment, or resume with --force-env',
    },
  });
  return false;
}

/** Names only: a value may be a secret (I9). */
function changedRules(expected: Fingerprint, actual: Fingerprint): string[] {
  const rules = [...new Set([...expected.rules, ...actual.rules])];
  return rules.filter((rule) => expected.values[rule] !== actual.values[rule]);
}

/** Lets the run run: begins a queued one, resumes a held one, leaves a running one. */
function enter(draft: Draft, command: Claim): void {
  const { state } = draft;
  const { standing } = state;
  const { resume } = command;
  // I8. A run that is running holds back what a decision blocks by itself; its other work may be recovered.
  if (standing.phase !== 'running') requireApprovals(state);
  if (resume?.limits !== undefined) raiseLimits(draft, resume, resume.limits);
  if (standing.phase !== 'running') {
    const why =
      resume === undefined
        ? {}
        : { by: resume.by, ...(resume.reason === undefined ? {} : { reason: resume.reason }) };
    changeStanding(draft, { phase: 'running' }, why);
  }
  const root = draft.state.nodes.get(state.spec.rootId);
  if (root !== undefined && !root.begun && root.spec.before !== undefined)
    declaredCheckpoint(draft, root.spec, root.spec.before);
}

function raiseLimits(draft: Draft, { by, reason = '' }: Resume, limits: Limits): void {
  if (reason.trim() === '')
    refuse('E_INVALID_INPUT_SCHEMA', 'raising a limit needs a reason', { field: 'reason' });
  for (const key of USAGE_KEYS) {
    const [before = 0, after = before] = [draft.state.limits[key], limits[key]];
    if (after !== 0 && (before === 0 || after < before)) {
      refuse(
        'E_INVALID_INPUT_SCHEMA',
        `a resume only raises limits: ${key} is ${before === 0 ? 'unlimited' : before}`,
        { limit: key, before, after },
      );
    }
  }
  draft.emit({ type: 'limits_raised', limits, by, reason: reason.trim() });
}

function requireApprovals(state: RunState): void {
  const open = firstOpenDecision(state);
  if (open !== undefined) requireApproval(state, open.checkpoint);
}

function refuseStanding(state: RunState, to: string): never {
  return refuse(
    'E_INVALID_STATE_TRANSITION',
    `run ${state.id} is ${standingText(state.standing)} and cannot become ${to}`,
    {
      job_id: state.id,
      from: standingText(state.standing),
      to,
    },
  );
}

export function release(draft: Draft, command: Extract<Command, { type: 'release' }>): void {
  const { state } = draft;
  const node = state.nodes.get(command.node);
  const left = command.node === state.spec.rootId ? state.rootLease : undefined;
  const lease = (node === undefined ? undefined : leaseOn(node)) ?? left;
  if (lease === undefined || (left === undefined && isTerminal(state.standing))) return;
  if (lease.epoch !== command.epoch) {
    refuse('E_LEASE_CONFLICT', `the lease on '${command.node}' is held by ${lease.worker}`, {
      existing_worker_id: lease.worker,
      existing_lease_id: lease.leaseId,
    });
  }
  const { cause, seenMs } = command;
  draft.emit({ type: 'node_released', node: command.node, lease, cause, seenMs });
}
