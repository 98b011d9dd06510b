import type { Command } from '../commands.ts';
import { isTerminal, mayChange, type HoldKind, type Standing } from '../transitions.ts';
import { checkpointNow, fitSummary } from './checkpoint.ts';
import { refuse, type Draft } from './draft.ts';

/** A standing as one word, for messages. */
export function standingText(standing: Standing): string {
  return standing.phase === 'held' ? `held (${standing.hold})` : standing.phase;
}

/** Moves the run, if the table allows it. */
export function changeStanding(draft: Draft, to: Standing, why: { by?: string; reason?: string } = {}): void {
  const from = draft.state.standing;
  if (!mayChange(from, to)) {
    refuse(
      'E_INVALID_STATE_TRANSITION',
      `run ${draft.state.id} is ${standingText(from)} and cannot become ${standingText(to)}`,
      {
        job_id: draft.state.id,
        from: standingText(from),
        to: standingText(to),
      },
    );
  }
  draft.emit({ type: 'phase_changed', from, to, ...why });
}

/** Holds the run if it may be. Also a paused one, for an error: whoever resumes it must see that it would have stopped. */
export function holdIfPossible(draft: Draft, hold: HoldKind): void {
  const from = draft.state.standing;
  const to: Standing = { phase: 'held', hold };
  if (mayChange(from, to)) draft.emit({ type: 'phase_changed', from, to });
}

export function pause(draft: Draft, command: Extract<Command, { type: 'pause' }>): void {
  changeStanding(draft, { phase: 'held', hold: 'paused' }, whyOf(command));
}

export function cancel(draft: Draft, command: Extract<Command, { type: 'cancel' }>): void {
  changeStanding(draft, { phase: 'canceled' }, whyOf(command));
}

export function holdRun(draft: Draft, command: Extract<Command, { type: 'hold' }>): void {
  const { summary, reasonCodes } = command;
  if (isTerminal(draft.state.standing)) changeStanding(draft, { phase: 'held', hold: command.hold });
  holdIfPossible(draft, command.hold);
  checkpointNow(draft, { type: 'blocked', summary: fitSummary(summary), reasonCodes });
}

function whyOf(command: { readonly by: string; readonly reason?: string }): { by: string; reason?: string } {
  return { by: command.by, ...(command.reason === undefined ? {} : { reason: command.reason }) };
}
