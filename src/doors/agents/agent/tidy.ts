/** Removes what an agent has kept for long enough: its runs that were delivered, and packages. Nobody else's. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { attemptIn } from './begun.ts';

const DAY_MS = 86_400_000;
/** A package that is needed again is fetched again. */
const PACKAGE_DAYS = 30;
/** What was cut off, and has no documents that say whose it is: only agents name directories so. */
const SET_ASIDE = /\.attempt-\d+$/;

interface Tidying {
  readonly runsDir: string;
  readonly packages: string;
  readonly agentId: string;
  readonly keepDays: number;
  /** Directories of runs that are to be delivered. */
  readonly waiting: ReadonlySet<string>;
}

/** What cannot be removed stays, and is tried again the next time. */
export async function tidy({ runsDir, packages, agentId, keepDays, waiting }: Tidying): Promise<void> {
  for (const name of await readdir(runsDir).catch(() => [])) {
    const path = join(runsDir, name);
    if (waiting.has(path.replace(SET_ASIDE, ''))) continue;
    const isOurs = (await attemptIn(path, agentId)) !== undefined;
    const isLeft = SET_ASIDE.test(name) && !(await isThere(join(path, 'artifacts', 'meta.json')));
    if ((isOurs || isLeft) && (await isOlder(path, keepDays))) await drop(path);
  }
  for (const name of await readdir(packages).catch(() => [])) {
    const path = join(packages, name);
    if (await isOlder(path, PACKAGE_DAYS)) await drop(path);
  }
}

async function isOlder(path: string, days: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > days * DAY_MS;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function drop(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}
