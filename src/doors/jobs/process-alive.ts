import { readFileSync } from 'node:fs';

/** Whether a process of this machine still runs. A zombie does not: it was killed, and its parent has yet to notice. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    // `pid (name) state …`; a name may hold anything, also parentheses.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return true; // no /proc here, or it has just gone: the next look says so
  }
}
