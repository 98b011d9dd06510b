/**
 * What a command left in its artifacts directory. That directory is private and goes away: only what has been redacted
 * reaches the run, and no name of the runner's own files can be taken.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareBytes, nameProblem } from '../../../evidence/entry-names.ts';
import { writeFileAtomically } from '../../../evidence/output-file.ts';
import type { Redaction } from '../../../policy/redaction/redaction.ts';
import type { RunFileEntry } from './artifacts.ts';

const FILES_MAX = 1_000;
const DEPTH_MAX = 16;
const OURS: ReadonlySet<string> = new Set(['output.raw', 'summary.json', 'meta.json']);

export interface Collected {
  readonly files: readonly RunFileEntry[];
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/**
 * @param from the private directory; @param to the run's directory.
 * @param bytesMax of all files together; what does not fit is skipped.
 */
export async function collectArtifacts(
  from: string,
  to: string,
  bytesMax: number,
  redaction: Redaction,
): Promise<Collected> {
  const files: RunFileEntry[] = [];
  const skipped: { path: string; reason: string }[] = [];
  const taken = new Set<string>(OURS);
  let room = bytesMax;
  for (const { name, isFile } of await list(from)) {
    const kept = redaction.path(name);
    const problem = isFile ? nameReason(kept, taken, files.length) : 'is no regular file';
    if (problem !== undefined) {
      skipped.push({ path: visible(kept), reason: problem });
      continue;
    }
    const path = `artifacts/${kept}`;
    const entry = await copyRedacted(join(from, name), join(to, path), room, redaction);
    if (typeof entry === 'string') {
      skipped.push({ path, reason: entry });
      continue;
    }
    taken.add(kept);
    room -= entry.size;
    files.push({ path, ...entry });
  }
  return { files, skipped };
}

function nameReason(name: string, taken: ReadonlySet<string>, count: number): string | undefined {
  if (taken.has(name)) return OURS.has(name) ? "is a name of the runner's own" : 'is there twice';
  if (name.split('/').some((part) => part.startsWith('.tmp-'))) return "is a name of the runner's own";
  return count >= FILES_MAX ? `is more than ${FILES_MAX} files` : nameProblem(name);
}

/** What cannot be in a path, shown as `?`. */
function visible(name: string): string {
  // eslint-disable-next-line no-control-regex -- matching control characters is the purpose
  return name.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?').slice(0, 1_000);
}

/** Everything that is no directory, in the order of names. */
async function list(root: string): Promise<{ name: string; isFile: boolean }[]> {
  const found: { name: string; isFile: boolean }[] = [];
  const walk = async (below: string, depth: number): Promise<void> => {
    const entries = await readdir(join(root, below), { withFileTypes: true }).catch(() => undefined);
    if (entries === undefined) found.push({ name: below, isFile: false });
    for (const entry of entries ?? []) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory() && depth < DEPTH_MAX) await walk(name, depth + 1);
      else found.push({ name, isFile: entry.isFile() });
      if (found.length > 2 * FILES_MAX) return;
    }
  };
  await walk('', 0);
  return found.toSorted((a, b) => compareBytes(a.name, b.name));
}

/** @returns size and digest of what was written, or why nothing was. */
async function copyRedacted(
  from: string,
  to: string,
  room: number,
  redaction: Redaction,
): Promise<{ size: number; sha256: string } | string> {
  // A process that could not be killed may have put a link or a FIFO in its place meanwhile.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const source = await open(from, flags).catch((error: NodeJS.ErrnoException) => error);
  if (source instanceof Error) return `cannot be read (${source.code})`;
  try {
    const stat = await source.stat();
    if (!stat.isFile()) return 'is no regular file';
    if (stat.size > room) return 'is beyond the limit of bytes';
    const filter = redaction.stream();
    const hash = createHash('sha256');
    const buffer = Buffer.alloc(64 * 1024);
    let size = 0;
    await writeFileAtomically(
      to,
      async (sink) => {
        const keep = async (bytes: Buffer): Promise<void> => {
          size += bytes.length;
          hash.update(bytes);
          await sink.write(bytes);
        };
        for (let at = 0; at < stat.size; ) {
          const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, stat.size - at), at);
          if (bytesRead === 0) break;
          await keep(filter.push(buffer.subarray(0, bytesRead)));
          at += bytesRead;
        }
        await keep(filter.end());
      },
      { mode: 0o640 },
    );
    return { size, sha256: hash.digest('hex') };
  } finally {
    await source.close();
  }
}
