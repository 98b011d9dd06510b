import { cancel as cancelJob, pause as pauseJob } from '../../doors/jobs/control.ts';
import type { CommandHandler } from '../command.ts';
import { actorOf } from '../context.ts';
import { fieldText } from '../output.ts';

function controlling(act: typeof pauseJob): CommandHandler {
  return async (ctx, { args, flags }) => {
    const state = await act(
      await ctx.jobs(),
      args[0] ?? '',
      actorOf(ctx, flags.text('approved-by')),
      flags.text('reason'),
    );
    return { json: state, text: [`job=${fieldText(state, 'job_id')} status=${fieldText(state, 'status')}`] };
  };
}

export const pause = controlling(pauseJob);
export const cancel = controlling(cancelJob);
