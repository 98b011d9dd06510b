import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Linux takes 107 bytes, macOS 103. */
const PATH_BYTES_MAX = 103;

/**
 * Where the writer of a store listens: `<root>/reeve.sock`, or, when that is too long for a socket,
 * `<temporary folder>/reeve-<hash of the root's real path>/s`. Others may write in the temporary folder: a folder there
 * that does not belong to the owner of the store, or that others may enter, is not used.
 *
 * @returns undefined when there is no safe place: every process then writes for itself.
 */
export function socketPath(root: string): string | undefined {
  const real = realpathSync(root);
  const near = join(real, 'reeve.sock');
  if (Buffer.byteLength(near) <= PATH_BYTES_MAX) return near;
  const name = createHash('sha256').update(real).digest('hex').slice(0, 24);
  const folder = join(tmpdir(), `reeve-${name}`);
  const far = join(folder, 's');
  if (Buffer.byteLength(far) > PATH_BYTES_MAX) return undefined;
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch {
    // There already, or not to be made: the next look says which.
  }
  const found = lstatSync(folder, { throwIfNoEntry: false });
  const owners = [process.getuid?.(), statSync(real).uid];
  if (found === undefined || !found.isDirectory() || (found.mode & 0o077) !== 0) return undefined;
  return owners.includes(found.uid) ? far : undefined;
}
