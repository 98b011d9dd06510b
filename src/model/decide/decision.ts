import type { Command } from '../commands.ts';
import { CHECKPOINT_TYPES } from '../node.ts';
import type { RunState } from '../state.ts';
import { isTerminal, sameStanding, type Standing } from '../transitions.ts';
import { checkpointNow, SUMMARY_BYTES_MAX, utf8Length } from './checkpoint.ts';
import { conclude, concludeAll } from './conclude.ts';
import { refuse, type Draft } from './draft.ts';

export function emitCheckpoint(draft: Draft, command: Extract<Command, { type: 'emit_checkpoint' }>): void {
  const { state } = draft;
  const { checkpoint: type, requiredAction } = command;
  if (isTerminal(state.standing)) {
    refuse(
      'E_INVALID_STATE_TRANSITION',
      `run ${state.id} is ${state.standing.phase}: no checkpoint can be added`,
      {
        job_id: state.id,
        from: state.standing.phase,
      },
    );
  }
  if (!CHECKPOINT_TYPES.includes(type))
    refuse('E_INVALID_INPUT_SCHEMA', `unknown checkpoint type '${type}'`, { type });
  const summary = command.summary.trim();
  const bytes = utf8Length(summary);
  if (bytes < 1 || bytes > SUMMARY_BYTES_MAX) {
    refuse('E_INVALID_INPUT_SCHEMA', `a summary has 1 to ${SUMMARY_BYTES_MAX} bytes, this one has ${bytes}`, {
      bytes,
      limit: SUMMARY_BYTES_MAX,
    });
  }
  const isDecision = type === 'decision-needed';
  const action = {
    kind: requiredAction?.kind?.trim() ?? '',
    instructions: requiredAction?.instructions?.trim() ?? '',
  };
  if (isDecision && action.kind === '' && action.instructions === '') {
    refuse('E_INVALID_INPUT_SCHEMA', 'a decision-needed checkpoint must say which action is required', {
      type,
    });
  }
  const stops = isDecision && state.standing.phase === 'running';
  const standing: Standing = stops ? { phase: 'held', hold: 'decision' } : state.standing;
  if (command.standing !== undefined && !sameStanding(command.standing, standing)) {
    refuse('E_INVALID_INPUT_SCHEMA', 'the given status contradicts the status that the run will have', {
      given: command.standing,
      actual: standing,
    });
  }
  checkpointNow(draft, {
    type,
    summary,
    standing,
    ...(command.delta === undefined ? {} : { delta: command.delta }),
    ...(requiredAction === undefined ? {} : { requiredAction }),
    reasonCodes: command.reasonCodes ?? [],
  });
  if (stops) draft.emit({ type: 'phase_changed', from: state.standing, to: standing });
}

export function approve(draft: Draft, command: Extract<Command, { type: 'approve' }>): void {
  const { state } = draft;
  const { checkpoint, by, reason } = command;
  const id = `cp_${checkpoint}`;
  if (reason.trim() === '')
    refuse('E_INVALID_INPUT_SCHEMA', 'an approval needs a reason', { checkpoint_id: id });
  const decision = state.decisions.get(checkpoint);
  if (decision === undefined) {
    refuse('E_INVALID_INPUT_SCHEMA', `${id} is not a decision-needed checkpoint of ${state.id}`, {
      checkpoint_id: id,
    });
  }
  if (command.binds !== undefined && command.binds !== decision.binds) {
    refuse('E_CHECKPOINT_APPROVAL_REQUIRED', `${id} is about something else than what was reviewed`, {
      checkpoint_id: id,
      expected: command.binds,
      actual: decision.binds,
    });
  }
  draft.emit({
    type: 'approval_recorded',
    checkpoint,
    by,
    reason: reason.trim(),
    binds: decision.binds, // I8
    ...(command.signature === undefined ? {} : { signature: command.signature }),
  });
  const { standing } = draft.state;
  const waits = standing.phase === 'held' && standing.hold === 'decision';
  const isLast = state.spec.onApproval === 'continue' && waits && draft.state.openDecisions === 0;
  if (isLast) {
    draft.emit({
      type: 'phase_changed',
      from: standing,
      to: { phase: 'running' },
      by,
      reason: `${id} approved`,
    });
  }
  if (isLast) concludeAll(draft);
  else conclude(draft, undefined);
}

/** Refuses whatever may only come after the approval of a checkpoint (I8). */
export function requireApproval(state: RunState, checkpoint: number): never {
  return refuse(
    'E_CHECKPOINT_APPROVAL_REQUIRED',
    `checkpoint cp_${checkpoint} of ${state.id} is not approved`,
    {
      checkpoint_id: `cp_${checkpoint}`,
    },
  );
}
