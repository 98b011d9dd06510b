/**
 * A store: a directory with `reeve.sqlite` and `blobs/`, for this user only, or a PostgreSQL database. The driver of the
 * other one is not loaded.
 */
import { accessSync, chmodSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import type { BlobStore } from './blob-store.ts';
import { makeFolderSync } from './make-folder.ts';
import { DirectoryBlobs } from './blobs/directory-blobs.ts';
import type { RunStore } from './run-store.ts';
import { DATABASE_NAME, SharedRunStore } from './sqlite/shared-run-store.ts';
import { placeOf } from './place.ts';
import { storeError } from './sqlite/sqlite-errors.ts';
import type { Patience } from './postgres/connections.ts';
import type { PostgresAddress } from './store-address.ts';

export interface Store {
  readonly runs: RunStore;
  readonly blobs: BlobStore;
  /** Of a store that several machines share: this one's name in it, made on first use, and where effects were begun. */
  readonly shared?: { readonly place: string; readonly places: Places };
  close(): Promise<void>;
}

interface Places {
  claim(effectKey: string, place: string): Promise<string>;
  forget(effectKey: string): Promise<void>;
}

export interface OpenStoreOptions {
  /** Then `root` only keeps what belongs to this machine. */
  readonly postgres?: PostgresAddress | undefined;
  /** Makes the directory and the database when there are none; otherwise that is E_STORE_UNAVAILABLE. */
  readonly create?: boolean;
  /** How long a write waits for other processes before E_STORE_BUSY, milliseconds. */
  readonly busyMs?: number;
  /** How a database server is waited for that does not answer yet. Default: 5 s, without a word. */
  readonly patience?: Patience | undefined;
}

/**
 * Opens the store below `root`. Where it may not be written it can still be read.
 * @throws ReeveError E_STORE_UNAVAILABLE, E_STORE_CORRUPT, E_STORE_BUSY, E_STORE_NEWER (nothing was changed then).
 */
export async function openStore(
  root: string,
  { create = true, busyMs, postgres, patience }: OpenStoreOptions = {},
): Promise<Store> {
  if (postgres !== undefined) return openShared(root, postgres, create, { busyMs, patience });
  const file = join(root, DATABASE_NAME);
  try {
    if (create) makeRoot(root);
    const runs = new SharedRunStore(root, {
      access: accessTo(root, file, create),
      ...(busyMs === undefined ? {} : { busyMs }),
    });
    const blobs = new DirectoryBlobs(join(root, 'blobs'));
    return { runs, blobs, close: () => runs.close() };
  } catch (error) {
    throw storeError(error, root);
  }
}

async function openShared(
  root: string,
  address: PostgresAddress,
  create: boolean,
  { busyMs, patience }: { busyMs: number | undefined; patience: Patience | undefined },
): Promise<Store> {
  const { openPostgres } = await import('./postgres/open-postgres.ts');
  const { places, ...store } = await openPostgres(address, {
    create,
    patience,
    ...(busyMs === undefined ? {} : { busyMs }),
  });
  let known: string | undefined;
  const shared = {
    places,
    // Only who runs something needs a directory here.
    get place(): string {
      known ??= makePlace(root);
      return known;
    },
  };
  return { ...store, shared };
}

function makePlace(root: string): string {
  try {
    makeRoot(root);
    return placeOf(root);
  } catch (error) {
    throw storeError(error, root);
  }
}

function makeRoot(root: string): void {
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() === true) return;
  makeFolderSync(dirname(root));
  try {
    mkdirSync(root, { mode: 0o700 });
    chmodSync(root, 0o700); // whatever the umask
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    if (!isThere || !statSync(root).isDirectory()) throw error;
  }
}

function accessTo(root: string, file: string, create: boolean): 'write' | 'read' {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) {
    if (create) return 'write';
    throw new ReeveError('E_STORE_UNAVAILABLE', `there is no store at ${root}`, { file: root });
  }
  if (!found.isFile()) throw new ReeveError('E_STORE_CORRUPT', `${file} is not a file`, { file });
  return mayWrite(root) && mayWrite(file) ? 'write' : 'read';
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
