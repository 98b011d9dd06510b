// `reeve accept run` on a terminal.
import { expect, test } from 'vitest';
import type { AcceptRun } from '../../../src/doors/jobs/accept.ts';
import { acceptanceLines } from '../../../src/cli/ui/acceptance.ts';
import { PLAIN } from '../../../src/cli/ui/colour.ts';
import { paint } from '../../../src/cli/ui/text.ts';

const RUN: AcceptRun = {
  job_id: 'j',
  config_path: '/w/accept.yaml',
  accept_result_path: '/s/jobs/j/accept_result.json',
  accept_result: {
    schema_id: 'wrkr.accept_result',
    schema_version: 'v1',
    created_at: '2026-01-02T03:04:05Z',
    producer_version: '1',
    job_id: 'j',
    checks_run: 2,
    checks_passed: 1,
    failures: [{ check: 'test_command', message: 'see below' }],
    reason_codes: ['E_ACCEPT_TEST_FAIL'],
  },
  checks: [
    { name: 'schema_validity', passed: true, message: 'fine' },
    {
      name: 'test_command',
      passed: false,
      message: 'command failed (exit=1): the first line is rather long\n\u001b[2Jthe second',
      reason_code: 'E_ACCEPT_TEST_FAIL',
    },
  ],
  junit_path: '/w/out/accept.xml',
};

const shown = (run: AcceptRun, width: number): string[] =>
  acceptanceLines(run, width).map((line) => paint(line, width, PLAIN));

test('a verdict, the checks with what failed in full, and where things are', () => {
  expect(shown(RUN, 40)).toEqual([
    'j  not accepted  1 of 2 checks passed',
    '',
    '  passed  schema_validity',
    '  failed  test_command',
    '          command failed (exit=1): the',
    '          first line is rather long',
    '          \\u001b[2Jthe second',
    '',
    'result   /s/jobs/j/accept_result.json',
    'junit    /w/out/accept.xml',
  ]);
});

test('an accepted job', () => {
  const { junit_path: _, ...run } = RUN;
  const accepted = { ...run, accept_result: { ...RUN.accept_result, checks_passed: 2, failures: [] } };
  expect(shown(accepted, 80)[0]).toBe('j  accepted  2 of 2 checks passed');
});
