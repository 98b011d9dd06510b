/** `wrkr.work_item` (contract wrkr §h): what somebody has to do so that a stopped job can go on. */

export interface WorkItemPayload {
  readonly schema_id: 'wrkr.work_item';
  readonly schema_version: 'v1';
  readonly created_at: string;
  readonly producer_version: string;
  readonly job_id: string;
  readonly checkpoint_id: string;
  readonly checkpoint_type: 'blocked' | 'decision-needed';
  readonly required_action: string;
  readonly reason_codes: readonly string[];
  readonly artifact_pointers?: readonly string[];
  readonly next_commands: readonly string[];
}
