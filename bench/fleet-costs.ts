/** What a process and an installation cost, as Linux and npm tell. */
import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of a second, as /proc counts processor time. */
const TICKS = 100;
const ROOT = new URL('../', import.meta.url);

export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [user = 0, system = 0] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) / TICKS;
}

/** MiB. */
export function residentMiB(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kib) / 1024;
}

/** What `npm pack` packs, unpacked, and the packages that are installed with it, MiB. */
export function installSize(): { readonly packed: number; readonly dependencies: number } {
  const npm = (...argv: readonly string[]): string =>
    execFileSync('npm', argv, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const about: unknown = JSON.parse(npm('pack', '--dry-run', '--json', '--ignore-scripts'));
  const [pack] = Array.isArray(about) ? about : Object.values(about as object);
  const folders = npm('ls', '--omit=dev', '--all', '--parseable').split('\n').slice(1).filter(Boolean);
  // A package inside another's folder is counted with that one.
  const outer = folders.filter((one) => !folders.some((other) => one.startsWith(`${other}/`)));
  const bytes = outer.reduce((sum, folder) => sum + bytesIn(folder), 0);
  return { packed: (pack as { unpackedSize: number }).unpackedSize / 2 ** 20, dependencies: bytes / 2 ** 20 };
}

function bytesIn(folder: string): number {
  let sum = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) sum += lstatSync(join(entry.parentPath, entry.name)).size;
  return sum;
}
