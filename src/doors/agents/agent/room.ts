/** Whether a machine has room for a run: one that has none would take tasks only to use up their attempts. */
import { statfs } from 'node:fs/promises';

/** For the documents of a run and its place in the spool; its output may be much more, bytes. */
const ROOM_BYTES = 1_048_576;

/** @returns the first that is full; undefined: there is room, or nobody can tell, as of a folder that is still to be made */
export async function folderWithoutRoom(folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const found = await statfs(folder).catch(() => undefined);
    if (found === undefined) continue;
    const { bavail, bsize, files, ffree } = found;
    // Some file systems do not count files, and say 0 of 0.
    if (bavail * bsize < ROOM_BYTES || (files > 0 && ffree === 0)) return folder;
  }
  return undefined;
}
