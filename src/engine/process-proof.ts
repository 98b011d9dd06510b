/**
 * Leases that name the process that took them, so that others on the same machine can tell its end for certain.
 *
 * A lease is `lease-<pid>-<digits>` (contract wrkr §c: unix nanoseconds, which nobody reads). The digits say which system
 * the process id belongs to (a hash of the boot, the process id namespace and the time namespace), when the process
 * started, and a count. A process that cannot say this of itself takes leases that prove nothing.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import type { Deaths } from './ports.ts';
import { sha256 } from './system.ts';

/** Digits of the system's hash; of the start, in ticks of 10 ms since the boot; then the count. */
const SYSTEM_DIGITS = 13;
const START_DIGITS = 11;
const LEASE = new RegExp(`^lease-([1-9]\\d{0,9})-(\\d{${SYSTEM_DIGITS}})(\\d{${START_DIGITS}})\\d+$`);

export interface ProcessMark {
  /** Digits; equal only where a process id names the same process. */
  readonly system: string;
  /** Digits. */
  readonly start: string;
}

let own: ProcessMark | 'unknown' | undefined;
let count = 0;

/** A lease of this process, unlike every other one. */
export function newLeaseId(): string {
  own ??= readMark() ?? 'unknown';
  count += 1;
  if (own === 'unknown') return `lease-${process.pid}-${process.hrtime.bigint()}`;
  return leaseIdOf(process.pid, own, count);
}

export function leaseIdOf(pid: number, { system, start }: ProcessMark, n: number): string {
  return `lease-${pid}-${system}${start}${n}`;
}

/** Proof by the process table of this system. Of leases taken elsewhere, or by a process with no mark, there is none. */
export const systemDeaths: Deaths = {
  isDead(leaseId) {
    const [, id, system, start] = LEASE.exec(leaseId) ?? [];
    if (id === undefined || system === undefined || start === undefined) return false;
    own ??= readMark() ?? 'unknown';
    if (own === 'unknown' || own.system !== system) return false;
    return isGone(Number(id), start);
  },
};

/** An id that another process has by now proves nothing: only one that is free, or is still this one's, does. */
function isGone(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const stat = readStat(String(pid));
  // Killed, and only waiting to be collected: no thread of it is left but the first.
  return stat !== undefined && stat.start === start && /^[ZX]$/.test(stat.state) && stat.threads <= 1;
}

/** What marks this process. @returns undefined where the system does not tell, or tells it of another process. */
export function readMark(): ProcessMark | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const pids = readlinkSync('/proc/self/ns/pid');
    const stat = readStat('self');
    // A /proc of another namespace would show somebody else below our id.
    if (boot === '' || stat?.pid !== process.pid) return undefined;
    const digest = BigInt(`0x${sha256(JSON.stringify([boot, pids, timeNamespace()])).slice(0, 16)}`);
    return { system: String(digest).padStart(SYSTEM_DIGITS, '0').slice(-SYSTEM_DIGITS), start: stat.start };
  } catch {
    return undefined;
  }
}

/** Start times are told in it. Kernels before 5.6 have none. */
function timeNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/time');
  } catch {
    return '';
  }
}

interface Stat {
  readonly pid: number;
  readonly state: string;
  readonly threads: number;
  readonly start: string;
}

/** From /proc/<pid>/stat; its second field, the program's name, may hold spaces and parentheses. */
function readStat(pid: string): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state = '', threads = '', start = ''] = [fields[0], fields[17], fields[19]];
    return {
      pid: Number.parseInt(text, 10),
      state,
      threads: Number(threads),
      start: start.padStart(START_DIGITS, '0'),
    };
  } catch {
    return undefined;
  }
}
