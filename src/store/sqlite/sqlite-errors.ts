import { ReeveError } from '../../model/errors.ts';

/** What a failure of SQLite means to the user of a store. Anything unexpected stays what it is: a defect. */
export function storeError(error: unknown, file: string): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (error instanceof ReeveError || typeof code !== 'string') return error;
  const say = (name: ConstructorParameters<typeof ReeveError>[0], what: string): ReeveError =>
    new ReeveError(name, `${what}: ${(error as Error).message}`, { file, cause: code }, { cause: error });
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
    return say('E_STORE_BUSY', 'the store is busy');
  // The shared index beside the log cannot grow: SQLite has no other word for it.
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE' || code === 'ENOSPC')
    return say('E_STORE_FULL', 'the disk of the store is full');
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
    return say('E_STORE_CORRUPT', 'the store is damaged');
  if (
    code.startsWith('SQLITE_CANTOPEN') ||
    code.startsWith('SQLITE_READONLY') ||
    code.startsWith('SQLITE_PERM') ||
    code.startsWith('SQLITE_AUTH') ||
    code.startsWith('SQLITE_IOERR') ||
    ['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EEXIST', 'EIO'].includes(code)
  ) {
    return say('E_STORE_UNAVAILABLE', 'the store cannot be used');
  }
  return error;
}
