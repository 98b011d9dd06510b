/** Time as width: waiting would hide the work, so long waits are drawn short, and marked. */
import type { StorySpan } from '../story.ts';

/** A wait takes at most this share of the width that all running takes. */
const WAIT_MAX = 0.15;

export interface Segment {
  readonly span: StorySpan;
  /** Percent of the width. */
  readonly fromX: number;
  readonly toX: number;
  readonly isShortened: boolean;
}

export class TimeScale {
  readonly segments: readonly Segment[];
  readonly #startMs: number;

  constructor(spans: readonly StorySpan[], startMs: number) {
    this.#startMs = startMs;
    const runningMs = spans.reduce((sum, span) => sum + (span.pace === 'running' ? lengthOf(span) : 0), 0);
    const longestMs = runningMs === 0 ? Infinity : Math.max(1, runningMs * WAIT_MAX);
    const widths = spans.map((span) =>
      span.pace === 'running' ? lengthOf(span) : Math.min(lengthOf(span), longestMs),
    );
    const whole = widths.reduce((sum, width) => sum + width, 0) || 1;
    let done = 0;
    this.segments = spans.map((span, at) => {
      const width = widths[at] ?? 0;
      const fromX = (100 * done) / whole;
      done += width;
      return { span, fromX, toX: (100 * done) / whole, isShortened: width < lengthOf(span) };
    });
  }

  get hasShortened(): boolean {
    return this.segments.some(({ isShortened }) => isShortened);
  }

  /** Place of an instant, percent of the width. */
  x(atMs: number): number {
    const { segments } = this;
    let [low, high] = [0, segments.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((segments[middle]?.span.toMs ?? 0) < atMs) low = middle + 1;
      else high = middle;
    }
    const segment = segments[low];
    if (segment === undefined) return 0;
    const { span, fromX, toX } = segment;
    const share = (atMs - span.fromMs) / Math.max(1, lengthOf(span));
    return fromX + Math.min(1, Math.max(0, share)) * (toX - fromX);
  }

  /** Milliseconds since the start at a place. */
  elapsedAt(x: number): number {
    const segment = this.segments.find(({ toX }) => toX >= x - 1e-9);
    if (segment === undefined) return 0;
    const { span, fromX, toX } = segment;
    const share = toX === fromX ? 0 : (x - fromX) / (toX - fromX);
    return span.fromMs + share * lengthOf(span) - this.#startMs;
  }
}

/** A number for an attribute: short, and the same everywhere. */
export function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function lengthOf({ fromMs, toMs }: StorySpan): number {
  return toMs - fromMs;
}
