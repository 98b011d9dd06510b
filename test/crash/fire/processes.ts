/** Processes as /proc tells of them: a campaign runs on Linux. */
import { readdirSync, readFileSync } from 'node:fs';

interface Found {
  readonly pid: number;
  readonly ppid: number;
}

function processes(): Found[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state = '', ppid = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return /[ZX]/.test(state) ? [] : [{ pid: Number(name), ppid: Number(ppid) }];
    } catch {
      return []; // it ended meanwhile
    }
  });
}

/** Of a worker: its supervisors, and all that is below these, parents first. */
export function descendants(pid: number): { children: number[]; all: number[] } {
  const found = processes();
  const childrenOf = (parent: number) => found.filter(({ ppid }) => ppid === parent).map((one) => one.pid);
  const children = childrenOf(pid);
  const below = [...children];
  for (const parent of below) below.push(...childrenOf(parent));
  return { children, all: below };
}

/** Processes with this text in their environment. */
export function carrying(text: string): number[] {
  return processes().flatMap(({ pid }) => {
    try {
      return `\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`.includes(`\0${text}`) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

/** @returns whether it was still there */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
