/** Durations as Go writes them, `168h`, `1h30m`, `1.5h`, `300ms` (contract wrkr §d, "Prune"). */
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5
  μs: 1e-3, // U+03BC
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
/** Go counts nanoseconds in 63 bits. */
const MAX_MS = 9_223_372_036_854;

/** Milliseconds; undefined for what is no duration above zero that Go can hold (W33: `7d`, `-1`). */
export function parsePositiveDuration(text: string): number | undefined {
  if (text.length > 200 || !DURATION.test(text)) return undefined;
  let ms = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(PART)) ms += Number(amount) * (UNIT_MS[unit] ?? 0);
  return ms >= 1e-6 && ms <= MAX_MS ? ms : undefined;
}
