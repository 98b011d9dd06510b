/** What putting a file takes, in one request or in chunks. */
import type { BlobStreams, Received } from '../../../../store/blob-streams.ts';
import { conflict } from '../../wire/errors.ts';
import type { Audit, FileKind, Ledger, Upload } from '../ports.ts';
import type { FileIndex, FileRow } from './index-tables.ts';
import type { Intake } from './intake.ts';
import type { StreamRedactor } from './text-redaction.ts';

export interface RunFilesOptions {
  readonly blobs: BlobStreams;
  readonly index: FileIndex;
  readonly ledger: Ledger;
  readonly audit: Audit;
  nowMs(): number;
  /** Of one file, bytes; default 1 GiB. */
  readonly fileBytesMax?: number;
  /** Of all files of a run; default 8 GiB. */
  readonly runBytesMax?: number;
  /** Files of a run; default 10,000. */
  readonly runFilesMax?: number;
  /** With the patterns and exceptions of the tenant; default: what everybody's secrets look like. */
  redactor?(tenant: string): StreamRedactor;
  /** Told of each file that was stored: for metrics. */
  onStored?(stored: Stored): void;
}

export interface Stored {
  readonly tenant: string;
  readonly kind: FileKind;
  readonly size: number;
  readonly redactions: Readonly<Record<string, number>>;
}

/** An upload, by whom, and whether it may still be kept. */
export interface GuardedUpload extends Upload {
  /** Who sends it, for the audit; default: the run's attempt. */
  readonly actor?: string;
  /** Asked again in the transaction that makes the file exist: the lease may have gone. @throws AgentsFailure 409 */
  guard?(): void;
}

export type ChunkedUpload = GuardedUpload & { readonly range: NonNullable<Upload['range']> };

/** `present`: these very bytes were there before. `partial`: chunks are missing. */
export type PutOutcome = 'created' | 'present' | 'partial';

/** What uploads in chunks need of the store that they belong to. */
export interface Keeping {
  keepBlob<T>(received: Received, record: () => T): Promise<T>;
  forget(blobs: Iterable<string>): Promise<void>;
  /** @param also is written with the file's row. */
  finish(upload: GuardedUpload, sent: Intake, also: () => void): Promise<PutOutcome>;
}

/** Files are written once. @throws AgentsFailure 409 */
export function same(known: FileRow, { digest }: Pick<Upload, 'digest'>): 'present' {
  if (known.sent_sha256 === digest) return 'present';
  throw conflict('file_exists', 'there is a file of this name with other bytes; files are written once', {
    sha256: known.sent_sha256,
    size: known.sent_size,
  });
}
