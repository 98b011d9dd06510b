/** `wrkr.github_summary` (contract wrkr §h): made from one pack alone, so that the same pack always gives the same bytes. */

export interface GithubSummary {
  readonly schema_id: 'wrkr.github_summary';
  readonly schema_version: 'v1';
  readonly created_at: string;
  readonly producer_version: string;
  readonly job_id: string;
  readonly status: string;
  readonly acceptance: {
    readonly checks_run: number;
    readonly checks_passed: number;
    readonly failed: boolean;
  };
  /** Numbers of distinct paths. */
  readonly artifact_delta: { readonly added: number; readonly changed: number; readonly removed: number };
  readonly markdown: string;
}
