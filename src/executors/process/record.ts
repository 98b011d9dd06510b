/**
 * The record of an attempt on disk: `<recordsDir>/<effectKey>/`. It outlives both the engine and the supervisor.
 *
 *   claim         who decides over this key, made once, whole and durable: the supervisor, before it starts the
 *                 command, or a recovering engine, after which no supervisor will ever start it (I5)
 *   started.json  the command's first process
 *   usage.json    what the command reported so far
 *   cancel        why a stranger asked the supervisor to stop (canceled | over_budget)
 *   stdout.tail, stderr.tail    the last 64 KiB of each stream
 *   exit.json     how it ended; written last, never changed
 *   fault         why the supervisor itself failed, if it could still say so
 *
 * Directories have mode 0700 and files 0600. No value of the command's environment is written anywhere (I9).
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RuntimeError, RuntimeOutcome } from '../../engine/executor.ts';
import type { Usage } from '../../model/usage.ts';
import type { ProcessIdentity } from './processes.ts';

export type Claim =
  | { readonly by: 'supervisor'; readonly atMs: number; readonly supervisor: ProcessIdentity }
  | { readonly by: 'recovery'; readonly atMs: number };

export interface Started {
  readonly startedAtMs: number;
  readonly leader: ProcessIdentity;
}

export interface Exit {
  readonly outcome: RuntimeOutcome;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly error?: RuntimeError;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly usage: Partial<Usage>;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** True when a tail is not all that was kept of its stream. */
  readonly truncated: boolean;
  /** Lines longer than the usage source accepts. */
  readonly skippedLines: number;
  readonly model?: string;
  readonly sessionId?: string;
  /** Why the full capture is incomplete. */
  readonly captureError?: string;
}

export const RECORD_FILES = {
  claim: 'claim',
  started: 'started.json',
  usage: 'usage.json',
  cancel: 'cancel',
  stdout: 'stdout.tail',
  stderr: 'stderr.tail',
  exit: 'exit.json',
  fault: 'fault',
} as const;

/** @throws TypeError for a key that is not one, above all for `..`. */
export function recordPath(recordsDir: string, effectKey: string): string {
  if (!/^[A-Za-z0-9._-]{1,200}$/.test(effectKey) || /^\.+$/.test(effectKey)) {
    throw new TypeError(
      `effect key ${JSON.stringify(effectKey)}: expected [A-Za-z0-9._-]{1,200}, not only dots`,
    );
  }
  return join(recordsDir, effectKey);
}

/** Makes the directory that holds the records, durably. */
export async function makeRecordsDir(recordsDir: string): Promise<void> {
  for (const made of await makeDirectories(recordsDir)) await syncDirectory(dirname(made));
}

/**
 * Makes a directory and those above it. Not by mkdir's `recursive`, which never returns where a file system answers
 * ENOENT to any mkdir, as /proc does (seen in Node 24).
 * @returns those that were absent, the outermost first.
 */
export async function makeDirectories(path: string): Promise<string[]> {
  try {
    await mkdir(path, { mode: 0o700 });
    return [path];
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return [];
    if (!isErrno(error, 'ENOENT') || dirname(path) === path) throw error;
  }
  const above = await makeDirectories(dirname(path));
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  return [...above, path];
}

/** @returns false if the key already has a record. */
export async function makeRecord(record: string): Promise<boolean> {
  try {
    await mkdir(record, { mode: 0o700 });
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/**
 * Takes the claim if it is free. Durable when this returns, with the directories that lead to it: a claim lost by
 * power failure would let the command run twice (I5). The file is linked into place, so no one sees half of it.
 * @throws ENOENT if the record has been removed meanwhile.
 */
export async function takeClaim(record: string, claim: Claim): Promise<boolean> {
  const draft = await writeDraft(record, RECORD_FILES.claim, JSON.stringify(claim), 'durable');
  try {
    await link(draft, join(record, RECORD_FILES.claim));
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await Promise.all([syncDirectory(record), syncDirectory(dirname(record))]);
  return true;
}

/**
 * Replaces a file of the record as a whole. `durable`: it survives a power failure once this returns; `synced`: once
 * a durable write to the same record returns; `quick`: perhaps not.
 */
export async function writeRecordFile(
  record: string,
  name: string,
  content: string | Uint8Array,
  how: 'durable' | 'synced' | 'quick',
): Promise<void> {
  const draft = await writeDraft(record, name, content, how);
  await rename(draft, join(record, name));
  if (how === 'durable') await syncDirectory(record);
}

/** @returns undefined if the file is absent. @throws SyntaxError if it is no JSON. */
export async function readRecordFile<T>(record: string, name: string): Promise<T | undefined> {
  const bytes = await readRecordBytes(record, name);
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString('utf8')) as T);
}

export async function readRecordBytes(record: string, name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(record, name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

async function writeDraft(
  record: string,
  name: string,
  content: string | Uint8Array,
  how: 'durable' | 'synced' | 'quick',
): Promise<string> {
  const draft = join(record, `.${name}-${randomBytes(6).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(content);
    if (how !== 'quick') await file.sync();
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return draft;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
