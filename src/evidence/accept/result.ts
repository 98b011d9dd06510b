/** What an acceptance run found, and the document that says so (contract wrkr §g). Pure: the same findings, the same bytes. */
import type { ErrorCode } from '../../model/errors.ts';

export const CHECKS = [
  'schema_validity',
  'required_artifacts',
  'path_constraints',
  'test_command',
  'lint_command',
] as const;
export type CheckName = (typeof CHECKS)[number];

export type AcceptCode = Extract<ErrorCode, 'E_ACCEPT_MISSING_ARTIFACT' | 'E_ACCEPT_TEST_FAIL'>;

/** One check that was made. Keys are those of the CLI. */
export interface AcceptCheck {
  readonly name: CheckName;
  readonly passed: boolean;
  readonly message: string;
  /** Of a failed check. */
  readonly reason_code?: AcceptCode;
  /** The path that the failure is about. */
  readonly artifact?: string;
}

/** `wrkr.accept_result`. */
export interface AcceptResult {
  readonly schema_id: 'wrkr.accept_result';
  readonly schema_version: 'v1';
  readonly created_at: string;
  readonly producer_version: string;
  readonly job_id: string;
  readonly checks_run: number;
  readonly checks_passed: number;
  readonly failures: readonly {
    readonly check: string;
    readonly message: string;
    readonly artifact?: string;
  }[];
  readonly reason_codes: readonly string[];
}

export function acceptResult(
  checks: readonly AcceptCheck[],
  about: { readonly jobId: string; readonly createdAt: string; readonly producerVersion: string },
): AcceptResult {
  const failed = checks.filter(({ passed }) => !passed);
  return {
    schema_id: 'wrkr.accept_result',
    schema_version: 'v1',
    created_at: about.createdAt,
    producer_version: about.producerVersion,
    job_id: about.jobId,
    checks_run: checks.length,
    checks_passed: checks.length - failed.length,
    failures: failed.map(({ name, message, artifact }) => ({
      check: name,
      message,
      ...(artifact === undefined ? {} : { artifact }),
    })),
    reason_codes: [...new Set(failed.flatMap(({ reason_code: code }) => (code === undefined ? [] : [code])))],
  };
}
