/** Small tools of the benchmarks: medians with their spread, and where they were measured. */
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** Of sorted values. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function showSpread({ median, min, max }: Spread, digits: number): string {
  const show = (value: number): string =>
    value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return `${show(median)} (${show(min)}–${show(max)})`;
}

export function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${memory} GiB, ${process.platform}, Node ${process.versions.node}`;
}

/** A warning for the page where others were at work when we began; empty on a quiet machine. */
export function busyNote([load = 0] = loadavg()): string {
  if (load < availableParallelism() / 2) return '';
  return `**The machine was busy (load ${load.toFixed(1)} before the start): these figures say little.**\n\n`;
}
