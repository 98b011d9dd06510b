/** `report github` (contract wrkr §h): the summary of a jobpack, for a pull request or the summary of a workflow run. */
import { appendFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeTextAtomically } from '../../evidence/output-file.ts';
import { summariseJobpack, type GithubSummary } from '../../evidence/report/github-summary.ts';
import { canonicalJson } from '../../model/canonical.ts';
import { ReeveError } from '../../model/errors.ts';
import { requireJobId } from './job-id.ts';
import type { Jobs } from './jobs.ts';
import { exportJob } from './pack.ts';

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
  jobs: Jobs,
  of: { readonly jobId: string } | { readonly packPath: string },
  options: GithubReportOptions,
): Promise<GithubReport> {
  const { outDir, env } = options;
  if ('packPath' in of) return reportPack(of.packPath, options, jobs.surroundings.cwd);
  const { path } = await exportJob(jobs, of.jobId, { outDir });
  return reportPack(path, { outDir, env }, jobs.surroundings.cwd);
}

/** The same of a pack alone: no store is needed. @param cwd what a relative step summary is relative to. */
export async function reportPack(
  packPath: string,
  { outDir, env }: GithubReportOptions,
  cwd: string,
): Promise<GithubReport> {
  const summary = await summariseJobpack(packPath);
  // A pack may have been made by anybody, and its job id becomes a part of a path.
  const stem = join(outDir, 'reports', `github_summary_${requireJobId(summary.job_id)}`);
  const report = { summary, summary_json_path: `${stem}.json`, summary_markdown_path: `${stem}.md` };
  const page = `${summary.markdown}\n`;
  await writeTextAtomically(report.summary_json_path, canonicalJson(summary));
  await writeTextAtomically(report.summary_markdown_path, page);
  const stepSummary = env['GITHUB_STEP_SUMMARY'];
  if (stepSummary === undefined || stepSummary === '') return report;
  const stepSummaryPath = resolve(cwd, stepSummary);
  await append(stepSummaryPath, page);
  return { ...report, step_summary_path: stepSummaryPath };
}

async function append(path: string, text: string): Promise<void> {
  try {
    await appendFile(path, text);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `GITHUB_STEP_SUMMARY names ${path}, which cannot be written (${code})`,
      { field: 'GITHUB_STEP_SUMMARY', value: path, cause: code },
      { cause },
    );
  }
}
