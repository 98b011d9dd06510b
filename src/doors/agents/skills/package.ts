/**
 * The package of a skill (contract agents §4): its folder, what its tree of skills shares, and checksums, as bytes that
 * are the same on every machine.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { compareBytes, nameProblem } from '../../../evidence/entry-names.ts';
import { isErrno } from '../../../executors/process/record.ts';
import { ReeveError } from '../../../model/errors.ts';
import { digestOfBytes } from '../../../policy/allow-list/sign.ts';
import { writeArchive } from './archive.ts';
import { MANIFEST, readManifest, type SkillManifest } from './manifest.ts';
import { SkillProblem } from './problem.ts';
import { PACKAGE_BYTES_MAX, type PackageFile } from './read-package.ts';

export const CHECKSUMS = 'checksums.txt';
/** What a tree of skills shares: `package.json`, whose `imports` point into `lib/`. */
const SHARED_MANIFEST = 'package.json';
const SHARED_FOLDER = 'lib';
const FILES_MAX = 2_000;

export interface SkillPackage {
  readonly manifest: SkillManifest;
  /** `<name>-<version>.tar.gz` */
  readonly fileName: string;
  readonly bytes: Buffer;
  /** `sha256:…` of the bytes. */
  readonly digest: string;
  readonly files: readonly PackageFile[];
}

/** @throws SkillProblem; ReeveError E_INVALID_INPUT_SCHEMA: there is no such folder */
export async function buildPackage(folder: string): Promise<SkillPackage> {
  const found = new Map<string, Buffer>();
  const root = resolve(folder);
  await collect(root, '', found);
  found.delete(CHECKSUMS);
  const document = found.get(MANIFEST);
  if (document === undefined)
    throw new SkillProblem('bad_manifest', `${folder} holds no ${MANIFEST}`, MANIFEST);
  const manifest = manifestIn(document);
  if (!found.has(SHARED_MANIFEST)) await collectShared(dirname(root), found);
  const files = withChecksums(
    [...found].map(([path, bytes]) => ({ path, bytes, isExecutable: path === manifest.entry })),
  );
  return packed(manifest, files);
}

/** @throws SkillProblem too_large */
export function packed(manifest: SkillManifest, files: readonly PackageFile[]): SkillPackage {
  const bytes = writeArchive(files);
  if (bytes.length > PACKAGE_BYTES_MAX)
    throw new SkillProblem(
      'too_large',
      `the package has ${bytes.length} bytes, at most ${PACKAGE_BYTES_MAX} are allowed`,
    );
  const fileName = `${manifest.name}-${manifest.version}.tar.gz`;
  return { manifest, fileName, bytes, digest: digestOfBytes(bytes), files };
}

/** With a checksums.txt of them, as `sha256sum --check` reads it. */
export function withChecksums(files: readonly PackageFile[]): readonly PackageFile[] {
  const own = files.filter(({ path }) => path !== CHECKSUMS).toSorted((a, b) => compareBytes(a.path, b.path));
  const lines = own.map(
    ({ path, bytes }) => `${createHash('sha256').update(bytes).digest('hex')}  ${path}\n`,
  );
  return [...own, { path: CHECKSUMS, bytes: Buffer.from(lines.join('')), isExecutable: false }];
}

/** @throws SkillProblem bad_manifest */
export function manifestIn(bytes: Uint8Array): SkillManifest {
  try {
    return readManifest(bytes);
  } catch (error) {
    if (error instanceof ReeveError)
      throw new SkillProblem('bad_manifest', error.message, MANIFEST, { cause: error });
    throw error;
  }
}

/** Every file below a folder, by its path in the package. */
async function collect(root: string, below: string, found: Map<string, Buffer>): Promise<void> {
  for (const entry of await entriesOf(join(root, below))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    const shown = JSON.stringify(path);
    if (entry.isSymbolicLink()) throw new SkillProblem('symlink', `${shown} is a symbolic link`, path);
    if (entry.name.startsWith('.'))
      throw new SkillProblem('hidden_file', `${shown} is hidden: take it away, or let a case make it`, path);
    const problem = nameProblem(path);
    if (problem !== undefined) throw new SkillProblem('unsafe_path', `the path ${shown} ${problem}`, path);
    if (entry.isDirectory()) await collect(root, path, found);
    else if (!entry.isFile()) throw new SkillProblem('special_file', `${shown} is no file`, path);
    else {
      found.set(path, await readFile(join(root, path)));
      requireSmall(found);
    }
  }
}

/** Before all of it is read. */
function requireSmall(found: ReadonlyMap<string, Buffer>): void {
  const size = [...found.values()].reduce((total, bytes) => total + bytes.length, 0);
  if (size > PACKAGE_BYTES_MAX || found.size > FILES_MAX)
    throw new SkillProblem(
      'too_large',
      `it has more than ${PACKAGE_BYTES_MAX} bytes, or more than ${FILES_MAX} files`,
    );
}

/** Verbatim, so that a skill finds the same at the same names as in its tree. */
async function collectShared(tree: string, found: Map<string, Buffer>): Promise<void> {
  const document = await readFile(join(tree, SHARED_MANIFEST)).catch(() => undefined);
  if (document === undefined || !pointsIntoLib(document)) return;
  const shared = new Map<string, Buffer>();
  await collect(join(tree, SHARED_FOLDER), '', shared);
  found.set(SHARED_MANIFEST, document);
  for (const [path, bytes] of shared) {
    const name = `${SHARED_FOLDER}/${path}`;
    if (found.has(name))
      throw new SkillProblem('unsafe_path', `${name} is of the skill and of its tree`, name);
    found.set(name, bytes);
  }
  requireSmall(found);
}

/** A project that happens to be above a skill is none of its business. */
function pointsIntoLib(document: Buffer): boolean {
  try {
    const { imports } = JSON.parse(document.toString()) as {
      readonly imports?: Readonly<Record<string, unknown>>;
    };
    const targets = Object.values(imports ?? {});
    return (
      targets.length > 0 &&
      targets.every((to) => typeof to === 'string' && to.startsWith(`./${SHARED_FOLDER}/`))
    );
  } catch {
    return false;
  }
}

async function entriesOf(folder: string) {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.toSorted((a, b) => compareBytes(a.name, b.name));
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT') && !isErrno(cause, 'ENOTDIR')) throw cause;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${folder} is no folder`, { path: folder }, { cause });
  }
}
