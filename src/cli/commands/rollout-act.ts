/** `reeve rollout promote|abort|pause|resume|begin`: what a person decides about a rollout. */
import { ReeveError } from '../../model/errors.ts';
import type { RolloutView } from '../../doors/agents/wire/rollouts.ts';
import type { CommandHandler } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { shownRollout } from './rollout-show.ts';
import { waitFor } from './rollout-wait.ts';

export function rolloutAct(verb: 'promote' | 'abort' | 'pause' | 'resume' | 'begin'): CommandHandler {
  return async (ctx, { args: [id = ''], flags }) => {
    const reason = flags.text('reason')?.trim() ?? '';
    if (reason === '')
      throw new ReeveError('E_USAGE', `rollout ${verb} needs --reason: it is audited`, {
        flag: '--reason',
      });
    const address = await controlAddress(ctx, flags);
    const expected = flags.text('expected-state');
    const { json } = await askControl(ctx, address, {
      method: 'POST',
      path: `/rollouts/${encodeURIComponent(id)}/${verb === 'begin' ? 'start' : verb}`,
      json: {
        reason,
        ...(expected === undefined ? {} : { expected_state: expected }),
        ...(verb === 'promote' && flags.on('override') ? { override: true } : {}),
      },
    });
    if (verb !== 'promote' || !flags.on('wait')) return shownRollout(ctx, json as RolloutView);
    return waitFor(ctx, address, { id, until: 'end', timeoutS: flags.number('timeout') });
  };
}
