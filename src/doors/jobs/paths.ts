/** Paths that users name (contract wrkr §b, §e): relative ones stay inside the working directory, after symlinks. */
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { ReeveError } from '../../model/errors.ts';

/**
 * The absolute path of a file a user names; it need not exist. Absolute paths are taken as they are.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export async function resolveUserPath(path: string, cwd: string, field: string): Promise<string> {
  requirePath(path, field);
  if (isAbsolute(path)) return resolve(path);
  const target = await resolveInside(path, cwd);
  if (target === undefined) throw refusal(field, path, 'leaves the working directory');
  return target;
}

/** A relative path after symlinks; it need not exist. Undefined: it leads out of the working directory. */
export async function resolveInside(path: string, cwd: string): Promise<string | undefined> {
  const root = await realpath(cwd);
  const target = await resolveLinks(resolve(root, path));
  return target !== undefined && isInside(root, target) ? target : undefined;
}

/**
 * The directory that steps run in: `inputs.workspace` inside the submit directory, else the submit directory.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA when it is elsewhere or no directory (contract wrkr §e).
 */
export async function resolveWorkspace(workspace: string | undefined, submitDir: string): Promise<string> {
  const field = '/inputs/workspace';
  const root = await realpath(submitDir);
  if (workspace === undefined || workspace.trim() === '') return root;
  requirePath(workspace, field);
  const target = await resolveLinks(resolve(root, workspace));
  if (target === undefined || !isInside(root, target))
    throw refusal(field, workspace, 'leaves the submit directory');
  const found = await stat(target).catch(() => undefined);
  if (found?.isDirectory() !== true) throw refusal(field, workspace, 'is no directory');
  return target;
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`);
}

/** Resolves what exists of the path; undefined when it ends in a link that leads nowhere, which a write would follow. */
async function resolveLinks(path: string): Promise<string | undefined> {
  const resolved = await realpath(path).catch(() => undefined);
  if (resolved !== undefined) return resolved;
  if ((await lstat(path).catch(() => undefined)) !== undefined) return undefined;
  const parent = dirname(path);
  const above = parent === path ? undefined : await resolveLinks(parent);
  return above === undefined ? undefined : join(above, basename(path));
}

function requirePath(path: string, field: string): void {
  if (path.trim() === '') throw refusal(field, path, 'is empty');
  if (path.includes('\0')) throw refusal(field, path, 'holds a NUL character');
}

function refusal(field: string, path: string, problem: string): ReeveError {
  const value = path.slice(0, 4096);
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${field}: ${JSON.stringify(value)} ${problem}`, {
    field,
    problem,
    value,
  });
}
