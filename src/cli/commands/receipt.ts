import { exportJob } from '../../doors/jobs/pack.ts';
import { footerText } from '../../evidence/receipt.ts';
import { verifyJobpack } from '../../evidence/verify.ts';
import type { CommandHandler } from '../command.ts';
import { packSigningKey } from '../signing.ts';
import { outDirOf, packNamed } from './verify.ts';

export const receipt: CommandHandler = async (ctx, { args, flags }) => {
  const outDir = outDirOf(ctx, flags);
  const { path, jobId } = await packNamed(ctx, args[0] ?? '', outDir);
  if (jobId !== undefined) {
    const key = await packSigningKey(ctx, flags);
    await exportJob(await ctx.jobs(), jobId, {
      outDir,
      ...(key === undefined ? {} : { key }),
    });
  }
  const verified = await verifyJobpack(path);
  const footer = footerText(verified);
  return {
    json: { job_id: verified.jobId, manifest_sha256: verified.manifestSha256, footer },
    text: [footer],
  };
};
