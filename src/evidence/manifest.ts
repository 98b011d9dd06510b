/** The manifest of a pack: every other entry with its hash, and a hash over itself (contract wrkr §f). */
import { canonicalJson } from '../model/canonical.ts';
import type { JsonObject } from '../model/json.ts';
import { compareBytes } from './entry-names.ts';
import { sha256 } from './hash.ts';

export const MANIFEST = 'manifest.json';
const NO_HASH = '0'.repeat(64);

export interface Manifest {
  readonly created_at: string;
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly job_id: string;
  readonly manifest_sha256: string;
  readonly producer_version: string;
  readonly schema_id: 'wrkr.jobpack_manifest';
  readonly schema_version: string;
}

/** What `manifest_sha256` has to be: the hash of the document as it is, with zeros in that place. */
export function manifestHash(manifest: object): string {
  return sha256(canonicalJson({ ...manifest, manifest_sha256: NO_HASH }));
}

/** @param hashes of all other entries, by path. */
export function manifestOf(
  envelope: Pick<Manifest, 'created_at' | 'job_id' | 'producer_version'>,
  hashes: ReadonlyMap<string, string>,
): Manifest {
  const files = [...hashes]
    .map(([path, hash]) => ({ path, sha256: hash }))
    .toSorted((a, b) => compareBytes(a.path, b.path));
  const manifest = {
    ...envelope,
    files,
    manifest_sha256: NO_HASH,
    schema_id: 'wrkr.jobpack_manifest',
    schema_version: 'v1',
  } as const;
  return { ...manifest, manifest_sha256: manifestHash(manifest) };
}

/** The schema_id and its three companions that every document carries. */
export function envelopeOf(
  schemaId: string,
  { created_at, job_id, producer_version }: Pick<Manifest, 'created_at' | 'job_id' | 'producer_version'>,
): JsonObject {
  return { schema_id: schemaId, schema_version: 'v1', created_at, producer_version, job_id };
}
