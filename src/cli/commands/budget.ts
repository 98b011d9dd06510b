import { checkBudget } from '../../doors/jobs/control.ts';
import type { CommandHandler } from '../command.ts';
import { limitsFrom } from '../jobs/limits.ts';

export const budgetCheck: CommandHandler = async (ctx, { args, flags }) => {
  await checkBudget(await ctx.jobs(), args[0] ?? '', limitsFrom(flags) ?? {});
  return { json: { result: 'within_budget' }, text: ['budget=within_limits'] };
};
