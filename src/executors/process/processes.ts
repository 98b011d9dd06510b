/**
 * Operating system processes: who is who, who belongs to a command, and their end.
 *
 * A process id alone names nobody, since ids are used again. A process is named by id, start time and boot: on Linux
 * from /proc, elsewhere from `ps`. A command's processes are those of its session and group, those that carry its
 * marker in their environment (a process that left by `setsid` keeps it), and the descendants of all these.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The environment variable that tells a command its effect key. */
export const EFFECT_KEY_VARIABLE = 'REEVE_EFFECT_KEY';
/**
 * The environment variable that marks every process of an attempt with the path of its record. An effect key alone is no
 * mark: another store on this machine may run a job of the same id.
 */
export const MARKER = 'REEVE_ATTEMPT';

/** What the processes of an attempt are marked with, whatever way its store was named. */
export function markOf(record: string): string {
  return realpathSync(record);
}

const LINUX = process.platform === 'linux';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal only for the same process. */
  readonly startTime: string;
  /** Opaque; changes with every start of the machine. Empty where the system has no such id. */
  readonly bootId: string;
}

interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  readonly group: number;
  readonly session: number;
  readonly startTime: string;
  /** Ended, and only waiting to be collected by its parent. */
  readonly zombie: boolean;
}

/** Names a process; also a child that ended already but has not been collected. */
export function identify(pid: number): ProcessIdentity | undefined {
  const entry = find(pid);
  return entry === undefined ? undefined : { pid, startTime: entry.startTime, bootId: bootId() };
}

export function isAlive(identity: ProcessIdentity): boolean {
  const found = find(identity.pid);
  if (found === undefined || found.zombie) return false;
  return found.startTime === identity.startTime && identity.bootId === bootId();
}

export interface CommandTrace {
  /** See `markOf`. */
  readonly mark: string;
  /** The variable that holds it; default `MARKER`. */
  readonly marker?: string;
  /** The command's first process, leader of its session and group; undefined if it was never learned. */
  readonly leader?: ProcessIdentity;
  /**
   * `parent`: asked by the supervisor, whose child's id cannot have passed to another group yet.
   * `stranger`: asked later; a group whose leader is gone counts only as far as its members carry the marker.
   */
  readonly askedBy: 'parent' | 'stranger';
}

/** The live processes of a command, without the caller. */
export function processesOf(trace: CommandTrace): readonly ProcessEntry[] {
  const { leader } = trace;
  if (leader !== undefined && leader.bootId !== bootId()) return [];
  const entries = (LINUX ? listProc() : listWithPs(['-ax'])).filter((entry) => !entry.zombie);
  const trusted =
    leader !== undefined && (trace.askedBy === 'parent' || isAlive(leader)) ? leader.pid : undefined;
  const mine = new Set<number>();
  for (const entry of entries) {
    if (entry.group === trusted || entry.session === trusted || isMarked(entry, trace)) mine.add(entry.pid);
  }
  for (let grew = true; grew; ) {
    grew = false;
    for (const entry of entries) {
      if (mine.has(entry.pid) || !mine.has(entry.ppid)) continue;
      mine.add(entry.pid);
      grew = true;
    }
  }
  mine.delete(process.pid);
  return entries.filter((entry) => mine.has(entry.pid));
}

/**
 * Kills what is left of a command, again and again while new processes appear, for up to 2 s.
 * @returns how many different processes were killed.
 */
export async function killRest(trace: CommandTrace): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < 200; round += 1) {
    const left = processesOf(trace);
    if (left.length === 0) break;
    for (const { pid } of left) {
      killed.add(pid);
      signal(pid, 'SIGKILL');
    }
    await delay(10);
  }
  return killed.size;
}

/** Asks a command to end: its group at once, then those that left the group, each by itself. */
export function terminate(trace: CommandTrace & { readonly leader: ProcessIdentity }): void {
  const group = trace.leader.pid;
  signal(-group, 'SIGTERM');
  signal(-group, 'SIGCONT'); // a stopped process hears of nothing else
  for (const entry of processesOf(trace)) if (entry.group !== group) signal(entry.pid, 'SIGTERM');
}

/** Sends a signal; a process or group (negative id) that is gone or not ours is no error. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

let cachedBootId: string | undefined;
function bootId(): string {
  cachedBootId ??= readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  return cachedBootId;
}

function find(pid: number): ProcessEntry | undefined {
  return LINUX ? readProc(pid) : listWithPs(['-p', String(pid)])[0];
}

function isMarked(entry: ProcessEntry, trace: CommandTrace): boolean {
  // A process older than the command is not one of its own: saves reading most environments.
  if (!LINUX || (trace.leader !== undefined && Number(entry.startTime) < Number(trace.leader.startTime)))
    return false;
  const environment = readText(`/proc/${entry.pid}/environ`);
  return (
    environment !== undefined && `\0${environment}\0`.includes(`\0${trace.marker ?? MARKER}=${trace.mark}\0`)
  );
}

function listProc(): ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const entry = Number.isInteger(pid) ? readProc(pid) : undefined;
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** From /proc/<pid>/stat; its second field, the program's name, may hold spaces and parentheses. */
function readProc(pid: number): ProcessEntry | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const [state, ppid, group, session, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const zombie = state === 'Z' || state === 'X';
  return {
    pid,
    ppid: Number(ppid),
    group: Number(group),
    session: Number(session),
    startTime: rest[15] ?? '',
    zombie,
  };
}

/** Elsewhere than Linux; sessions are not told there (0). */
function listWithPs(selection: readonly string[]): ProcessEntry[] {
  const args = [...selection, '-o', 'pid=,ppid=,pgid=,stat=,lstart='];
  let text: string;
  try {
    text = execFileSync('ps', args, {
      encoding: 'utf8',
      env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return []; // ps ends with 1 when nothing was found
  }
  return text.split('\n').flatMap((line) => {
    const [pid, ppid, group, state, ...started] = line.trim().split(/\s+/);
    if (pid === undefined || pid === '' || state === undefined) return [];
    const startTime = started.join(' ');
    const zombie = state.startsWith('Z');
    return [{ pid: Number(pid), ppid: Number(ppid), group: Number(group), session: 0, startTime, zombie }];
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // gone, or not ours to read
  }
}
