import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * The name of a directory that holds records of this machine, for stores that several machines share: made once and
 * kept in it. Whoever has the directory can find again what was started from it; nobody else can.
 * @throws an error of the file system when it can neither be read nor made.
 */
export function placeOf(root: string): string {
  const file = join(root, 'place');
  const known = readPlace(file);
  if (known !== undefined) return known;
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9.-]/g, '_')
    .slice(0, 60);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${host}.${randomBytes(6).toString('hex')}\n`, { mode: 0o600, flush: true });
  try {
    linkSync(draft, file); // of several processes one is first, and its name is whole at once
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readPlace(file) ?? host;
}

function readPlace(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim();
    return /^[A-Za-z0-9._-]{1,100}$/.test(text) ? text : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
