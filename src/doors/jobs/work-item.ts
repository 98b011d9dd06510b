/** `bridge work-item` (contract wrkr §h): a ticket for a checkpoint that needs somebody. */
import type { WorkItemPayload } from '../../evidence/report/work-item.ts';
import type { Jobs } from './jobs.ts';

export interface WorkItemOptions {
  readonly outDir: string;
  /** Makes the payload and writes nothing. */
  readonly dryRun?: boolean;
  /** `github` or `jira`: also writes the ticket's text. */
  readonly template?: string;
}

/** Keys are those of the CLI (contract wrkr §b). Paths are absolute. */
export interface WorkItem {
  readonly payload: WorkItemPayload;
  readonly json_path?: string;
  readonly template_path?: string;
}

/**
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown job, checkpoint or template, or a checkpoint that asks for nothing.
 */
export async function workItem(
  _jobs: Jobs,
  _id: string,
  _checkpointId: string,
  _options: WorkItemOptions,
): Promise<WorkItem> {
  throw new TypeError('not there yet');
}
