/** Runs one case of a skill, and says whether it went as the case says. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { delimiter, join } from 'node:path';
import { inCaseFolder, type CaseFolder } from './case-folder.ts';
import type { Case } from './cases.ts';
import type { Interpreter, SkillOutcome } from './manifest.ts';
import { SkillProblem } from './problem.ts';

const CASE_MS = 25_000;
const REPORT_KEYS = ['skill', 'version', 'outcome', 'findings', 'metrics'];
const FINDING_KEYS = ['id', 'severity', 'where', 'message'];

export interface SkillReport {
  readonly skill: string;
  readonly version: string;
  readonly outcome: SkillOutcome;
  readonly findings: readonly Readonly<Record<'id' | 'severity' | 'where' | 'message', string>>[];
  readonly metrics: Readonly<Record<string, unknown>>;
}

/** A skill where it can be run. */
export interface Subject {
  readonly name: string;
  readonly interpreter: Interpreter;
  /** Interpreter, if it has one, and entry; absolute. */
  readonly argv: readonly string[];
  /** Its folder of that name. */
  readonly tests: string;
}

export interface CaseOutcome extends Pick<CaseFolder, 'fill' | 'read'> {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly report: SkillReport | undefined;
}

/**
 * Runs a case from beginning to end, in a folder that is gone afterwards; `look` sees it before.
 * @param more arguments.  @throws SkillProblem bad_cases, case_failed: its report is no JSON; what `look` throws
 */
export function perform(
  subject: Subject,
  one: Case,
  look: (outcome: CaseOutcome) => void,
  more: readonly string[] = [],
): Promise<void> {
  return inCaseFolder(subject.tests, one, async (folder) => {
    const [program = '', ...argv] = [...subject.argv, ...folder.args, ...more];
    const child = spawn(program, argv, {
      cwd: folder.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: CASE_MS,
      killSignal: 'SIGKILL',
      env: {
        PATH: pathOf(subject, folder),
        HOME: folder.cwd,
        LANG: 'C',
        TZ: 'UTC',
        JARVAS_RUN_ID: 'run-1',
        JARVAS_ACTION: subject.name,
        JARVAS_ARTIFACTS_DIR: folder.artifacts,
        ...folder.env,
      },
    });
    const ended = await end(child);
    const report = await reportIn(folder.artifacts);
    look({ ...ended, report, fill: folder.fill, read: folder.read });
  });
}

/** Programs of the case, and no others; a shell or Python needs those of the machine, too. */
export function pathOf({ interpreter }: Subject, { tools }: CaseFolder): string {
  return interpreter === 'node' ? tools : [tools, process.env['PATH'] ?? ''].join(delimiter);
}

/** @returns undefined when there is none. @throws SkillProblem case_failed */
export async function reportIn(artifacts: string): Promise<SkillReport | undefined> {
  const text = await readFile(join(artifacts, 'report.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as SkillReport;
  } catch {
    throw new SkillProblem('case_failed', 'report.json is no JSON', 'report.json');
  }
}

/** What is wrong with how a case went, whatever its code; undefined: nothing. */
export function faultOf(
  skill: string,
  { kind, expect: expected }: Case,
  { stdout, stderr, report, fill, read }: CaseOutcome,
): string | undefined {
  const said = `${stdout}${stderr}`;
  if (kind === 'usage') {
    if (stdout !== '' || report !== undefined) return 'wrong arguments leave stdout and report empty';
  } else {
    const problem = reportProblem(report, skill);
    if (problem !== undefined) return problem;
    if (report?.outcome !== kind) return `its report says ${report?.outcome}, not ${kind}`;
  }
  const lines = said.split('\n').slice(0, -1);
  const wrong = lines.find(
    (line) => !(kind === 'usage' ? /./ : /^(?:OK|WARN|FAIL|SKIP|ERROR): ./).test(line),
  );
  if (wrong !== undefined)
    return `the line ${JSON.stringify(wrong)} begins with none of OK, WARN, FAIL, SKIP, ERROR`;
  for (const start of (expected.lines ?? []).map(fill))
    if (!lines.some((line) => line.startsWith(start))) return `no line begins with ${JSON.stringify(start)}`;
  for (const finding of expected.findings ?? []) {
    const filled = Object.fromEntries(Object.entries(finding).map(([key, value]) => [key, fill(value)]));
    if (report?.findings.some((found) => fits(found, filled)) !== true)
      return `no finding is ${JSON.stringify(filled)}`;
  }
  if (expected.report !== undefined && !fits(report, expected.report))
    return `its report is not ${JSON.stringify(expected.report)}`;
  const everything = `${said}${JSON.stringify(report)}`;
  for (const text of expected.absent ?? [])
    if (everything.includes([text].flat().join(''))) return 'it says what it must not say';
  for (const [path, text] of Object.entries(expected.files ?? {}))
    if (read(path) !== (text === null ? null : fill(text)))
      return `the file ${path} is not what it should be`;
  return undefined;
}

/** Of its form (contract agents §4). */
export function reportProblem(report: SkillReport | undefined, skill: string): string | undefined {
  if (report === undefined) return 'it wrote no report.json';
  if (!isDeepStrictEqual(Object.keys(report), REPORT_KEYS))
    return `its report has not just ${REPORT_KEYS.join(', ')}`;
  if (report.skill !== skill) return `its report is of ${report.skill}`;
  const isList =
    Array.isArray(report.findings) &&
    report.findings.every((found) => FINDING_KEYS.every((key) => typeof found[key as 'id'] === 'string'));
  return isList ? undefined : `its findings have not all of ${FINDING_KEYS.join(', ')}`;
}

/** All that is expected is there; lists are as long. */
function fits(actual: unknown, expected: unknown): boolean {
  if (typeof expected !== 'object' || expected === null) return Object.is(actual, expected);
  if (typeof actual !== 'object' || actual === null) return false;
  if (Array.isArray(expected) && (!Array.isArray(actual) || actual.length !== expected.length)) return false;
  const of = actual as Readonly<Record<string, unknown>>;
  return Object.entries(expected).every(([key, value]) => Object.hasOwn(of, key) && fits(of[key], value));
}

async function end(child: ChildProcess): Promise<{ exit: number; stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => (texts[name] += chunk));
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return { exit: code ?? -1, ...texts };
  } catch (error) {
    return { exit: 127, stdout: '', stderr: `${(error as Error).message}\n` };
  }
}
