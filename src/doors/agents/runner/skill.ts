/**
 * Makes a run of a skill's package. The package is read once: what was hashed is what is unpacked is what is executed, so
 * a file that is exchanged afterwards changes nothing (contract agents §5, J17).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { argvOf, compileArguments } from '../../../policy/allow-list/arguments.ts';
import type { ArgumentSpec } from '../../../policy/allow-list/schema.ts';
import { digestOfBytes } from '../../../policy/allow-list/sign.ts';
import { type PackageFile, readPackage } from '../skills/read-package.ts';
import type { OperationalRun, SkillName } from './types.ts';

/** Programs that run an entry; `exec` runs it itself, and `node` is the one that runs us. */
const INTERPRETERS = ['bash', 'sh', 'node', 'python3', 'exec'] as const;
type Interpreter = (typeof INTERPRETERS)[number];

/** What a runner reads of `skill.json` (contract §4). */
export interface SkillRunManifest {
  readonly entry: string;
  readonly interpreter: Interpreter;
  readonly args: readonly ArgumentSpec[];
  readonly destructive: boolean;
  readonly timeoutS: number;
  readonly network: boolean;
  /** Names of variables that it wants. */
  readonly secrets: readonly string[];
}

export interface OpenedSkill {
  readonly skill: SkillName;
  readonly manifest: SkillRunManifest;
  readonly files: readonly PackageFile[];
}

/**
 * @param bytes of the package file.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA, E_UNSAFE_OPERATION: it is no package, or not the one that is asked for.
 */
export function openSkill(bytes: Uint8Array, name: string, version: string): OpenedSkill {
  const files = readPackage(bytes);
  const document = files.find(({ path }) => path === 'skill.json');
  if (document === undefined) throw invalid('skill.json', 'is missing');
  const manifest = readManifest(document.bytes, name, version);
  if (!files.some(({ path }) => path === manifest.entry)) throw invalid('entry', 'is no file of the package');
  return { skill: { name, version, digest: digestOfBytes(bytes) }, manifest, files };
}

/** What of a run follows from its skill. */
export type SkillRun = Pick<OperationalRun, 'argv' | 'secretArgs' | 'skill'>;

/** @param args by name, secret ones with their values. @throws Refusal args_invalid */
export function skillRun(
  { skill, manifest, files }: OpenedSkill,
  args: Readonly<Record<string, unknown>>,
): SkillRun {
  const { argv, secrets } = argvOf(manifest.args, args);
  return {
    skill,
    secretArgs: secrets,
    argv: async (directory) => {
      await unpack(files, manifest, directory);
      const entry = join(directory, manifest.entry);
      const { interpreter } = manifest;
      const program = interpreter === 'exec' ? [] : [interpreter === 'node' ? process.execPath : interpreter];
      return [...program, entry, ...argv];
    },
  };
}

/** Read-only, for nobody else. */
async function unpack(
  files: readonly PackageFile[],
  { entry, interpreter }: SkillRunManifest,
  directory: string,
): Promise<void> {
  for (const { path, bytes, isExecutable } of files) {
    const target = join(directory, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const isProgram = isExecutable || (interpreter === 'exec' && path === entry);
    await writeFile(target, bytes, { flag: 'wx', mode: isProgram ? 0o500 : 0o400 });
  }
}

function readManifest(bytes: Buffer, name: string, version: string): SkillRunManifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid('skill.json', 'is no JSON in UTF-8');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('skill.json', 'is no object');
  const manifest = value as Readonly<Record<string, unknown>>;
  if (manifest['name'] !== name) throw invalid('name', `is not ${name}`, manifest['name']);
  if (manifest['version'] !== version) throw invalid('version', `is not ${version}`, manifest['version']);
  const { entry, interpreter = 'exec', timeout_s: timeoutS = 300, args = [], secrets = [] } = manifest;
  if (typeof entry !== 'string') throw invalid('entry', 'is missing');
  const known = INTERPRETERS.find((each) => each === interpreter);
  if (known === undefined) throw invalid('interpreter', `is none of ${INTERPRETERS.join(', ')}`, interpreter);
  if (typeof timeoutS !== 'number' || !(timeoutS >= 1 && timeoutS <= 86_400))
    throw invalid('timeout_s', 'is not 1 to 86400 seconds', timeoutS);
  if (!Array.isArray(secrets) || !secrets.every((secret) => typeof secret === 'string'))
    throw invalid('secrets', 'must be names');
  return {
    entry,
    interpreter: known,
    args: argumentList(args),
    destructive: manifest['destructive'] === true,
    timeoutS,
    network: manifest['network'] === true,
    secrets,
  };
}

function argumentList(args: unknown): readonly ArgumentSpec[] {
  const isList =
    Array.isArray(args) &&
    args.every((arg: unknown) => {
      const { name, type } = (arg ?? {}) as { name?: unknown; type?: unknown };
      return typeof name === 'string' && typeof type === 'string';
    });
  if (!isList) throw invalid('args', 'must be a list of arguments with name and type');
  const list = args as readonly ArgumentSpec[];
  compileArguments(list, 'args');
  return list;
}

function invalid(field: string, problem: string, value?: unknown): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the package's ${field} ${problem}`, {
    field,
    problem,
    ...(value === undefined ? {} : { value }),
  });
}
