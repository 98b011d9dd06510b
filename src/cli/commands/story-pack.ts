/** Which pack a story is read from. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJob } from '../../doors/jobs/pack.ts';
import type { Trust } from '../../evidence/replay.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, Flags } from '../command.ts';
import { outDirOf, packNamed } from './verify.ts';

/**
 * A file that is there, or the pack of a job in the output directory; where there is none, one that is made of the store
 * for as long as it is used.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for what is neither; what `exportJob` throws.
 */
export async function withPack<T>(
  ctx: CliContext,
  word: string,
  flags: Flags,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const { path, jobId } = await packNamed(ctx, word, outDirOf(ctx, flags));
  if (jobId === undefined || (await isThere(path))) return use(path);
  if (ctx.postgres === undefined && !(await isThere(ctx.storeRoot))) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `there is no pack of ${jobId} at ${path}, and no store at ${ctx.storeRoot}`,
      { job_id: jobId, path },
    );
  }
  const folder = await mkdtemp(join(tmpdir(), 'reeve-pack-'));
  try {
    const pack = await exportJob(await ctx.jobs(), jobId, { outDir: folder, key: 'none' });
    return await use(pack.path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function trustOf(flags: Flags): Trust {
  return flags.on('no-verify') ? 'no-verify' : 'verify';
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
