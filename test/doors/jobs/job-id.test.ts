import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultJobId, isJobId, normaliseJobId, requireJobId } from '../../../src/doors/jobs/job-id.ts';
import { expectCode } from './support.ts';

describe('W38: normalisation', () => {
  test.each([
    ['  Foo Bar/1 ', 'foo_bar_1'],
    ['___', 'job'],
    ['', 'job'],
    ['Größe', 'gr_e'],
    ['../../etc/passwd', 'etc_passwd'],
    ['a  b', 'a__b'],
    ['-x.y-', 'x.y'],
    ['ABC_1.2-3', 'abc_1.2-3'],
  ])('%j → %s', (text, id) => {
    expect(normaliseJobId(text)).toBe(id);
  });

  test('is idempotent, and gives a job id but for inner double dots', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (text) => {
        const id = normaliseJobId(text);
        expect(normaliseJobId(id)).toBe(id);
        expect(isJobId(id)).toBe(!id.includes('..'));
      }),
    );
  });
});

test('the default id names the job and the second, and is always an id', () => {
  expect(defaultJobId('Demo Job', 1_700_000_000_999)).toBe('demo_job_1700000000');
  fc.assert(
    fc.property(fc.string({ maxLength: 400 }), (name) => {
      expect(isJobId(defaultJobId(name, 1e12))).toBe(true);
    }),
  );
});

test.each(['', '.', '..', 'a..b', 'a/b', 'a\\b', 'a b', 'ä', 'a\n', 'a\0', 'x'.repeat(201)])(
  'ill-formed id %j is refused with its name',
  async (id) => {
    const error = await expectCode('E_INVALID_INPUT_SCHEMA', () => requireJobId(id));
    expect(error.exitCode).toBe(6);
    expect(error.details).toHaveProperty('job_id');
  },
);

test('ids of others are taken as they are', () => {
  for (const id of ['A', 'job_wrap_1700000000', 'x-1.Y_2', '-', '_']) expect(requireJobId(id)).toBe(id);
});
