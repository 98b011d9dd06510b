/** Each test gets a folder and a rig of its own, and leaves nothing behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import { FilesRig } from './rig.ts';

interface Fixtures {
  readonly dir: string;
  readonly rig: FilesRig;
}

export const test = base.extend<Fixtures>({
  // eslint-disable-next-line no-empty-pattern -- the first parameter must be a pattern
  dir: async ({}, use) => {
    const dir = await mkdtemp(join(tmpdir(), 'reeve-files-'));
    await use(dir);
    await rm(dir, { recursive: true, force: true });
  },
  /** With one run `r1` under way at agent `a1` with lease `l1`. */
  rig: async ({ dir }, use) => {
    const rig = await FilesRig.open(dir);
    rig.runs.lend('default', 'r1', 'a1', 'l1');
    await use(rig);
    await rig.stop();
  },
});
