/** Approvals as a pack records them, with the signatures in their events (docs/jobpack.md, "Signatures"). */
import type { SignatureEnvelope } from '../model/events.ts';
import type { JsonObject } from '../model/json.ts';
import { readEnvelope, says } from '../policy/dsse.ts';
import { approvalStatement } from '../policy/statements.ts';

export interface RecordedApproval {
  readonly checkpointId: string;
  readonly approvedBy: string;
  /** Well-formed, and about this approval. Whether its signatures are good only keys can tell. */
  readonly signature?: SignatureEnvelope;
}

export type OnApproval = (approval: RecordedApproval) => void;

/** @param event of type `approval_recorded`. @returns what is wrong with it, or what it recorded. */
export function approvalRecorded(
  jobId: string,
  { checkpoint, by, reason, binds, signature }: JsonObject,
): RecordedApproval | { readonly problem: string } {
  if (typeof checkpoint !== 'number' || typeof by !== 'string') return { problem: 'is no approval' };
  const approval = { checkpointId: `cp_${checkpoint}`, approvedBy: by };
  if (signature === undefined) return approval;
  const read = readEnvelope(signature);
  if ('problem' in read) return { problem: `has a signature that ${read.problem}` };
  const isBound = typeof binds === 'string' && /^[0-9a-f]{64}$/.test(binds);
  if (
    !isBound ||
    typeof reason !== 'string' ||
    !says(read.envelope, approvalStatement({ ...approval, jobId, reason, binds }))
  )
    return { problem: 'has a signature of something else' };
  return { ...approval, signature: read.envelope };
}

/** An approval in wrkr's words alone. @param record that fits its schema. */
export function unsignedApproval(record: JsonObject): RecordedApproval {
  return {
    checkpointId: record['checkpoint_id'] as string,
    approvedBy: record['approved_by'] as string,
  };
}
