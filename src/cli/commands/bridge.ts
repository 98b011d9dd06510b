import { workItem as makeWorkItem } from '../../doors/jobs/work-item.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { outDirOf } from './verify.ts';

export const workItem: CommandHandler = async (ctx, { args, flags }) => {
  const checkpoint = flags.text('checkpoint');
  if (checkpoint === undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'bridge work-item needs --checkpoint', {
      flag: '--checkpoint',
    });
  }
  const template = flags.text('template');
  const made = await makeWorkItem(await ctx.jobs(), args[0] ?? '', checkpoint, {
    outDir: outDirOf(ctx, flags),
    dryRun: flags.on('dry-run'),
    ...(template === undefined ? {} : { template }),
  });
  const { payload, json_path: path } = made;
  return {
    json: made,
    text: [
      `job_id=${payload.job_id} checkpoint=${payload.checkpoint_id} type=${payload.checkpoint_type}`,
      ...(path === undefined ? [] : [`work_item=${escapeControls(path)}`]),
      'next_commands:',
      ...payload.next_commands.map((command) => `- ${command}`),
    ],
  };
};
