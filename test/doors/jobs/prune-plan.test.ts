import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePositiveDuration } from '../../../src/doors/jobs/duration.ts';
import {
  parsePruneFlags,
  prunePlan,
  pruneReport,
  type PruneCriteria,
  type PruneFact,
} from '../../../src/doors/jobs/prune-plan.ts';
import { expectCode } from './support.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2025, 2, 1);

const fact = (
  kind: PruneFact['kind'],
  path: string,
  ageHours: number,
  more: Partial<PruneFact> = {},
): PruneFact => ({
  kind,
  path,
  sizeBytes: 10,
  modTimeMs: NOW - ageHours * HOUR,
  ...more,
});
const criteria = (changes: Partial<PruneCriteria>): PruneCriteria => ({
  maxAgeMs: {},
  maxCount: {},
  includeActive: false,
  ...changes,
});

describe('Go durations', () => {
  test.each([
    ['168h', 168 * HOUR],
    ['1h30m', 1.5 * HOUR],
    ['1.5h', 1.5 * HOUR],
    ['300ms', 300],
    ['.5s', 500],
    ['1.s', 1000],
    ['2us', 0.002],
    ['2µs', 0.002],
    ['2μs', 0.002],
    ['1ns', 1e-6],
    ['1m1m', 120_000],
  ])('%s', (text, ms) => {
    expect(parsePositiveDuration(text)).toBeCloseTo(ms, 9);
  });

  test.each([
    '7d',
    '-1',
    '-1h',
    '+1h',
    '0',
    '0s',
    '',
    'h',
    '1',
    '1.h.',
    '.h',
    '1 h',
    '1H',
    '1e3s',
    '0.1ns',
    '3000000h',
    '1h ',
    '١h',
  ])('W33: %j is refused', (text) => {
    expect(parsePositiveDuration(text)).toBeUndefined();
  });

  test('whole milliseconds are read back exactly', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(59), fc.nat(59), fc.integer({ min: 1, max: 999 }), (h, m, s, ms) => {
        expect(parsePositiveDuration(`${h}h${m}m${s}s${ms}ms`)).toBe(h * HOUR + m * 60_000 + s * 1000 + ms);
      }),
    );
  });
});

describe('W33: flags', () => {
  test('at least one criterion', async () => {
    await expectCode('E_INVALID_INPUT_SCHEMA', () => parsePruneFlags({ includeActive: true }));
  });

  test.each([
    { jobMaxAge: '7d' },
    { reportMaxAge: '-1h' },
    { maxJobpacks: '-1' },
    { maxReports: '1.5' },
    { maxReports: '' },
  ])('%j is refused', async (flags) => {
    await expectCode('E_INVALID_INPUT_SCHEMA', () => parsePruneFlags(flags));
  });

  test('what is given is taken, 0 reports included', () => {
    expect(parsePruneFlags({ jobMaxAge: '1h', maxReports: '0' })).toEqual({
      maxAgeMs: { job: HOUR },
      maxCount: { report: 0 },
      includeActive: false,
    });
  });
});

describe('W32: what is chosen', () => {
  test('by age, at the limit already, in the order of paths', () => {
    const facts = [fact('job', 'b', 2), fact('job', 'a', 1), fact('job', 'c', 0.99), fact('report', 'd', 9)];
    const { entries, checked } = prunePlan(facts, criteria({ maxAgeMs: { job: HOUR } }), NOW);
    expect(checked).toBe(4);
    expect(entries).toEqual([
      { kind: 'job', path: 'a', size_bytes: 10, mod_time: '2025-02-28T23:00:00Z', reason: 'age' },
      { kind: 'job', path: 'b', size_bytes: 10, mod_time: '2025-02-28T22:00:00Z', reason: 'age' },
    ]);
  });

  test('by count beyond the newest; age before count', () => {
    const facts = [
      fact('jobpack', 'old', 50),
      fact('jobpack', 'x', 1),
      fact('jobpack', 'y', 1),
      fact('jobpack', 'new', 0),
    ];
    const { entries } = prunePlan(
      facts,
      criteria({ maxAgeMs: { jobpack: 10 * HOUR }, maxCount: { jobpack: 2 } }),
      NOW,
    );
    expect(entries.map(({ path, reason }) => [path, reason])).toEqual([
      ['old', 'age'],
      ['y', 'count'],
    ]);
  });

  test('active jobs are skipped and listed, unless asked for', () => {
    const facts = [fact('job', 'a', 9, { active: true }), fact('job', 'b', 9)];
    const plan = prunePlan(facts, criteria({ maxAgeMs: { job: HOUR } }), NOW);
    expect(plan.entries.map(({ path }) => path)).toEqual(['b']);
    expect(plan.skipped.map(({ path }) => path)).toEqual(['a']);
    const all = prunePlan(facts, criteria({ maxAgeMs: { job: HOUR }, includeActive: true }), NOW);
    expect(all.entries.map(({ path }) => path)).toEqual(['a', 'b']);
    expect(all.skipped).toEqual([]);
  });

  test('an empty job directory is as old as time', () => {
    const { entries } = prunePlan(
      [fact('job', 'a', 0, { modTimeMs: 0 })],
      criteria({ maxAgeMs: { job: HOUR } }),
      NOW,
    );
    expect(entries[0]?.mod_time).toBe('1970-01-01T00:00:00Z');
  });

  test('no more than N are left, and never a newer one goes before an older', () => {
    const facts = fc.uniqueArray(fc.record({ path: fc.string({ minLength: 1 }), age: fc.nat(5) }), {
      selector: ({ path }) => path,
    });
    fc.assert(
      fc.property(facts, fc.nat(10), (list, limit) => {
        const all = list.map(({ path, age }) => fact('report', path, age));
        const gone = new Set(
          prunePlan(all, criteria({ maxCount: { report: limit } }), NOW).entries.map(({ path }) => path),
        );
        const left = all.filter(({ path }) => !gone.has(path));
        expect(left).toHaveLength(Math.min(limit, all.length));
        const oldestLeft = Math.min(...left.map(({ modTimeMs }) => modTimeMs));
        for (const each of all)
          if (gone.has(each.path)) expect(each.modTimeMs).toBeLessThanOrEqual(oldestLeft);
      }),
    );
  });
});

describe('the report', () => {
  const plan = prunePlan(
    [fact('job', 'a', 9), fact('job', 'b', 9)],
    criteria({ maxAgeMs: { job: HOUR } }),
    NOW,
  );

  test('of a dry run removes nothing but names the real candidates', () => {
    const report = pruneReport(plan, NOW, undefined);
    expect(report).toMatchObject({
      dry_run: true,
      checked: 2,
      matched: 2,
      removed: 0,
      freed_bytes: 0,
      entries: plan.entries,
    });
    expect(report.generated_at).toBe('2025-03-01T00:00:00Z');
  });

  test('of a real one counts what went, and names what would not', () => {
    const report = pruneReport(plan, NOW, new Map([['a', 'EACCES']]));
    expect(report).toMatchObject({
      dry_run: false,
      matched: 2,
      removed: 1,
      freed_bytes: 10,
      errors: [{ path: 'a', message: 'EACCES' }],
    });
  });
});
