/** Where the files of runs are kept, by flag and environment (docs/agents-artifacts.md). */
import { join } from 'node:path';
import type { PartFactory } from '../../doors/agents/control/service.ts';
import type { RunFiles } from '../../doors/agents/control/ports.ts';
import { openBlobStreams } from '../../store/open-blob-streams.ts';
import { setting } from '../environment.ts';
import type { CliContext, Flags } from '../command.ts';

export interface FilesChoices {
  /** Of the control plane. */
  readonly dir: string;
  note(text: string): void;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a place or credentials that are none */
export async function filesOfRuns(
  ctx: CliContext,
  flags: Flags,
  { dir, note }: FilesChoices,
): Promise<PartFactory & { readonly files: RunFiles }> {
  const { runFilesPart } = await import('../../doors/agents/control/files/part.ts');
  const place = flags.text('artifacts') ?? setting(ctx, 'REEVE_BLOBS_URL') ?? join(dir, 'files');
  const { blobs } = await openBlobStreams(place, { cwd: ctx.cwd, env: ctx.env });
  return runFilesPart({ blobs, note });
}
