/** Whether the interpreter of a skill takes its entry. Nothing of the skill is executed. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import type { Interpreter, SkillManifest } from './manifest.ts';
import { SkillProblem } from './problem.ts';

const LINT_MS = 30_000;
const PARSE_PYTHON = 'import ast,sys; ast.parse(open(sys.argv[1],"rb").read(), "entry")';
/** Of programs for Linux and macOS. */
const PROGRAM_MAGIC = ['7f454c46', 'cffaedfe', 'cafebabe'];

/** Arguments that make an interpreter read a file, and no more. */
const READS: Readonly<Record<Exclude<Interpreter, 'exec'>, readonly string[]>> = {
  node: ['--check'],
  bash: ['-n'],
  sh: ['-n'],
  python3: ['-c', PARSE_PYTHON],
};

/** @param path of the entry. @throws SkillProblem lint_failed, interpreter_missing */
export async function lint(
  { entry, interpreter }: SkillManifest,
  path: string,
  bytes: Buffer,
): Promise<void> {
  const reader = interpreter === 'exec' ? readerOf(entry, bytes) : interpreter;
  if (reader === undefined) return;
  const said = await new Promise<string | undefined>((resolve) => {
    const argv = [...READS[reader], path];
    execFile(programOf(reader), argv, { timeout: LINT_MS, env: {} }, (error, _, stderr) =>
      resolve(error === null ? undefined : stderr || error.message),
    );
  });
  if (said === undefined) return;
  const line = said.split('\n').findLast((each) => /error/i.test(each)) ?? said.split('\n')[0] ?? '';
  throw new SkillProblem(
    'lint_failed',
    `${reader} does not take ${entry}: ${line.trim().slice(0, 300)}`,
    entry,
  );
}

/** An absolute path of the interpreter. @throws SkillProblem interpreter_missing */
export function programOf(interpreter: Exclude<Interpreter, 'exec'>): string {
  if (interpreter === 'node') return process.execPath;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).filter((each) => isAbsolute(each))) {
    const path = join(folder, interpreter);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Perhaps in the next one.
    }
  }
  throw new SkillProblem('interpreter_missing', `${interpreter} is not on the PATH of this machine`);
}

/** Of a file that is executed itself. @returns undefined: a program, or a script of something that is not known here. */
function readerOf(entry: string, bytes: Buffer): Exclude<Interpreter, 'exec'> | undefined {
  if (PROGRAM_MAGIC.includes(bytes.toString('hex', 0, 4))) return undefined;
  const [line = ''] = bytes.toString('latin1', 0, 256).split('\n');
  if (!line.startsWith('#!/'))
    throw new SkillProblem(
      'lint_failed',
      `${entry} is to be executed, and is neither a program nor begins with #!`,
      entry,
    );
  const words = line
    .slice(2)
    .trim()
    .split(/\s+/)
    .map((word) => basename(word));
  const name = words[0] === 'env' ? words.find((word, at) => at > 0 && !word.startsWith('-')) : words[0];
  return (['node', 'bash', 'sh', 'python3'] as const).find((each) => each === name);
}
