/** Where commands find skills: folders, packages, and those that come with this program. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPackage, type SkillPackage } from '../../doors/agents/skills/package.ts';
import { SkillProblem } from '../../doors/agents/skills/problem.ts';
import { packageAt } from '../../doors/agents/skills/validate.ts';
import { MANIFEST } from '../../doors/agents/skills/manifest.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext } from '../command.ts';
import { escapeControls } from '../output.ts';

/** `skills/` of this program. */
const OWN = fileURLToPath(new URL('../../../skills', import.meta.url));

/** Folders of all skills that come with this program, by name. */
export function ownSkills(): readonly string[] {
  const names = existsSync(OWN) ? readdirSync(OWN).toSorted() : [];
  return names.filter((name) => existsSync(resolve(OWN, name, MANIFEST))).map((name) => resolve(OWN, name));
}

/** @param word a folder, a package file, or the name of a skill that comes with this program. @throws ReeveError E_USAGE */
export function skillPath(ctx: CliContext, word: string): string {
  const path = resolve(ctx.cwd, word);
  if (existsSync(path)) return path;
  const own = ownSkills().find((each) => each === resolve(OWN, word));
  if (own !== undefined && !word.includes('/')) return own;
  throw new ReeveError(
    'E_USAGE',
    `${escapeControls(word)} is no folder, no package, and no skill that comes with reeve`,
    {
      value: word,
    },
  );
}

/** Folders below a folder that holds no manifest itself are meant one by one. */
export function skillPaths(ctx: CliContext, words: readonly string[]): readonly string[] {
  return words.flatMap((word) => {
    const path = skillPath(ctx, word);
    if (!statSync(path).isDirectory() || existsSync(resolve(path, MANIFEST))) return [path];
    const below = readdirSync(path)
      .toSorted()
      .filter((name) => existsSync(resolve(path, name, MANIFEST)));
    return below.length === 0 ? [path] : below.map((name) => resolve(path, name));
  });
}

/** A package as it is, or made of a folder. @throws ReeveError E_USAGE with the reason */
export async function packageOf(path: string): Promise<SkillPackage> {
  try {
    return statSync(path).isDirectory() ? await buildPackage(path) : await packageAt(path);
  } catch (error) {
    if (!(error instanceof SkillProblem)) throw error;
    const { reason, file } = error;
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${path}: ${reason}: ${error.message}`,
      { path, reason, ...(file === undefined ? {} : { file }) },
      { cause: error },
    );
  }
}
