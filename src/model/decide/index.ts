/**
 * The pure core: `decide(state, command, ctx)` says which events a command causes, or why it is refused. It leaves the
 * state alone; `evolve` applies the events. Each command lives in the file of its kind beside this one.
 */
import { isFromOutside, type Command, type Context } from '../commands.ts';
import { unreachable, type Refusal } from '../errors.ts';
import type { RecordedEvent } from '../events.ts';
import type { RunState } from '../state.ts';
import { askAboutNode, rejectNode } from './admission.ts';
import { cancel, holdRun, pause } from './control.ts';
import { create, importRun } from './create.ts';
import { approve, emitCheckpoint } from './decision.ts';
import { Draft, recordFacts, refuse, Refused } from './draft.ts';
import { chargeAttempt, finishAttempt, interruptAttempt } from './end-attempt.ts';
import { claim, expireDead, release } from './lease.ts';
import { addNodes } from './nodes.ts';
import { expireNode, settleNode } from './settle.ts';
import { startAttempt } from './start-attempt.ts';

export type Decided =
  | { readonly ok: true; readonly events: readonly RecordedEvent[] }
  | { readonly ok: false; readonly refusal: Refusal };

export function decide(state: RunState, command: Command, ctx: Context): Decided {
  const draft = new Draft(state, ctx);
  try {
    carryOut(draft, command);
    return { ok: true, events: draft.events };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, refusal: error.refusal };
    throw error;
  }
}

function carryOut(draft: Draft, command: Command): void {
  const exists = draft.state.version > 0;
  if (command.type === 'create') return create(draft, command);
  if (command.type === 'import') return importRun(draft, command);
  if (!exists)
    refuse('E_INVALID_INPUT_SCHEMA', `unknown run '${draft.state.id}'`, { job_id: draft.state.id });
  if (isFromOutside(command, draft.state)) expireDead(draft);
  switch (command.type) {
    case 'add_nodes':
      return addNodes(draft, command);
    case 'claim':
      return claim(draft, command);
    case 'release':
      return release(draft, command);
    case 'start':
      return startAttempt(draft, command);
    case 'reject':
      return rejectNode(draft, command);
    case 'ask':
      return askAboutNode(draft, command);
    case 'charge':
      return chargeAttempt(draft, command);
    case 'finish':
      return finishAttempt(draft, command);
    case 'interrupt':
      return interruptAttempt(draft, command);
    case 'settle':
      return settleNode(draft, command);
    case 'emit_checkpoint':
      return emitCheckpoint(draft, command);
    case 'approve':
      return approve(draft, command);
    case 'pause':
      return pause(draft, command);
    case 'cancel':
      return cancel(draft, command);
    case 'hold':
      return holdRun(draft, command);
    case 'expire':
      return expireNode(draft, command);
    case 'record':
      return recordFacts(draft, [command]);
    default:
      return unreachable(command);
  }
}
