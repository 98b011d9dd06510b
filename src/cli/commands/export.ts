import { exportJob, type ExportedPack } from '../../doors/jobs/pack.ts';
import { exportResult } from '../../doors/jobs/results.ts';
import { footerText } from '../../evidence/receipt.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { packSigningKey } from '../signing.ts';
import { outDirOf } from './verify.ts';

export const exportPack: CommandHandler = async (ctx, { args, flags }) => {
  const capture = flags.text('capture');
  const key = await packSigningKey(ctx, flags);
  const pack = await exportJob(await ctx.jobs(), args[0] ?? '', {
    outDir: outDirOf(ctx, flags),
    ...(capture === undefined ? {} : { capture }),
    unsafeRawCapture: flags.on('unsafe-raw-capture'),
    redact: flags.texts('redact'),
    ...(key === undefined ? {} : { key }),
  });
  return { json: exportResult(pack), text: packLines(pack) };
};

/** The three lines that name a pack (contract wrkr §b), and one for its signature. */
export function packLines(pack: ExportedPack): readonly string[] {
  const { jobId, path, signed } = pack;
  return [
    `job_id=${jobId}`,
    `jobpack=${escapeControls(path)}`,
    `footer=${footerText(pack)}`,
    ...(signed === undefined ? [] : [`signature=${escapeControls(signed.sidecar)} key=${signed.keyId}`]),
  ];
}
