import type { Command } from '../commands.ts';
import { isGated } from '../state.ts';
import { conclude } from './conclude.ts';
import { requireApproval } from './decision.ts';
import { recordFacts, type Draft } from './draft.ts';
import { requireEpoch } from './lease.ts';
import { askBefore, startable } from './start-attempt.ts';

/** Whoever may start a node may also turn it away: then it fails without an attempt. */
export function rejectNode(draft: Draft, command: Extract<Command, { type: 'reject' }>): void {
  const node = startable(draft.state, command.node);
  requireEpoch(draft.state, command.node, command.epoch);
  recordFacts(draft, command.facts);
  draft.emit({ type: 'node_settled', node: command.node, state: 'failed', error: command.error });
  conclude(draft, node.parent);
}

/** Gates exactly this node, and binds the arguments that it has now (I8). */
export function askAboutNode(draft: Draft, command: Extract<Command, { type: 'ask' }>): void {
  const { state } = draft;
  const node = startable(state, command.node);
  requireEpoch(state, command.node, command.epoch);
  if (isGated(state, node)) requireApproval(state, node.gate ?? 0);
  recordFacts(draft, command.facts);
  askBefore(draft, node, command);
}
