/** The private directory of a run. */
import { chmod, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Scratch {
  readonly root: string;
  /** What the command leaves here is redacted and kept. */
  readonly artifacts: string;
  /** Working directory of a run that has none of its own. */
  readonly work: string;
  /** A skill's copy. */
  readonly program: string;
}

export async function makeScratch(): Promise<Scratch> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'reeve-run-')));
  const [artifacts = '', work = '', program = ''] = ['artifacts', 'work', 'program'].map((name) =>
    join(root, name),
  );
  for (const path of [artifacts, work, program]) await mkdir(path, { mode: 0o700 });
  return { root, artifacts, work, program };
}

/** Never rejects: what a command made of its directory must not make its run fail. */
export async function removeScratch(root: string): Promise<void> {
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true, maxRetries: 3 });
  await remove()
    .catch(() => openFolders(root).then(remove))
    .catch(() => undefined);
}

/** A folder without permissions cannot be emptied. */
async function openFolders(path: string): Promise<void> {
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await openFolders(join(path, entry.name));
}
