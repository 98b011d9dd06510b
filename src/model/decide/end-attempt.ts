/** The rest of an attempt: what it uses, and how it ends. */
import type { AttemptRef, Command } from '../commands.ts';
import type { AttemptError, NextState } from '../events.ts';
import {
  isExternal,
  type ArtifactsDelta,
  type AttemptOutcome,
  type NodeSpec,
  type SettledState,
} from '../node.ts';
import { isUndecided, usageAt, type LiveAttempt, type Node, type RunState } from '../state.ts';
import { isTerminal } from '../transitions.ts';
import { addUsage, NO_USAGE, reportedUsage, subtractUsage, type Usage, USAGE_KEYS } from '../usage.ts';
import { stopForBudget } from './budget.ts';
import { budgetViolations, checkpointNow, declaredCheckpoint, fitSummary } from './checkpoint.ts';
import { conclude } from './conclude.ts';
import { holdIfPossible } from './control.ts';
import { refuse, type Draft } from './draft.ts';
import { requireEpoch } from './lease.ts';

type Finish = Extract<Command, { type: 'finish' }>;

export function chargeAttempt(draft: Draft, command: Extract<Command, { type: 'charge' }>): void {
  const { node } = requireAttempt(draft.state, command);
  const usage = reportedUsage(command.usage);
  if (Object.keys(usage).length === 0) return;
  draft.emit({ type: 'usage_charged', node: node.spec.id, attempt: command.attempt, usage });
}

export function finishAttempt(draft: Draft, command: Finish): void {
  const { state } = draft;
  const { node, live } = requireAttempt(state, command);
  const { spec } = node;
  const { outcome } = command;
  if (outcome === 'accepted' && !isExternal(spec))
    refuse('E_INVALID_INPUT_SCHEMA', `node '${spec.id}' is no composite that could be handed over`, {
      node: spec.id,
    });
  const next = nextAfter(draft, node, command);
  // Stopped with its worker, in the middle: whether it took effect is as unknown as after a crash (I5).
  const isUnknown = outcome === 'canceled' && spec.onInterrupt !== 'rerun';
  const undecided = outcome === 'succeeded' && isUndecided(state, node);
  endAttempt(draft, node, live, {
    outcome,
    next,
    usage: settledUsage(live, outcome === 'succeeded' || outcome === 'accepted', command.usage),
    command: isUnknown && next.state === 'failed' ? { error: unknownOutcome(STOPPED) } : command,
  });
  if (isTerminal(state.standing)) return; // a canceled run gets no checkpoint
  if (node.state === 'canceled') return conclude(draft, node.parent); // nor does a leftover, whatever became of it
  if (outcome === 'succeeded') afterSuccess(draft, spec, undecided, command.delta);
  const over = budgetViolations(draft);
  if (over.length > 0 && state.standing.phase === 'running') stopForBudget(draft, over);
  else if (outcome === 'over_budget') stopForBudget(draft, over.length > 0 ? over : ['usage']);
  if (
    (outcome === 'failed' || outcome === 'timed_out') &&
    spec.onFailure === 'hold' &&
    !retries(node, command)
  ) {
    holdForFailure(draft, spec, command);
  }
  if (isUnknown && spec.onInterrupt !== 'fail') holdForUnknown(draft, spec, STOPPED);
  conclude(draft, node.parent);
}

/**
 * What comes with the success of a node, however it came about.
 * @param undecided Decisions inside it are open: what needs a composite comes after those (I8).
 */
export function afterSuccess(draft: Draft, spec: NodeSpec, undecided: boolean, found?: ArtifactsDelta): void {
  if (spec.after !== undefined) declaredCheckpoint(draft, spec, spec.after, found);
  if (spec.key !== undefined) draft.emit({ type: 'key_recorded', node: spec.id, key: spec.key });
  if (undecided) holdIfPossible(draft, 'decision');
}

/** Ends the live attempt of an external composite that is known to have been taken over. */
export function handOver(draft: Draft, node: Node, live: LiveAttempt): void {
  const usage = settledUsage(live, true, {});
  endAttempt(draft, node, live, { outcome: 'accepted', next: { state: 'running' }, usage, command: {} });
}

/** Ends the live attempt of a node whose end is known from elsewhere. What it used beyond its reservation is not. */
export function endFromOutside(
  draft: Draft,
  node: Node,
  live: LiveAttempt,
  settled: { readonly state: SettledState } & Pick<Finish, 'outputs' | 'error'>,
): void {
  const { state, ...command } = settled;
  const usage = settledUsage(live, state === 'succeeded', {});
  endAttempt(draft, node, live, { outcome: state, next: { state }, usage, command });
}

function holdForFailure(draft: Draft, spec: NodeSpec, command: Finish): void {
  const name = spec.name ?? spec.id;
  const timeout = spec.timeoutMs === undefined ? '' : ` after ${spec.timeoutMs / 1000} s`;
  const why =
    command.outcome === 'timed_out'
      ? `it was stopped${timeout}, its time limit`
      : (command.error?.message ?? command.outcome);
  if (spec.after?.evenIfFailed === true) {
    declaredCheckpoint(draft, spec, { ...spec.after, summary: why });
  }
  checkpointNow(draft, {
    type: 'blocked',
    summary: fitSummary(`step '${name}' failed: ${why}`),
    node: spec,
    reasonCodes: [command.error?.code ?? 'E_ADAPTER_FAIL'],
  });
  holdIfPossible(draft, 'error');
}

/** Recovery found an attempt without an end. Never repeated silently (I5): the outcome is on record first. */
export function interruptAttempt(draft: Draft, command: Extract<Command, { type: 'interrupt' }>): void {
  const { state } = draft;
  const { node, live } = requireAttempt(state, command);
  const { spec } = node;
  const { found, reason } = command;
  const canceled = node.state === 'canceled';
  const fails = found === 'unknown' && spec.onInterrupt === 'fail';
  const usage = found === 'not_started' ? live.charged : settledUsage(live, false, {});
  endAttempt(draft, node, live, {
    outcome: found,
    next: { state: canceled ? 'canceled' : fails ? 'failed' : 'queued' },
    usage,
    command: {
      error: found === 'unknown' ? unknownOutcome(reason) : { code: 'E_LEASE_CONFLICT', message: reason },
    },
  });
  if (canceled || fails || found === 'not_started' || spec.onInterrupt === 'rerun')
    return conclude(draft, node.parent);
  holdForUnknown(draft, spec, reason);
}

const STOPPED = 'it was stopped before it ended';

function unknownOutcome(message: string): AttemptError {
  return { code: 'E_OUTCOME_UNKNOWN', message };
}

function holdForUnknown(draft: Draft, spec: NodeSpec, reason: string): void {
  checkpointNow(draft, {
    type: 'blocked',
    summary: fitSummary(`outcome of step '${spec.name ?? spec.id}' is unknown: ${reason}`),
    node: spec,
    reasonCodes: ['E_OUTCOME_UNKNOWN'],
    requiredAction: {
      kind: 'outcome',
      instructions: 'find out whether the step took effect before it runs again',
    },
  });
  holdIfPossible(draft, 'outcome_unknown');
}

function requireAttempt(state: RunState, ref: AttemptRef): { node: Node; live: LiveAttempt } {
  const node = state.nodes.get(ref.node);
  if (node?.live?.attempt !== ref.attempt) {
    refuse('E_LEASE_CONFLICT', `attempt ${ref.attempt} of node '${ref.node}' is not live`, {
      node: ref.node,
      attempt: ref.attempt,
    });
  }
  // The lease of a canceled run is gone with its root; whoever cleans up may settle what was still running.
  if (node.state !== 'canceled') requireEpoch(state, ref.node, ref.epoch);
  return { node, live: node.live };
}

function endAttempt(
  draft: Draft,
  node: Node,
  live: LiveAttempt,
  end: { outcome: AttemptOutcome; next: NextState; usage: Usage; command: Pick<Finish, 'outputs' | 'error'> },
): void {
  const { outputs, error } = end.command;
  draft.emit({
    type: 'attempt_ended',
    node: node.spec.id,
    attempt: live.attempt,
    outcome: end.outcome,
    next: end.next,
    usage: end.usage,
    total: addUsage(usageAt(draft.state, draft.ctx.nowMs), subtractUsage(end.usage, live.charged)),
    ...(outputs === undefined ? {} : { outputs }),
    ...(error === undefined ? {} : { error }),
  });
}

/** The reservation as far as it was used, and what the work reported; never less than was charged while it ran. */
function settledUsage(live: LiveAttempt, succeeded: boolean, reported: Partial<Usage>): Usage {
  const base = addUsage(NO_USAGE, reportedUsage(reported));
  const atLeast: { -readonly [K in keyof Usage]: Usage[K] } = { ...base };
  for (const key of USAGE_KEYS) atLeast[key] = Math.max(base[key], live.charged[key]);
  const { reserved } = live;
  return addUsage(atLeast, {
    steps: succeeded ? reserved.steps : 0,
    toolCalls: reserved.toolCalls,
    retries: reserved.retries,
  });
}

function retries({ failures, spec: { retry } }: Node, { error }: Pick<Finish, 'error'>): boolean {
  if (retry?.only === 'retryable' && error?.retryable !== true) return false;
  return failures < (retry?.max ?? 0);
}

function nextAfter(draft: Draft, node: Node, command: Finish): NextState {
  if (node.state === 'canceled') return { state: 'canceled' };
  switch (command.outcome) {
    case 'succeeded':
      return { state: 'succeeded' };
    case 'accepted':
      return { state: 'running' };
    case 'canceled': // stopped with its worker, not with the run: it will be started again, if it may be
      return { state: node.spec.onInterrupt === 'fail' ? 'failed' : 'queued' };
    case 'over_budget':
      return { state: 'queued' };
    case 'failed':
    case 'timed_out':
      if (retries(node, command))
        return { state: 'queued', notBeforeMs: draft.ctx.nowMs + retryDelayMs(node, draft.ctx.random) };
      return { state: node.spec.onFailure === 'hold' ? 'queued' : 'failed' };
  }
}

/**
 * Delay before the next attempt, in milliseconds, in [1, cap]. Exponential with full jitter, so that what failed
 * together does not return together.
 */
function retryDelayMs(node: Node, random: () => number): number {
  const { backoffMs, capMs } = node.spec.retry ?? { backoffMs: 1000, capMs: 60_000 };
  const ceiling = Math.min(capMs, backoffMs * 2 ** Math.min(node.failures, 30));
  return Math.max(1, Math.floor(random() * ceiling));
}
