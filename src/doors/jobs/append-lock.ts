/**
 * `append.lock` in a directory that is not ours (contract wrkr §d, "Lock"). We never take it; while a living process
 * holds it, its job is not read.
 */
import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ReeveError } from '../../model/errors.ts';
import { isAlive } from './process-alive.ts';

const WAIT_MS = 10_000;
const POLL_MS = 20;
/** A lock without a readable pid is its writer's, who has just created it, until it is this old. */
const STALE_AFTER_MS = 120_000;

/** @throws ReeveError E_STORE_BUSY when the lock is still held after `waitMs`. */
export async function waitForAppendLock(path: string, waitMs = WAIT_MS): Promise<void> {
  const until = performance.now() + waitMs;
  for (;;) {
    const holder = await holderOf(path);
    if (holder === undefined) return;
    if (performance.now() >= until) {
      throw new ReeveError('E_STORE_BUSY', `${path} is held by ${holder}`, { file: path, holder });
    }
    await delay(POLL_MS);
  }
}

/** Who holds the lock; undefined when nobody does, or nobody who lives. */
async function holderOf(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new ReeveError(
      'E_STORE_UNAVAILABLE',
      `${path} cannot be read (${error.code})`,
      { file: path },
      { cause: error },
    );
  });
  if (file === undefined) return undefined;
  try {
    const [pid] = /(?<=^pid=)[1-9]\d{0,9}(?=;)/.exec(await file.readFile('latin1')) ?? [];
    if (pid !== undefined) return isAlive(Number(pid)) ? `process ${pid}` : undefined;
    const { mtimeMs } = await file.stat();
    return Date.now() - mtimeMs < STALE_AFTER_MS ? 'a process that has not named itself' : undefined;
  } finally {
    await file.close();
  }
}
