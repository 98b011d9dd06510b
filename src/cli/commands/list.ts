import { listJobs } from '../../doors/jobs/read.ts';
import { parseStatus } from '../../doors/jobs/map.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { renderList } from '../ui/list.ts';

export const list: CommandHandler = async (ctx, { flags }) => {
  const statuses = flags.texts('status').map(parseStatus);
  const limit = flags.number('limit') ?? 50;
  if (limit < 1 || limit > 500) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--limit must be 1 to 500, not ${limit}`, {
      flag: '--limit',
      value: limit,
    });
  }
  const cursor = flags.text('cursor');
  const page = await listJobs(await ctx.jobs(), {
    statuses,
    limit,
    ...(cursor === undefined ? {} : { cursor }),
  });
  return { json: page, text: renderList(ctx, page) };
};
