/**
 * The hash chain (I2): hash n = SHA-256(hash n-1 as hex, newline, body n), where a body is the RFC 8785 text of
 * `{"at","event","seq"}`. The chain starts from the run's id, so that events cannot be moved between runs.
 */
import { canonicalJson, type Sha256 } from './canonical.ts';
import type { RecordedEvent } from './events.ts';

export function genesisHash(runId: string, sha256: Sha256): string {
  return sha256(`reeve.run:${runId}`);
}

/** The text of an event as it is stored and hashed. */
export function eventBody({ seq, atMs, event }: RecordedEvent): string {
  return canonicalJson({ at: atMs, event, seq });
}

export function chainHash(previous: string, body: string, sha256: Sha256): string {
  return sha256(`${previous}\n${body}`);
}
