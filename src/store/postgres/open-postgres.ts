import type { PostgresAddress } from '../store-address.ts';
import { Connections, type ConnectionsOptions, type Patience } from './connections.ts';
import { PostgresBlobs } from './postgres-blobs.ts';
import { PostgresPlaces } from './postgres-places.ts';
import { PostgresRunStore } from './postgres-run-store.ts';
import { prepareDatabase } from './prepare.ts';

export interface OpenPostgresOptions extends ConnectionsOptions {
  /** Makes the schema and its tables when there are none; otherwise that is E_STORE_UNAVAILABLE. */
  readonly create?: boolean;
  readonly pollMs?: number;
  /** For a server that is starting. Default: 5 s. */
  readonly patience?: Patience | undefined;
}

export interface PostgresStore {
  readonly runs: PostgresRunStore;
  readonly blobs: PostgresBlobs;
  readonly places: PostgresPlaces;
  close(): Promise<void>;
}

/** @throws ReeveError E_STORE_UNAVAILABLE, E_STORE_BUSY, E_STORE_NEWER (nothing was changed then). */
export async function openPostgres(
  address: PostgresAddress,
  { create = true, pollMs, patience, ...options }: OpenPostgresOptions = {},
): Promise<PostgresStore> {
  const connections = new Connections(address, options);
  try {
    await prepareDatabase(connections, create, patience);
  } catch (error) {
    await connections.close();
    throw error;
  }
  const runs = new PostgresRunStore(connections, pollMs);
  return {
    runs,
    blobs: new PostgresBlobs(connections),
    places: new PostgresPlaces(connections),
    close: () => runs.close(),
  };
}
