import { ReeveError } from '../../../model/errors.ts';

/** Why a skill is no good package (contract agents §4, J22). Names are part of the interface: CI shows them. */
export const PROBLEM_REASONS = [
  /** skill.json is missing, no JSON, or does not say what it must. */
  'bad_manifest',
  /** Its entry, README.md or tests/cases.json is not there. */
  'missing_file',
  'symlink',
  /** A device, a socket, a FIFO. */
  'special_file',
  /** Absolute, with `..`, control characters or backslashes; two files of one path. */
  'unsafe_path',
  /** Its name begins with a dot: it came along by accident. */
  'hidden_file',
  'too_large',
  /** It is no gzipped tar archive, or damaged, or its checksums are not of its files. */
  'bad_archive',
  /** Its files, packed again, give other bytes. */
  'not_deterministic',
  'secret_found',
  /** The interpreter does not take the entry. */
  'lint_failed',
  /** The interpreter that it names is not on this machine. */
  'interpreter_missing',
  /** tests/cases.json cannot be read. */
  'bad_cases',
  /** There is no case of `pass`, `violation` or `error`. */
  'missing_case',
  /** A case ends with another code than manifest and case declare. */
  'wrong_exit_code',
  /** A case ends with the right code, and says something else than it has to. */
  'case_failed',
  /** What the operational runner keeps of a passing case is not what it has to be. */
  'bad_artifacts',
] as const;
export type ProblemReason = (typeof PROBLEM_REASONS)[number];

export class SkillProblem extends ReeveError {
  readonly reason: ProblemReason;
  /** Of the package; undefined: it is about all of it. */
  readonly file: string | undefined;

  constructor(reason: ProblemReason, message: string, file?: string, options?: ErrorOptions) {
    super('E_INVALID_INPUT_SCHEMA', message, { reason, ...(file === undefined ? {} : { file }) }, options);
    this.reason = reason;
    this.file = file;
  }
}
