/** The in-toto statements that are signed (docs/jobpack.md, "Signatures"). There is no time in them. */
import type { JsonObject } from '../model/json.ts';

const STATEMENT = 'https://in-toto.io/Statement/v1';

export interface PackClaim {
  readonly jobId: string;
  /** As the manifest says it. */
  readonly manifestSha256: string;
  /** Of the bytes of `manifest.json`. */
  readonly manifestFileSha256: string;
  /** Of the zip file. */
  readonly packSha256: string;
}

export function packStatement(claim: PackClaim): JsonObject {
  const { jobId, manifestSha256, manifestFileSha256, packSha256 } = claim;
  return {
    _type: STATEMENT,
    predicate: { job_id: jobId, manifest_sha256: manifestSha256 },
    predicateType: 'urn:reeve:jobpack:v1',
    subject: [
      { digest: { sha256: packSha256 }, name: `jobpack_${jobId}.zip` },
      { digest: { sha256: manifestFileSha256 }, name: 'manifest.json' },
    ],
  };
}

export interface ApprovalClaim {
  readonly jobId: string;
  readonly checkpointId: string;
  readonly approvedBy: string;
  /** Without white space around it, as it is recorded. */
  readonly reason: string;
  /** SHA-256 of what was approved (I8). */
  readonly binds: string;
}

export function approvalStatement(claim: ApprovalClaim): JsonObject {
  const { jobId, checkpointId, approvedBy, reason, binds } = claim;
  return {
    _type: STATEMENT,
    predicate: { approved_by: approvedBy, checkpoint_id: checkpointId, job_id: jobId, reason },
    predicateType: 'urn:reeve:approval:v1',
    subject: [{ digest: { sha256: binds }, name: `${jobId}/${checkpointId}` }],
  };
}
