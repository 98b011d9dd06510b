/** What CI asks of a skill before anybody reviews it (contract agents §4). It runs the skill: on a machine that has nothing to lose. */
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { Redaction } from '../../../policy/redaction/redaction.ts';
import { CASES, readCases, type Case } from './cases.ts';
import { lint, programOf } from './lint.ts';
import { MANIFEST, type SkillManifest } from './manifest.ts';
import { buildPackage, CHECKSUMS, manifestIn, packed, withChecksums, type SkillPackage } from './package.ts';
import { faultOf, perform, type Subject } from './perform.ts';
import { SkillProblem } from './problem.ts';
import { PACKAGE_BYTES_MAX, readPackage, type PackageFile } from './read-package.ts';
import { smoke } from './smoke.ts';

const NEEDED_KINDS = ['pass', 'violation', 'error'] as const;
/** With `JARVAS_STRICT=1` (contract agents §4). */
const EXIT_STRICT_SKIP = 3;

export interface Validation {
  /** Undefined where there is no package. */
  readonly built: SkillPackage | undefined;
  readonly cases: number;
  /** None: it is a good package. */
  readonly problems: readonly SkillProblem[];
}

/**
 * @param path of a skill's folder, or of a package file.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: there is neither
 */
export async function validateSkill(path: string): Promise<Validation> {
  let built: SkillPackage;
  try {
    built = await packageAt(path);
    requireFiles(built);
  } catch (error) {
    if (error instanceof SkillProblem) return { built: undefined, cases: 0, problems: [error] };
    throw error;
  }
  const problems = secretsIn(built.files);
  // What may hold a secret is not executed, and not shown.
  if (problems.length > 0) return { built, cases: 0, problems };
  const folder = await mkdtemp(join(tmpdir(), 'reeve-package-'));
  try {
    await writeOut(built.files, folder);
    return { built, ...(await tryOut(built, folder)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function packageAt(path: string): Promise<SkillPackage> {
  const stats = await stat(path).catch((cause: unknown) => {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} is not there`, { path }, { cause });
  });
  if (stats.isDirectory()) {
    const [built, again] = [await buildPackage(path), await buildPackage(path)];
    if (built.digest !== again.digest)
      throw new SkillProblem('not_deterministic', 'two builds differ: its files change meanwhile');
    return built;
  }
  if (stats.size > PACKAGE_BYTES_MAX)
    throw new SkillProblem(
      'too_large',
      `it has ${stats.size} bytes, at most ${PACKAGE_BYTES_MAX} are allowed`,
    );
  return packageIn(await readFile(path));
}

/** Of the bytes of a package file. @throws SkillProblem */
function packageIn(bytes: Buffer): SkillPackage {
  const files = readFiles(bytes);
  const hidden = files.find(({ path }) => path.split('/').some((part) => part.startsWith('.')));
  if (hidden !== undefined)
    throw new SkillProblem('hidden_file', `${JSON.stringify(hidden.path)} is hidden`, hidden.path);
  const document = files.find(({ path }) => path === MANIFEST);
  if (document === undefined) throw new SkillProblem('bad_manifest', `it holds no ${MANIFEST}`, MANIFEST);
  const manifest = manifestIn(document.bytes);
  const normal = files.map((file) => ({ ...file, isExecutable: file.path === manifest.entry }));
  const sums = withChecksums(normal).at(-1);
  const own = files.find(({ path }) => path === sums?.path);
  if (sums === undefined || own?.bytes.equals(sums.bytes) !== true)
    throw new SkillProblem('bad_archive', 'checksums.txt is not there, or not of its files', sums?.path);
  const built = packed(manifest, normal);
  if (!built.bytes.equals(bytes))
    throw new SkillProblem(
      'not_deterministic',
      'its files, packed again, give other bytes: pack it with `skills package`',
    );
  return built;
}

function readFiles(bytes: Buffer): readonly PackageFile[] {
  try {
    return readPackage(bytes);
  } catch (error) {
    if (!(error instanceof ReeveError)) throw error;
    const { entry, problem, limit } = error.details as Readonly<Record<string, unknown>>;
    const file = typeof entry === 'string' ? entry : undefined;
    if (limit !== undefined) throw new SkillProblem('too_large', error.message, file);
    if (file === undefined) throw new SkillProblem('bad_archive', error.message);
    const what = String(problem);
    const reason = /link/.test(what) ? 'symlink' : /device|FIFO/.test(what) ? 'special_file' : 'unsafe_path';
    throw new SkillProblem(reason, error.message, file);
  }
}

function requireFiles({ manifest, files }: SkillPackage): void {
  for (const path of [manifest.entry, 'README.md', CASES])
    if (!files.some((file) => file.path === path))
      throw new SkillProblem('missing_file', `${path} is missing`, path);
}

/** A finding names file and type, and nothing of the secret. */
function secretsIn(files: readonly PackageFile[]): readonly SkillProblem[] {
  const own = files.filter(({ path }) => path !== CHECKSUMS); // which has the names of the others
  return own.flatMap(({ path, bytes }) => {
    const redaction = new Redaction();
    const stream = redaction.stream();
    stream.push(bytes);
    stream.end();
    const shown = redaction.path(path); // a name may be the secret
    return Object.keys(redaction.counts).map(
      (type) => new SkillProblem('secret_found', `${shown} holds what looks like a secret (${type})`, shown),
    );
  });
}

async function writeOut(files: readonly PackageFile[], folder: string): Promise<void> {
  for (const { path, bytes, isExecutable } of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
    await chmod(target, isExecutable ? 0o755 : 0o644);
  }
}

/** Everything that is wrong, not only the first. */
async function tryOut(
  built: SkillPackage,
  folder: string,
): Promise<{ readonly cases: number; readonly problems: readonly SkillProblem[] }> {
  const { manifest, files } = built;
  const { entry, interpreter, name } = manifest;
  const bytesOf = (path: string): Buffer =>
    files.find((file) => file.path === path)?.bytes ?? Buffer.alloc(0);
  const problems: SkillProblem[] = [];
  const note = async (work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof SkillProblem)) throw error;
      problems.push(error);
      return false;
    }
  };
  let cases: readonly Case[] = [];
  const path = join(folder, entry);
  const isRunnable = await note(async () => lint(manifest, path, bytesOf(entry)));
  const isReadable = await note(async () => {
    cases = await readCases(bytesOf(CASES));
  });
  for (const kind of isReadable ? NEEDED_KINDS : [])
    if (!cases.some((one) => one.kind === kind))
      problems.push(new SkillProblem('missing_case', `${CASES} has no case of kind ${kind}`, CASES));
  if (!isRunnable || !isReadable) return { cases: 0, problems };
  const argv = interpreter === 'exec' ? [path] : [programOf(interpreter), path];
  const subject: Subject = { name, interpreter, argv, tests: join(folder, 'tests') };
  await atOnce(cases, availableParallelism(), (one) => note(() => tryCase(subject, manifest, one)));
  const passing = cases.filter(({ kind }) => kind === 'pass');
  const plain = passing.find(({ env }) => env === undefined) ?? passing[0];
  if (plain !== undefined && problems.length === 0) await note(() => smoke(built, subject, plain));
  return { cases: cases.length, problems };
}

async function tryCase(subject: Subject, { exitCodes }: SkillManifest, one: Case): Promise<void> {
  const { kind, env, name } = one;
  const isStrict = kind === 'skipped' && env?.['JARVAS_STRICT'] === '1';
  const declared = isStrict ? EXIT_STRICT_SKIP : exitCodes[kind];
  const what = `the case ${JSON.stringify(name)}`;
  if (one.expect.exit !== declared)
    throw new SkillProblem(
      'wrong_exit_code',
      `${what} expects ${one.expect.exit}; the manifest declares ${declared} for ${kind}`,
      CASES,
    );
  await perform(subject, one, (outcome) => {
    const { exit, stdout, stderr } = outcome;
    const said = `${stdout}${stderr}`.trim().slice(0, 500);
    if (exit !== declared)
      throw new SkillProblem(
        'wrong_exit_code',
        `${what} ended with ${exit}, not ${declared}: ${said}`,
        CASES,
      );
    const fault = faultOf(subject.name, one, outcome);
    if (fault !== undefined) throw new SkillProblem('case_failed', `${what}: ${fault}`, CASES);
  });
}

async function atOnce<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
