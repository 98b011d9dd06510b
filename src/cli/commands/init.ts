import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { resolveUserPath } from '../../doors/jobs/paths.ts';
import { exampleSpec } from '../../doors/jobs/example-spec.ts';
import { formatTime } from '../../doors/jobs/time.ts';
import { ReeveError } from '../../model/errors.ts';
import { makeFolder } from '../../store/make-folder.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';

export const init: CommandHandler = async (ctx, { args, flags }) => {
  const path = await resolveUserPath(flags.text('path') ?? args[0] ?? 'jobspec.yaml', ctx.cwd, 'path');
  const text = exampleSpec(formatTime(Date.now()), ctx.version, ctx.program);
  await writeExample(path, text, flags.on('force'));
  return { json: { jobspec_path: path }, text: [`jobspec=${escapeControls(path)}`] };
};

/** A file to start from. @throws ReeveError E_INVALID_INPUT_SCHEMA when it is there already, or cannot be written. */
export async function writeExample(path: string, text: string, force: boolean): Promise<void> {
  try {
    await makeFolder(dirname(path));
    await writeFile(path, text, { flag: force ? 'w' : 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === 'EEXIST' ? 'exists already; --force replaces it' : `cannot be written (${code})`;
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${path} ${what}`,
      { field: 'path', value: path },
      { cause },
    );
  }
}
