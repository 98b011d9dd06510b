/** `reeve rollout wait`, and `--wait` of others: for workflows, whose next step the exit code decides (contract agents §7). */
import { setTimeout as sleep } from 'node:timers/promises';
import { ROLLOUT_FINAL, type RolloutView } from '../../doors/agents/wire/rollouts.ts';
import type { ControlAddress } from '../../doors/agents/client/control-client.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandHandler, CommandResult } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { interruptedBy } from '../interrupt.ts';
import { shownRollout } from './rollout-show.ts';

const TIMED_OUT = 3;
const TIMEOUT_S = 3600;
const LOOK_MS = 1000;
/** For so long a control plane may be away, milliseconds: it is restarted, and nothing is lost. */
const AWAY_MS = 60_000;

export const rolloutWait: CommandHandler = async (ctx, { args: [id = ''], flags }) =>
  waitFor(ctx, await controlAddress(ctx, flags), {
    id,
    until: flags.on('until-end') ? 'end' : 'review',
    timeoutS: flags.number('timeout'),
  });

export interface Wait {
  readonly id: string;
  readonly until: 'review' | 'end';
  /** Default an hour. */
  readonly timeoutS: number | undefined;
}

/** Shows the rollout as it is then. @throws ReeveError E_SERVICE_UNAVAILABLE after a minute without an answer */
export async function waitFor(
  ctx: CliContext,
  address: ControlAddress,
  { id, until, timeoutS = TIMEOUT_S }: Wait,
): Promise<CommandResult> {
  const endMs = Date.now() + timeoutS * 1000;
  let awaySinceMs: number | undefined;
  let last: RolloutView | undefined;
  for (;;) {
    try {
      const { json } = await askControl(ctx, address, {
        method: 'GET',
        path: `/rollouts/${encodeURIComponent(id)}`,
      });
      last = json as RolloutView;
      awaySinceMs = undefined;
    } catch (error) {
      if (ctx.signal.aborted) break;
      const isAway = error instanceof ReeveError && error.code === 'E_SERVICE_UNAVAILABLE';
      awaySinceMs ??= Date.now();
      if (!isAway || Date.now() - awaySinceMs > AWAY_MS) throw error;
    }
    if (last !== undefined && isDone(last, until))
      return { ...shownRollout(ctx, last), exitCode: exitOf(last) };
    if (Date.now() >= endMs) {
      ctx.stderr.write(`rollout ${id} is ${last?.state ?? 'unknown'} after ${timeoutS} s; it goes on\n`);
      return { ...(last === undefined ? {} : shownRollout(ctx, last)), exitCode: TIMED_OUT };
    }
    await sleep(Math.min(LOOK_MS, Math.max(0, endMs - Date.now())), undefined, { signal: ctx.signal }).catch(
      () => undefined,
    );
    if (ctx.signal.aborted) break;
  }
  ctx.stderr.write(`interrupted; the rollout goes on: ${id}\n`);
  return interruptedBy(ctx.signal);
}

function isDone({ state }: RolloutView, until: Wait['until']): boolean {
  return ROLLOUT_FINAL.includes(state) || (until === 'review' && state === 'awaiting_review');
}

/** 0 completed, or a review of what passed; 1 aborted, failed, or a review of what did not. */
function exitOf({ state, verdict }: RolloutView): number {
  return state === 'completed' || (state === 'awaiting_review' && verdict?.verdict === 'pass') ? 0 : 1;
}
