/** `reeve rollout status|list`. */
import type { RolloutView } from '../../doors/agents/wire/rollouts.ts';
import type { CliContext, CommandHandler, CommandResult } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { rolloutLines, rolloutTable } from '../ui/rollout.ts';
import { widthOf } from '../ui/screen.ts';
import { painted } from './runs.ts';

export const rolloutStatus: CommandHandler = async (ctx, { args: [id = ''], flags }) => {
  const address = await controlAddress(ctx, flags);
  const { json } = await askControl(ctx, address, {
    method: 'GET',
    path: `/rollouts/${encodeURIComponent(id)}`,
  });
  return shownRollout(ctx, json as RolloutView);
};

export const rolloutList: CommandHandler = async (ctx, { flags }) => {
  const query = new URLSearchParams();
  for (const name of ['state', 'environment', 'limit']) {
    const value = flags.text(name);
    if (value !== undefined) query.set(name, value);
  }
  const address = await controlAddress(ctx, flags);
  const { json } = await askControl(ctx, address, { method: 'GET', path: `/rollouts?${query.toString()}` });
  const { rollouts } = json as { readonly rollouts: readonly RolloutView[] };
  return { json, text: painted(ctx, rolloutTable(rollouts, Date.now(), widthOf(ctx.stdout))) };
};

export function shownRollout(ctx: CliContext, rollout: RolloutView): CommandResult {
  return { json: rollout, text: painted(ctx, rolloutLines(rollout, Date.now(), widthOf(ctx.stdout))) };
}
