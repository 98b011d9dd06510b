/** What a command reports about its own use: in a file after it ended, on standard output while it runs. */
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Usage } from '../../model/usage.ts';

const FILE_BYTES_MAX = 64 * 1024;

export type FileReport =
  | { readonly kind: 'none' }
  | { readonly kind: 'usage'; readonly usage: Partial<Usage> }
  | { readonly kind: 'invalid'; readonly message: string };

/** Identifies a version of the file, so that one left by an earlier attempt is not counted again. Undefined: none. */
export async function usageFileVersion(path: string): Promise<string | undefined> {
  try {
    const { ino, ctimeNs, size } = await stat(path, { bigint: true });
    return `${ino}:${ctimeNs}:${size}`;
  } catch {
    return undefined;
  }
}

/** @param before the file's version when the command began. */
export async function readUsageFile(path: string, before: string | undefined): Promise<FileReport> {
  const version = await usageFileVersion(path);
  if (version === undefined || version === before) return { kind: 'none' };
  try {
    // Not blocking: a FIFO in its place must not hang the attempt.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) return invalid(path, 'is no regular file');
      const { buffer, bytesRead } = await file.read({
        buffer: Buffer.alloc(FILE_BYTES_MAX + 1),
        position: 0,
      });
      if (bytesRead > FILE_BYTES_MAX) return invalid(path, `is longer than ${FILE_BYTES_MAX} bytes`);
      return parseUsageFile(path, buffer.toString('utf8', 0, bytesRead));
    } finally {
      await file.close();
    }
  } catch (error) {
    return invalid(path, `cannot be read: ${(error as Error).message}`);
  }
}

function parseUsageFile(path: string, text: string): FileReport {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return invalid(path, 'is no JSON');
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    return invalid(path, 'is no JSON object');
  const usage: { -readonly [K in keyof Usage]?: number } = {};
  for (const [name, key, scale] of [
    ['tool_calls', 'toolCalls', 1],
    ['tokens', 'tokens', 1],
    ['estimated_cost', 'costMicros', 1_000_000],
  ] as const) {
    const value = (content as Record<string, unknown>)[name];
    if (value === undefined) continue;
    const whole = typeof value === 'number' ? roundUp(value * scale) : Number.NaN;
    if (!(whole >= 0 && Number.isSafeInteger(whole)))
      return invalid(path, `has ${name} ${JSON.stringify(value)}`);
    usage[key] = whole;
  }
  return { kind: 'usage', usage };
}

/** Up to a whole number, but 0.07 dollars are 70,000 millionths and not 70,001 for being a binary fraction. */
function roundUp(value: number): number {
  return Math.ceil(Number(value.toPrecision(15)));
}

function invalid(path: string, what: string): FileReport {
  return { kind: 'invalid', message: `usage file ${path} ${what}` };
}

/** The greater of both in each key: file and stream tell of the same work, so their sum would count it twice. */
export function greaterUsage(a: Partial<Usage>, b: Partial<Usage>): Partial<Usage> {
  const greater: { -readonly [K in keyof Usage]?: number } = { ...a };
  for (const key of ['toolCalls', 'tokens', 'costMicros'] as const) {
    const value = b[key];
    if (value !== undefined) greater[key] = Math.max(value, a[key] ?? 0);
  }
  return greater;
}

export function exceeds(usage: Partial<Usage>, allowance: Partial<Usage>): boolean {
  return (['toolCalls', 'tokens', 'costMicros'] as const).some(
    (key) => (usage[key] ?? 0) > (allowance[key] ?? Infinity),
  );
}
