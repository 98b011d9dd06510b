/** A run that was under way when its runner was killed. */
import { existsSync } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, killRest } from '../../../executors/process/processes.ts';
import { ARTIFACTS_VARIABLE } from './environment.ts';
import { RUNNING_FILE, type RunningMark } from './run-folder.ts';
import { removeScratch } from './scratch.ts';

/** `none`: there is no such run; `finished`: it has its summary, and stays; `running`: somebody is still at work. */
export type Leftover = 'none' | 'finished' | 'running' | 'set_aside';

/**
 * Ends what is left of a run whose runner is gone, and renames its directory to `<runId>.attempt-<n>`, so that the id is
 * free for the next attempt (contract agents §2.2).
 * @param attempt of the run that is left, from 1.
 */
export async function setAsideLeftover(runsDir: string, runId: string, attempt: number): Promise<Leftover> {
  const directory = join(runsDir, runId);
  if (!existsSync(directory)) return 'none';
  if (existsSync(join(directory, 'artifacts', 'summary.json'))) return 'finished';
  const mark = await readMark(directory);
  if (mark !== undefined) {
    if (isAlive(mark.runner)) return 'running';
    const leader = mark.leader === undefined ? {} : { leader: mark.leader };
    await killRest({ mark: mark.artifacts, marker: ARTIFACTS_VARIABLE, ...leader, askedBy: 'stranger' });
    await removeScratch(mark.scratch);
  }
  await rename(directory, `${directory}.attempt-${attempt}`);
  return 'set_aside';
}

/** Undefined where none was written yet: then nothing was started. */
async function readMark(directory: string): Promise<RunningMark | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, RUNNING_FILE), 'utf8')) as RunningMark;
  } catch {
    return undefined;
  }
}
