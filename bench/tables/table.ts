import { showSpread, type Spread } from '../measure.ts';

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Digits that are worth reading: 0.81, 12.3, 4,056. */
export function show(found: Spread | undefined): string {
  if (found === undefined) return '–';
  const { median } = found;
  return showSpread(found, median < 10 ? 2 : median < 100 ? 1 : 0);
}

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

export const times = (ratio: number): string => `${ratio.toFixed(ratio < 10 ? 1 : 0)} ×`;
