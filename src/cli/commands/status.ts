import { statusResponse } from '../../doors/jobs/read.ts';
import type { CommandHandler } from '../command.ts';
import { renderStatus } from '../ui/status.ts';
import { fieldText } from '../output.ts';

export const status: CommandHandler = async (ctx, { args }) => {
  const [id = ''] = args;
  const jobs = await ctx.jobs();
  const json = await statusResponse(jobs, id);
  if (ctx.json) return { json };
  if (ctx.program === 'wrkr') {
    const lease = json['lease'] as { worker_id: string; expires_at: string } | undefined;
    const held =
      lease === undefined ? '' : ` lease_worker=${lease.worker_id} lease_expires=${lease.expires_at}`;
    return { text: [`job=${fieldText(json, 'job_id')} status=${fieldText(json, 'status')}${held}`] };
  }
  return { text: await renderStatus(ctx, jobs, fieldText(json, 'job_id')) };
};
