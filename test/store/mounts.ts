/** File systems that a test can fill up or forbid to write. Only the administrator can mount one, and not everywhere. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';

/** @returns false where that is not possible. */
export function mountMemory(folder: string, megabytes: number): boolean {
  return spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', folder]).status === 0;
}

export function remount(folder: string, options: string): void {
  const { status, stderr } = spawnSync('/bin/mount', ['-o', `remount,${options}`, folder]);
  if (status !== 0) throw new Error(stderr.toString());
}

/** Also one that is still in use. */
export function unmount(folder: string): void {
  spawnSync('/bin/umount', ['-l', folder]);
}

/** Writes until there is not a page left. */
export function fillUp(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}
