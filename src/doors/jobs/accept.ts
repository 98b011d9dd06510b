/**
 * `accept run` (contract wrkr §g): looks whether a job's work is as its owner wants it, and puts the answer on the
 * record. The event is the answer; `accept_result.json` in the job directory is its projection.
 */
import type { AcceptCheck, AcceptResult } from '../../evidence/accept/result.ts';
import type { Jobs } from './jobs.ts';

export interface AcceptOptions {
  /** As a user names it; default: the job spec's `acceptance.config_path`, else `accept.yaml`. */
  readonly configPath?: string;
  readonly outDir: string;
  /** Also writes the JUnit report, the jobpack and the GitHub summary, whether the checks pass or not. */
  readonly ci?: boolean;
  /** Where the JUnit report goes; relative to `cwd`. */
  readonly junitPath?: string;
  /** Where the commands run. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends a command that runs, and the acceptance with it. */
  readonly signal?: AbortSignal;
}

/** Keys are those of the CLI (contract wrkr §b). Paths are absolute. */
export interface AcceptRun {
  readonly job_id: string;
  readonly config_path: string;
  readonly accept_result_path: string;
  readonly accept_result: AcceptResult;
  readonly checks: readonly AcceptCheck[];
  readonly junit_path?: string;
  readonly jobpack_path?: string;
  readonly summary_json_path?: string;
  readonly summary_markdown_path?: string;
  readonly step_summary_path?: string;
}

/** The signal came before the last check ended: nothing was recorded. */
export class AcceptInterrupted extends Error {
  override readonly name = 'AcceptInterrupted';
}

/**
 * Runs the five checks and records their result. A failed check is no error: see `accept_result.failures`.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown job, or a configuration that is not valid; E_STORE_*.
 * @throws AcceptInterrupted
 */
export async function acceptJob(_jobs: Jobs, _id: string, _options: AcceptOptions): Promise<AcceptRun> {
  throw new AcceptInterrupted('not there yet');
}
