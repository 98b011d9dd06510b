/** Where the files of runs are kept, by flag and environment (docs/agents-artifacts.md). */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PartFactory } from '../../doors/agents/control/service.ts';
import type { RunFiles } from '../../doors/agents/control/ports.ts';
import { ReeveError } from '../../model/errors.ts';
import { openBlobStreams, type OpenBlobs } from '../../store/open-blob-streams.ts';
import { setting } from '../environment.ts';
import type { CliContext, Flags } from '../command.ts';

export interface FilesChoices {
  /** Of the control plane. */
  readonly dir: string;
  note(text: string): void;
}

/** How long a place may take to say that it is none, milliseconds. */
const ASKED_MS = 5000;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a place or credentials that are none; E_STORE_UNAVAILABLE where it refuses them */
export async function filesOfRuns(
  ctx: CliContext,
  flags: Flags,
  { dir, note }: FilesChoices,
): Promise<PartFactory & { readonly files: RunFiles }> {
  const { runFilesPart } = await import('../../doors/agents/control/files/part.ts');
  const place = flags.text('artifacts') ?? setting(ctx, 'REEVE_BLOBS_URL') ?? join(dir, 'files');
  const opened = await openBlobStreams(place, { cwd: ctx.cwd, env: ctx.env });
  await requireUsable(opened);
  return runFilesPart({ blobs: opened.blobs, note });
}

/** One that refuses now refuses every upload; one that does not answer may come back, and uploads wait for it. */
async function requireUsable({ blobs, shown }: OpenBlobs): Promise<void> {
  const enough = new AbortController();
  const asked = blobs.list()[Symbol.asyncIterator]().next();
  try {
    await Promise.race([asked, delay(ASKED_MS, undefined, { signal: enough.signal })]);
  } catch (error) {
    const details = error instanceof ReeveError ? error.details : undefined;
    const { status, bucket } = details ?? {};
    const isRefused = bucket !== undefined || (Number(status) >= 400 && Number(status) < 500);
    if (isRefused)
      throw new ReeveError(
        'E_STORE_UNAVAILABLE',
        `${shown} cannot keep files: ${(error as Error).message}`,
        details,
        { cause: error },
      );
  } finally {
    asked.catch(() => undefined);
    enough.abort();
  }
}
