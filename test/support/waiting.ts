/** Waiting for other processes, and looking whether they are there. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Nothing in these tests takes this long; whoever waits longer waits for what will not come. */
const DEADLINE_MS = 25_000;

/** Looks until it is so. For what no event announces. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const giveUpAtMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > giveUpAtMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await delay(20);
  }
}

/** One that has ended and waits to be collected is not alive. */
export function isAlive(pid: number): boolean {
  try {
    if (process.platform !== 'linux') return process.kill(pid, 0);
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
