// Acceptance without a program: configuration, checks, messages, JUnit (contract wrkr §g).
import { describe, expect, test } from 'vitest';
import { acceptConfigOf, type PathRules } from '../../src/evidence/accept/config.ts';
import {
  commandCheck,
  pathConstraints,
  requiredArtifacts,
  schemaValidity,
  type CommandOutcome,
} from '../../src/evidence/accept/checks.ts';
import { junitXml } from '../../src/evidence/accept/junit.ts';
import { acceptResult, type AcceptCheck } from '../../src/evidence/accept/result.ts';
import { Claims } from '../../src/evidence/claims.ts';
import { fitsSchema } from '../../src/evidence/pack-reader.ts';

function claimsOf(...deltas: { added?: string[]; changed?: string[]; removed?: string[] }[]): Claims {
  const claims = new Claims();
  for (const delta of deltas) claims.add({ artifacts_delta: delta });
  return claims;
}

const isThere = async (): Promise<undefined> => undefined;
const ENDED: CommandOutcome = { exitCode: 0, timedOut: false, output: '', isCut: false };

describe('configuration', () => {
  test('an empty document is all defaults, and the default commands are empty', () => {
    expect(acceptConfigOf({})).toEqual({
      requiredArtifacts: [],
      artifactsOnDisk: false,
      testCommand: '',
      lintCommand: '',
      commandTimeoutMs: 900_000,
      pathRules: {
        maxArtifactPaths: 0,
        forbiddenPrefixes: [],
        allowedPrefixes: [],
        mode: 'text',
        onlyAllowed: false,
      },
    });
  });

  test('lists are trimmed, unique and sorted by their bytes', () => {
    const config = acceptConfigOf({ required_artifacts: [' b', 'é', 'a ', 'Z', 'a', ' '] });
    expect(config.requiredArtifacts).toEqual(['Z', 'a', 'b', 'é']);
  });
});

describe('required artifacts', () => {
  const config = acceptConfigOf({ required_artifacts: ['c', 'b', 'a'] });

  test('are those that some checkpoint says were added or changed; the first missing one is named', async () => {
    const found = await requiredArtifacts(config, claimsOf({ added: ['a'], removed: ['b'] }), isThere);
    expect(found).toEqual({
      name: 'required_artifacts',
      passed: false,
      message: 'required artifact b is in no checkpoint (and 1 more)',
      reason_code: 'E_ACCEPT_MISSING_ARTIFACT',
      artifact: 'b',
    });
    const all = claimsOf({ added: ['a', 'b'] }, { changed: ['c'], removed: ['a'] });
    expect(await requiredArtifacts(config, all, async () => 'asked')).toMatchObject({ passed: true });
  });

  test('with artifacts_on_disk, what stands and what is required is looked up, and nothing that was removed', async () => {
    const claims = claimsOf(
      { added: ['a', 'gone', 'x'] },
      { changed: ['c', 'b'], removed: ['gone', 'b', 'a'] },
    );
    const asked: string[] = [];
    const onDisk = acceptConfigOf({ required_artifacts: ['a'], artifacts_on_disk: true });
    const found = await requiredArtifacts(onDisk, claims, async (path) => {
      asked.push(path);
      return path === 'x' ? 'x is away' : undefined;
    });
    expect(asked).toEqual(['a', 'b', 'c', 'x']);
    expect(found).toMatchObject({ passed: false, message: 'x is away', artifact: 'x' });
  });
});

describe('path rules', () => {
  const claims = claimsOf(
    { added: ['reports/x', './dist//app'] },
    { changed: ['src/a'], removed: ['old/b'] },
  );
  const check = (rules: object): AcceptCheck =>
    pathConstraints(acceptConfigOf({ path_rules: { ...rules } }), claims);

  test('the limit counts added, changed and removed paths once each', () => {
    expect(check({ max_artifact_paths: 4 })).toMatchObject({ passed: true });
    expect(check({ max_artifact_paths: 3 })).toMatchObject({ passed: false });
    expect(check({ max_artifact_paths: 0 })).toMatchObject({ passed: true });
  });

  test.each<[string, PathRules['mode'], boolean]>([
    ['rep', 'text', true],
    ['rep', 'segments', false],
    ['reports', 'segments', true],
    ['reports/', 'segments', true],
    ['./reports/x', 'segments', true],
    ['dist', 'text', false],
    ['dist', 'segments', true],
    ['old', 'segments', true],
    ['.', 'segments', true],
  ])('the forbidden prefix %s, as %s: %s', (prefix, mode, isHit) => {
    const found = check({ forbidden_prefixes: [prefix], mode });
    expect(found.passed).toBe(!isHit);
    expect(found.artifact === undefined).toBe(!isHit);
  });

  test('a way round through .. is seen in segments', () => {
    const sly = claimsOf({ added: ['src/../secret/key'] });
    const rules = { path_rules: { mode: 'segments', forbidden_prefixes: ['secret'] } };
    expect(pathConstraints(acceptConfigOf(rules), sly)).toMatchObject({ artifact: 'src/../secret/key' });
  });

  test('each allowed prefix must begin some path; others are refused only with only_allowed', () => {
    expect(check({ allowed_prefixes: ['src', 'old'] })).toMatchObject({ passed: true });
    expect(check({ allowed_prefixes: ['src', 'none'] })).toMatchObject({ passed: false });
    expect(check({ allowed_prefixes: ['src', 'old'], only_allowed: true })).toMatchObject({
      passed: false,
      artifact: './dist//app',
    });
    const all = ['src', 'old', 'reports', 'dist'];
    expect(check({ allowed_prefixes: all, only_allowed: true, mode: 'segments' })).toMatchObject({
      passed: true,
    });
    expect(check({ only_allowed: true })).toMatchObject({ passed: false });
  });
});

describe('W61 messages of commands', () => {
  const message = (outcome: Partial<CommandOutcome>): string =>
    commandCheck('test_command', { ...ENDED, exitCode: 1, ...outcome }, 900_000).message;

  test('an empty command fails; exit code 0 passes', () => {
    expect(commandCheck('lint_command', undefined, 1)).toEqual({
      name: 'lint_command',
      passed: false,
      message: 'lint_command is empty',
      reason_code: 'E_ACCEPT_TEST_FAIL',
    });
    expect(commandCheck('lint_command', ENDED, 1).passed).toBe(true);
    expect(commandCheck('lint_command', { ...ENDED, timedOut: true }, 1500).message).toBe(
      'command timed out after 1.5 s (exit=0): (no output)',
    );
  });

  test('the output is trimmed, and cut at 400 bytes', () => {
    expect(message({ output: ' \n' })).toBe('command failed (exit=1): (no output)');
    expect(message({ exitCode: 7, output: '\n no \n' })).toBe('command failed (exit=7): no');
    expect(message({ output: 'x'.repeat(400) })).toBe(`command failed (exit=1): ${'x'.repeat(400)}`);
    expect(message({ output: `${'x'.repeat(400)}\n` })).toBe(`command failed (exit=1): ${'x'.repeat(400)}`);
    expect(message({ output: 'x'.repeat(401) })).toBe(`command failed (exit=1): ${'x'.repeat(400)}...`);
    expect(message({ output: `a${' '.repeat(407)}`, isCut: true })).toBe(
      `command failed (exit=1): a${' '.repeat(399)}...`,
    );
  });

  test('the cut falls between characters', () => {
    expect(message({ output: `x${'é'.repeat(300)}` })).toBe(
      `command failed (exit=1): x${'é'.repeat(199)}...`,
    );
    expect(message({ output: '🦦'.repeat(101) })).toBe(`command failed (exit=1): ${'🦦'.repeat(100)}...`);
  });
});

describe('the result', () => {
  const checks: readonly AcceptCheck[] = [
    schemaValidity('checkpoint cp_4 does not fit'),
    { name: 'required_artifacts', passed: true, message: 'fine' },
    pathConstraints(
      acceptConfigOf({ path_rules: { forbidden_prefixes: ['a'] } }),
      claimsOf({ added: ['a'] }),
    ),
    commandCheck('test_command', undefined, 1),
    commandCheck('lint_command', undefined, 1),
  ];
  const about = { jobId: 'j', createdAt: '2026-01-02T03:04:05Z', producerVersion: '1' };

  test('W60 counts, failures in order, reason codes once and in order', () => {
    const result = acceptResult(checks, about);
    expect(result).toMatchObject({ checks_run: 5, checks_passed: 1, job_id: 'j' });
    expect(result.failures.map(({ check }) => check)).toEqual([
      'schema_validity',
      'path_constraints',
      'test_command',
      'lint_command',
    ]);
    expect(result.failures[1]).toMatchObject({ artifact: 'a' });
    expect(result.reason_codes).toEqual(['E_ACCEPT_MISSING_ARTIFACT', 'E_ACCEPT_TEST_FAIL']);
    expect(fitsSchema('accept/accept_result.json', result)).toBe(true);
    expect(acceptResult([], about)).toMatchObject({ checks_run: 0, failures: [], reason_codes: [] });
  });

  test('W61 JUnit: escapes, indentation, explicit end tags, final newline; no character that XML has not', () => {
    const hostile = `"a" 'b' <c> & ]]>\n\t\u001b[31m\u0000\ud800\ufffe é🦦`;
    expect(
      junitXml([
        { name: 'schema_validity', passed: true, message: 'fine' },
        { name: 'lint_command', passed: false, message: hostile, reason_code: 'E_ACCEPT_TEST_FAIL' },
      ]),
    ).toBe(
      [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<testsuite name="wrkr-accept" tests="2" failures="1">',
        '  <testcase classname="wrkr.accept" name="schema_validity"></testcase>',
        '  <testcase classname="wrkr.accept" name="lint_command">',
        '    <failure message="&#34;a&#34; &#39;b&#39; &lt;c&gt; &amp; ]]&gt;&#xA;&#x9;\ufffd[31m\ufffd\ufffd\ufffd é🦦">E_ACCEPT_TEST_FAIL</failure>',
        '  </testcase>',
        '</testsuite>',
        '',
      ].join('\n'),
    );
  });
});
