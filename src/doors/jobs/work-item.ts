/** `bridge work-item` (contract wrkr §h): a ticket for a checkpoint that needs somebody. */
import { join } from 'node:path';
import { writeTextAtomically } from '../../evidence/output-file.ts';
import {
  requireTemplate,
  workItemPayload,
  workItemText,
  type WorkItemPayload,
} from '../../evidence/report/work-item.ts';
import { canonicalJson } from '../../model/canonical.ts';
import type { Jobs } from './jobs.ts';
import { showCheckpoint } from './read.ts';

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
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown job, checkpoint or template, or a checkpoint that asks for nothing;
 * E_STORE_FULL, E_STORE_UNAVAILABLE for the place.
 */
export async function workItem(
  jobs: Jobs,
  id: string,
  checkpointId: string,
  { outDir, dryRun = false, template }: WorkItemOptions,
): Promise<WorkItem> {
  const known = template === undefined ? undefined : requireTemplate(template);
  const payload = workItemPayload(await showCheckpoint(jobs, id, checkpointId));
  if (dryRun) return { payload };
  const stem = join(outDir, 'reports', `work_item_${payload.job_id}_${payload.checkpoint_id}`);
  await writeTextAtomically(`${stem}.json`, canonicalJson(payload));
  if (known === undefined) return { payload, json_path: `${stem}.json` };
  await writeTextAtomically(`${stem}_${known}.md`, workItemText(payload, known));
  return { payload, json_path: `${stem}.json`, template_path: `${stem}_${known}.md` };
}
