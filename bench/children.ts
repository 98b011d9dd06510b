/** Starts one measurement as a process and reads what it prints. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Measured, Order } from './subject.ts';

/** Process groups under way, with the servers that they started: they end with us. */
const groups = new Set<number>();
process.on('exit', () => {
  for (const pid of groups) endGroup(pid);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** For a child that was started `detached`. */
export function endsWithUs({ pid }: ChildProcess): void {
  if (pid !== undefined) groups.add(pid);
}

/** Also what it left behind. */
export function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  groups.delete(pid);
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // nobody is left
  }
}

/** No measurement takes longer than this, milliseconds. */
const LIMIT_MS = 600_000;

async function run(script: string, args: readonly string[]): Promise<string> {
  const child = spawn(
    process.execPath,
    ['--expose-gc', fileURLToPath(new URL(script, import.meta.url)), ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT_MS, detached: true },
  );
  endsWithUs(child);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  endGroup(child.pid);
  if (status !== 0) throw new Error(`${script} ${args.join(' ')}: ${signal ?? `exit ${status}`}`);
  return said;
}

export async function runSubject(order: Order): Promise<Measured> {
  const lines = (await run('subject.ts', [JSON.stringify(order)])).trim().split('\n');
  return JSON.parse(lines.at(-1) ?? '') as Measured;
}

/** A benchmark that publishes by itself. */
export async function runScript(script: string, args: readonly string[]): Promise<void> {
  process.stdout.write(await run(script, args));
}
