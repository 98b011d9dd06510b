/** The five checks (contract wrkr §g, W60), as far as nothing has to be run or read for them. */
import { posix } from 'node:path';
import { cutUtf8 } from '../../model/decide/checkpoint.ts';
import type { Claims } from '../claims.ts';
import type { AcceptConfig, PathRules } from './config.ts';
import type { AcceptCheck, AcceptCode, CheckName } from './result.ts';

/** Most bytes of a command's output in a message, in UTF-8. */
export const OUTPUT_BYTES_MAX = 400;

interface Finding {
  readonly message: string;
  readonly artifact?: string;
}

function passed(name: CheckName, message: string): AcceptCheck {
  return { name, passed: true, message };
}

function failed(name: CheckName, reason_code: AcceptCode, { message, artifact }: Finding): AcceptCheck {
  return { name, passed: false, message, reason_code, ...(artifact === undefined ? {} : { artifact }) };
}

/** @param problem the first document that does not fit its schema, and why. */
export function schemaValidity(problem: string | undefined): AcceptCheck {
  const name = 'schema_validity';
  if (problem === undefined) return passed(name, 'status, checkpoints and approvals fit their schemas');
  return failed(name, 'E_ACCEPT_MISSING_ARTIFACT', { message: problem });
}

/** @param onDisk why a claimed file cannot be had; asked in order, and only with `artifacts_on_disk`. */
export async function requiredArtifacts(
  { requiredArtifacts: required, artifactsOnDisk }: AcceptConfig,
  claims: Claims,
  onDisk: (path: string) => Promise<string | undefined>,
): Promise<AcceptCheck> {
  const name = 'required_artifacts';
  const code = 'E_ACCEPT_MISSING_ARTIFACT';
  const missing = required.filter((path) => !claims.made(path));
  const [artifact] = missing;
  if (artifact !== undefined) {
    const more = missing.length === 1 ? '' : ` (and ${missing.length - 1} more)`;
    return failed(name, code, {
      message: `required artifact ${artifact} is in no checkpoint${more}`,
      artifact,
    });
  }
  if (!artifactsOnDisk) return passed(name, `${required.length} required artifacts are in checkpoints`);
  const expected = [...new Set([...required, ...claims.all().filter((path) => claims.standing.has(path))])];
  for (const path of expected) {
    const problem = await onDisk(path);
    if (problem !== undefined) return failed(name, code, { message: problem, artifact: path });
  }
  return passed(
    name,
    `${required.length} required artifacts are in checkpoints, ${expected.length} files are there`,
  );
}

export function pathConstraints({ pathRules }: AcceptConfig, claims: Claims): AcceptCheck {
  const name = 'path_constraints';
  const paths = claims.all();
  const finding = brokenRule(pathRules, paths);
  if (finding !== undefined) return failed(name, 'E_ACCEPT_MISSING_ARTIFACT', finding);
  return passed(name, `${paths.length} paths are within the rules`);
}

function brokenRule(rules: PathRules, paths: readonly string[]): Finding | undefined {
  const { maxArtifactPaths: max, forbiddenPrefixes, allowedPrefixes, onlyAllowed } = rules;
  const begins = rules.mode === 'segments' ? beginsInSegments : beginsInText;
  if (max > 0 && paths.length > max)
    return { message: `${paths.length} artifact paths are more than max_artifact_paths=${max}` };
  for (const artifact of paths) {
    const forbidden = forbiddenPrefixes.find((prefix) => begins(artifact, prefix));
    if (forbidden !== undefined)
      return { message: `artifact ${artifact} begins with the forbidden prefix ${forbidden}`, artifact };
    if (onlyAllowed && !allowedPrefixes.some((prefix) => begins(artifact, prefix)))
      return { message: `artifact ${artifact} begins with no allowed prefix`, artifact };
  }
  const unused = allowedPrefixes.find((prefix) => !paths.some((path) => begins(path, prefix)));
  return unused === undefined
    ? undefined
    : { message: `no artifact begins with the allowed prefix ${unused}` };
}

function beginsInText(path: string, prefix: string): boolean {
  return path.startsWith(prefix);
}

/** `./a//b` and `a/b` are one path, and `a/../b` is `b`. A prefix may end in `/`. */
function beginsInSegments(path: string, prefix: string): boolean {
  const wanted = posix.normalize(prefix).replace(/\/+$/, '');
  const found = posix.normalize(path);
  if (wanted === '.') return !found.startsWith('/') && found !== '..' && !found.startsWith('../');
  return found === wanted || found.startsWith(`${wanted}/`);
}

/** How a command ended. */
export interface CommandOutcome {
  /** As the shell tells it: 128 and more for a signal. */
  readonly exitCode: number;
  readonly timedOut: boolean;
  /** What it printed, or its beginning: at least `OUTPUT_BYTES_MAX` bytes after the first that is no blank. */
  readonly output: string;
  /** More than `output` was printed. */
  readonly isCut: boolean;
}

/** @param outcome undefined for an empty command, which fails. */
export function commandCheck(
  name: 'test_command' | 'lint_command',
  outcome: CommandOutcome | undefined,
  timeoutMs: number,
): AcceptCheck {
  const code = 'E_ACCEPT_TEST_FAIL';
  if (outcome === undefined) return failed(name, code, { message: `${name} is empty` });
  const { exitCode, timedOut } = outcome;
  if (exitCode === 0 && !timedOut) return passed(name, 'command ended with exit code 0');
  const what = timedOut ? `command timed out after ${timeoutMs / 1000} s` : 'command failed';
  return failed(name, code, { message: `${what} (exit=${exitCode}): ${outputText(outcome)}` });
}

/** Trimmed, cut at 400 bytes on a character's boundary (W61). */
function outputText({ output, isCut }: CommandOutcome): string {
  const text = isCut ? output.trimStart() : output.trim();
  if (text === '') return '(no output)';
  const cut = cutUtf8(text, OUTPUT_BYTES_MAX);
  return cut === text && !isCut ? text : `${cut}...`;
}
