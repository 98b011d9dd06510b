/** `report github` (contract wrkr §h): the summary of a jobpack, for a pull request or the summary of a workflow run. */
import type { GithubSummary } from '../../evidence/report/github-summary.ts';
import type { Jobs } from './jobs.ts';

/** Keys are those of the CLI (contract wrkr §b). Paths are absolute. */
export interface GithubReport {
  readonly summary: GithubSummary;
  readonly summary_json_path: string;
  readonly summary_markdown_path: string;
  /** The file that `GITHUB_STEP_SUMMARY` names, when it does. */
  readonly step_summary_path?: string;
}

export interface GithubReportOptions {
  readonly outDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Writes `reports/github_summary_<job>.json` and `.md`; a job is exported first, a pack is verified.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown job, or a step summary that cannot be written;
 * E_VERIFY_HASH_MISMATCH; E_STORE_FULL, E_STORE_UNAVAILABLE for the place.
 */
export async function reportGithub(
  _jobs: Jobs,
  _of: { readonly jobId: string } | { readonly packPath: string },
  _options: GithubReportOptions,
): Promise<GithubReport> {
  throw new TypeError('not there yet');
}
