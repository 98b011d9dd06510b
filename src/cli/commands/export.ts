import { exportJob } from '../../doors/jobs/pack.ts';
import { exportResult } from '../../doors/jobs/results.ts';
import type { WrittenPack } from '../../evidence/jobpack.ts';
import { footerText } from '../../evidence/receipt.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { outDirOf } from './verify.ts';

export const exportPack: CommandHandler = async (ctx, { args, flags }) => {
  const capture = flags.text('capture');
  const pack = await exportJob(await ctx.jobs(), args[0] ?? '', {
    outDir: outDirOf(ctx, flags),
    ...(capture === undefined ? {} : { capture }),
    unsafeRawCapture: flags.on('unsafe-raw-capture'),
    redact: flags.texts('redact'),
  });
  return { json: exportResult(pack), text: packLines(pack) };
};

/** The three lines that name a pack (contract wrkr §b). */
export function packLines(pack: WrittenPack): readonly string[] {
  return [`job_id=${pack.jobId}`, `jobpack=${escapeControls(pack.path)}`, `footer=${footerText(pack)}`];
}
