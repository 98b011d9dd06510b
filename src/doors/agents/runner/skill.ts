/**
 * Makes a run of a skill's package. The package is read once: what was hashed is what is unpacked is what is executed, so
 * a file that is exchanged afterwards changes nothing (contract agents §5, J17).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { argvOf } from '../../../policy/allow-list/arguments.ts';
import { digestOfBytes } from '../../../policy/allow-list/sign.ts';
import { MANIFEST, readManifest, type SkillManifest } from '../skills/manifest.ts';
import { type PackageFile, readPackage } from '../skills/read-package.ts';
import type { OperationalRun, SkillName } from './types.ts';

export interface OpenedSkill {
  readonly skill: SkillName;
  readonly manifest: SkillManifest;
  readonly files: readonly PackageFile[];
}

/**
 * @param bytes of the package file.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA, E_UNSAFE_OPERATION: it is no package, or not the one that is asked for.
 */
export function openSkill(bytes: Uint8Array, name: string, version: string): OpenedSkill {
  const files = readPackage(bytes);
  const document = files.find(({ path }) => path === MANIFEST);
  if (document === undefined) throw invalid(MANIFEST, 'is missing');
  const manifest = readManifest(document.bytes);
  if (manifest.name !== name) throw invalid('name', `is not ${name}`, manifest.name);
  if (manifest.version !== version) throw invalid('version', `is not ${version}`, manifest.version);
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
      return [...interpreterOf(manifest), entry, ...argv];
    },
  };
}

/** What stands before an entry. */
export function interpreterOf({ interpreter }: Pick<SkillManifest, 'interpreter'>): readonly string[] {
  if (interpreter === 'exec') return [];
  return [interpreter === 'node' ? process.execPath : interpreter];
}

/** Read-only, for nobody else. */
export async function unpack(
  files: readonly PackageFile[],
  { entry, interpreter }: Pick<SkillManifest, 'entry' | 'interpreter'>,
  directory: string,
): Promise<void> {
  for (const { path, bytes, isExecutable } of files) {
    const target = join(directory, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const isProgram = isExecutable || (interpreter === 'exec' && path === entry);
    await writeFile(target, bytes, { flag: 'wx', mode: isProgram ? 0o500 : 0o400 });
  }
}

function invalid(field: string, problem: string, value?: unknown): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the package's ${field} ${problem}`, {
    field,
    problem,
    ...(value === undefined ? {} : { value }),
  });
}
