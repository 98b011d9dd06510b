// W3C trace context: what is read, what is written, and the ids that follow from a run.
import { describe, expect, test } from 'vitest';
import {
  attemptSpan,
  nextSpan,
  parseTraceparent,
  runSpan,
  traceparentText,
} from '../../src/telemetry/trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('traceparent', () => {
  test('is read and written back', () => {
    const text = `00-${TRACE}-${SPAN}-01`;
    const context = parseTraceparent(text, 'vendor=1');
    expect(context).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true, state: 'vendor=1' });
    expect(traceparentText(context ?? nextSpan(undefined))).toBe(text);
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-02`)).toEqual({
      traceId: TRACE,
      spanId: SPAN,
      sampled: false,
    });
  });

  test.for([
    ['a later version with more in it', `cc-${TRACE}-${SPAN}-01-more`, true],
    ['this version with more in it', `00-${TRACE}-${SPAN}-01-more`, false],
    ['the version that is none', `ff-${TRACE}-${SPAN}-01`, false],
    ['no trace', `00-${'0'.repeat(32)}-${SPAN}-01`, false],
    ['no span', `00-${TRACE}-${'0'.repeat(16)}-01`, false],
    ['capitals', `00-${TRACE.toUpperCase()}-${SPAN}-01`, false],
    ['too short', `00-${TRACE}-${SPAN}`, false],
    ['two headers', [`00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01`], false],
    ['nothing', undefined, false],
  ] as const)('%s', ([, header, isKnown]) => {
    expect(parseTraceparent(header) !== undefined).toBe(isKnown);
  });

  test('a state that is too long or no text is left out', () => {
    const header = `00-${TRACE}-${SPAN}-01`;
    for (const state of ['x'.repeat(513), 'a\u0000b', undefined])
      expect(parseTraceparent(header, state)).not.toHaveProperty('state');
  });
});

test('I10 every process finds the same span for a run and its attempts', () => {
  const free = runSpan('r', {});
  expect(free).toEqual(runSpan('r', {}));
  expect(free.parent).toBeUndefined();
  expect(free.context.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(free.context.traceId).not.toBe(runSpan('r2', {}).context.traceId);
  const asked = runSpan('r', { traceparent: `00-${TRACE}-${SPAN}-00` });
  expect(asked.parent).toMatchObject({ traceId: TRACE, spanId: SPAN });
  expect(asked.context).toEqual({ traceId: TRACE, spanId: free.context.spanId, sampled: false });
  expect(runSpan('r', { traceparent: 'nonsense' })).toEqual(free);
  const attempt = attemptSpan(asked.context, 'r.1.1');
  expect(attempt).toMatchObject({ traceId: TRACE, sampled: false });
  expect(attempt.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(
    new Set([attempt.spanId, asked.context.spanId, attemptSpan(asked.context, 'r.1.2').spanId]).size,
  ).toBe(3);
});
