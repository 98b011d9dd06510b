/**
 * Content-addressed bytes of any size, taken and given piece by piece. One control plane has a place of them to itself:
 * whoever keeps and deletes one name at a time agrees on it within the process.
 */
export interface BlobStreams {
  /**
   * Takes bytes to the end, durably, and gives them no name yet. Memory: at most some MiB, whatever the size.
   * @throws what the bytes throw; ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE. Nothing is left then.
   */
  receive(bytes: AsyncIterable<Uint8Array>): Promise<Received>;
  /** Undefined: there is none of this name. @throws ReeveError E_STORE_UNAVAILABLE */
  sizeOf(sha256: string): Promise<number | undefined>;
  /**
   * The bytes, or a part of them. Read as a whole, they are checked against their name: after the last piece comes an
   * error rather than the end.
   * @throws ReeveError E_STORE_CORRUPT when they are missing, or not what their name says; E_STORE_UNAVAILABLE
   */
  read(sha256: string, range?: ByteRange): AsyncIterable<Uint8Array>;
  /** May be repeated. @throws ReeveError E_STORE_UNAVAILABLE */
  delete(sha256: string): Promise<void>;
  /** Every blob that has a name, in any order; not all at once. @throws ReeveError E_STORE_UNAVAILABLE */
  list(): AsyncIterable<StoredBlob>;
  /** Removes what was received and never kept, if it is older than a time. @returns how many */
  removeLeftovers(beforeMs: number): Promise<number>;
}

/** Bytes that are there as a whole and have no name. */
export interface Received {
  /** 64 hex digits. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Gives them their name, durably. The same bytes may be there already. @throws ReeveError E_STORE_* */
  keep(): Promise<void>;
  /** Forgets them; after `keep` it does nothing. Never fails: what stays is a leftover. */
  discard(): Promise<void>;
}

/** First and last byte, both counted from 0; the last one lies within the bytes. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

export interface StoredBlob {
  readonly sha256: string;
  /** When it got its name, by the clock of whoever stores it. */
  readonly modifiedMs: number;
}

/** A name may come from a damaged row or somebody else's bucket: it never leads elsewhere. */
export function isBlobName(sha256: string): boolean {
  return /^[0-9a-f]{64}$/.test(sha256);
}
