import { approve as approveDecision } from '../../doors/jobs/control.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { actorOf } from '../context.ts';
import { isSigningAsked, signingKey } from '../signing.ts';

export const approve: CommandHandler = async (ctx, { args, flags }) => {
  const checkpoint = flags.text('checkpoint');
  if (checkpoint === undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'approve needs --checkpoint; checkpoint list shows them', {
      flag: '--checkpoint',
    });
  }
  const binds = flags.text('binds');
  const key = isSigningAsked(flags) ? await signingKey(ctx, flags) : undefined;
  const record = await approveDecision(await ctx.jobs(), {
    jobId: args[0] ?? '',
    checkpoint,
    by: actorOf(ctx, flags.text('approved-by')),
    reason: flags.text('reason') ?? '',
    ...(binds === undefined ? {} : { binds }),
    ...(key === undefined ? {} : { key }),
  });
  const signed = key === undefined ? '' : ` signed_by=${key.publicKey.keyId}`;
  return { json: record, text: [`approved checkpoint=${checkpoint}${signed}`] };
};
