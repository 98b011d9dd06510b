/**
 * Making folders with those above them. `mkdir` with `recursive` never returns, and spins, where a folder that is there
 * answers ENOENT to whatever is made in it, as `/proc` does; not even a signal ends the process then.
 */
import { mkdirSync, statSync } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * @param mode of the folders that are made.
 * @returns the topmost folder that was made; undefined when all were there.
 * @throws the error of the file system.
 */
export async function makeFolder(path: string, mode?: number): Promise<string | undefined> {
  try {
    return await makeOne(path, mode);
  } catch (error) {
    if (!lacksParent(error, path)) throw error;
  }
  const above = await makeFolder(dirname(path), mode);
  const made = await makeOne(path, mode);
  return above ?? made;
}

/** The same, and all of them are there after a crash, too. */
export async function makeDurableFolder(path: string, mode: number): Promise<void> {
  const made = await makeFolder(path, mode);
  if (made === undefined) return;
  // A new folder is known to its parent only after a sync, and so on down.
  for (let at = path; at !== dirname(made); at = dirname(at)) await syncFolder(dirname(at));
}

/** Makes the names in it durable: files that were made, renamed or removed. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The same as `makeFolder`, at once. */
export function makeFolderSync(path: string): void {
  try {
    makeOneSync(path);
  } catch (error) {
    if (!lacksParent(error, path)) throw error;
    makeFolderSync(dirname(path));
    makeOneSync(path);
  }
}

async function makeOne(path: string, mode?: number): Promise<string | undefined> {
  try {
    await mkdir(path, mode === undefined ? {} : { mode });
    return path;
  } catch (error) {
    // EEXIST as a rule; for the root and read-only file systems some say EROFS, EISDIR, EACCES first.
    if (lacksParent(error, path) || !(await stat(path).catch(() => undefined))?.isDirectory()) throw error;
    return undefined;
  }
}

function makeOneSync(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (lacksParent(error, path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw error;
  }
}

function lacksParent(error: unknown, path: string): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(path) !== path;
}
