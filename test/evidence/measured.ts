import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('measured-child.ts', import.meta.url));

/** Runs an action in a process of its own with a small heap. @returns what it says, and its peak memory in MiB. */
export async function measured(
  action: string,
  path: string,
  heapMiB: number,
): Promise<{ code: string; peakMiB: number }> {
  const child = spawn(process.execPath, [`--max-old-space-size=${heapMiB}`, CHILD, action, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  await new Promise((resolve) => child.on('close', resolve));
  return JSON.parse(text) as { code: string; peakMiB: number };
}
