import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isJobId } from '../../doors/jobs/job-id.ts';
import { jobpackPath } from '../../doors/jobs/pack.ts';
import { verifyResult } from '../../doors/jobs/results.ts';
import { verifyJobpack } from '../../evidence/verify.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { escapeControls } from '../output.ts';

export const verify: CommandHandler = async (ctx, { args, flags }) => {
  const { path } = await packNamed(ctx, args[0] ?? '', outDirOf(ctx, flags));
  const verified = await verifyJobpack(path);
  const { jobId, manifestSha256, filesVerified } = verified;
  return {
    json: verifyResult(verified),
    text: [
      `verified job_id=${escapeControls(jobId)} manifest=sha256:${manifestSha256} files=${filesVerified}`,
    ],
  };
};

export function outDirOf(ctx: CliContext, flags: Flags): string {
  const given = flags.text('out-dir');
  if (given === undefined) return ctx.outDir;
  if (given.trim() === '' || given.includes('\0')) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--out-dir needs a path', {
      flag: '--out-dir',
      value: given,
    });
  }
  return resolve(ctx.cwd, given);
}

/**
 * What `<job|path>` means: a file that is there wins; otherwise it is a job, whose pack is in the output directory.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for what is neither.
 */
export async function packNamed(
  ctx: CliContext,
  word: string,
  outDir: string,
): Promise<{ readonly path: string; readonly jobId?: string }> {
  const path = resolve(ctx.cwd, word);
  const found = word === '' ? undefined : await stat(path).catch(() => undefined);
  if (found !== undefined && !found.isDirectory()) return { path };
  if (isJobId(word)) return { path: jobpackPath(outDir, word), jobId: word };
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${JSON.stringify(word)} is neither a file nor a job id`, {
    value: word.slice(0, 4096),
  });
}
