/** Content-addressed bytes: what is too big for an event (DESIGN §3). */
export interface BlobStore {
  /** Stores bytes durably and returns their SHA-256 as 64 hex digits. Storing the same bytes again is cheap. */
  put(bytes: Uint8Array): Promise<string>;
  /** @throws ReeveError E_STORE_CORRUPT when the bytes are missing or do not match their name. */
  get(sha256: string): Promise<Uint8Array>;
  has(sha256: string): Promise<boolean>;
  delete(sha256: string): Promise<void>;
}
