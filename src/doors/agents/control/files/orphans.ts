/** Bytes that nothing needs: of uploads that were given up, and of crashes between a blob and its row. */
import type { BlobStreams } from '../../../../store/blob-streams.ts';
import type { Ledger } from '../ports.ts';
import type { FileIndex } from './index-tables.ts';

export interface OrphanOptions {
  readonly index: FileIndex;
  readonly blobs: BlobStreams;
  readonly ledger: Ledger;
  /** Deletes bytes, if nothing needs them by then. */
  forget(blobs: Iterable<string>): Promise<void>;
  nowMs(): number;
  /** How long an upload may rest, and bytes may be without a row, milliseconds; default 48 h: agents try for 24. */
  readonly graceMs?: number;
}

const GRACE_MS = 48 * 3_600_000;

/** @returns how many uploads and blobs were removed. @throws ReeveError E_STORE_*; it may be repeated */
export async function removeOrphans(options: OrphanOptions): Promise<number> {
  const { index, blobs, ledger, forget, nowMs, graceMs = GRACE_MS } = options;
  const beforeMs = nowMs() - graceMs;
  const abandoned = index.abandoned(beforeMs);
  if (abandoned.length > 0) {
    await ledger.write(() => {
      // One may have been taken up again since.
      for (const upload of index.abandoned(beforeMs)) index.dropUpload(upload);
    });
  }
  let removed = abandoned.length + (await blobs.removeLeftovers(beforeMs));
  for await (const { sha256, modifiedMs } of blobs.list()) {
    if (modifiedMs >= beforeMs || index.isUsed(sha256)) continue;
    await forget([sha256]);
    removed += 1;
  }
  return removed;
}
