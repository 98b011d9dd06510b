/** What a pack says of the files that checkpoints claim (contract wrkr §f, capture modes). */
import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { isAbsolute, posix, relative, resolve, sep } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import { nameProblem } from './entry-names.ts';
import { sha256 } from './hash.ts';

const ARTIFACTS = 'artifacts/';
const CHUNK_BYTES = 1_048_576;

/** `reference-only`: the hash of a name. No statement about content. */
export function referenceHash(path: string): string {
  return sha256(`reference:${path}`);
}

/** The entry that holds the bytes of a claimed path: `./a//b` and `a/b` are one file. */
export function artifactEntry(path: string): string {
  return `${ARTIFACTS}${posix.normalize(path)}`;
}

/** @throws ReeveError E_UNSAFE_OPERATION for a path that is not plainly below the workspace. */
export function requireArtifactPath(path: string): void {
  const problem = path.endsWith('/') ? 'is a directory' : nameProblem(posix.normalize(path));
  if (problem !== undefined) throw unsafe(path, problem);
}

/**
 * Opens a claimed file below the workspace, after symlinks.
 * @throws ReeveError E_UNSAFE_OPERATION when it is elsewhere, E_ACCEPT_MISSING_ARTIFACT when there is no such file.
 */
export async function openArtifact(workspace: string, path: string): Promise<FileHandle> {
  const root = await realpath(workspace).catch((cause: unknown) => missing(path, cause));
  const target = await realpath(resolve(root, path)).catch((cause: unknown) => missing(path, cause));
  const inside = relative(root, target);
  if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside))
    throw unsafe(path, 'leads out of the workspace');
  // Without following a link that was put there meanwhile, and without waiting for the writer of a pipe.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(target, flags).catch((cause: unknown) => missing(path, cause));
  if ((await file.stat()).isFile()) return file;
  await file.close();
  return missing(path, new Error('not a regular file'));
}

/** The bytes of a file from its beginning. A chunk is valid until the next is asked for. */
export async function* fileChunks(file: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

function unsafe(path: string, problem: string): ReeveError {
  return new ReeveError('E_UNSAFE_OPERATION', `the artifact ${JSON.stringify(path)} ${problem}`, { path });
}

function missing(path: string, cause: unknown): never {
  const { code = 'no regular file' } = cause as NodeJS.ErrnoException;
  throw new ReeveError(
    'E_ACCEPT_MISSING_ARTIFACT',
    `the artifact ${JSON.stringify(path)} cannot be read (${code})`,
    { artifact: path, cause: code },
    { cause },
  );
}
