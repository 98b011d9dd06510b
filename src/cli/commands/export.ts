import { exportJob } from '../../doors/jobs/pack.ts';
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
  const { jobId, path, manifestSha256 } = pack;
  return {
    json: { job_id: jobId, path, manifest_sha256: manifestSha256, footer: footerText(pack) },
    text: packLines(pack),
  };
};

/** The three lines that name a pack (contract wrkr §b). */
export function packLines(pack: WrittenPack): readonly string[] {
  return [`job_id=${pack.jobId}`, `jobpack=${escapeControls(pack.path)}`, `footer=${footerText(pack)}`];
}
