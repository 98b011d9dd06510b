/** Starts one measurement as a process and reads what it prints. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Measured, Order } from './subject.ts';

/** No measurement takes longer than this, milliseconds. */
const LIMIT_MS = 300_000;

async function run(script: string, args: readonly string[]): Promise<string> {
  const child = spawn(
    process.execPath,
    ['--expose-gc', fileURLToPath(new URL(script, import.meta.url)), ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT_MS },
  );
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
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
