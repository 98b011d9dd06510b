// J21: every skill passes, finds, skips and gives up as its tests/cases.json says, and no defect of its original recurs.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { casesOf, perform, SKILLS, type Case, type Outcome } from './rig.ts';

const skills = readdirSync(SKILLS).filter((name) => existsSync(join(SKILLS, name, 'skill.json')));
const REPORT_KEYS = ['skill', 'version', 'outcome', 'findings', 'metrics'];

describe.each(skills)('%s', (skill) => {
  const cases = casesOf(skill);

  test.concurrent.each(cases)('J21 $kind: $name', async (one) => {
    await perform(skill, one, (outcome) => expectOutcome(skill, one, outcome));
  });

  test('has a case of every kind', () => {
    const kinds = new Set(cases.map(({ kind }) => kind));
    for (const kind of ['pass', 'violation', 'skipped', 'error'] as const) expect(kinds).toContain(kind);
  });

  test('--json prints the report and nothing else', async () => {
    const one = cases.find(({ kind }) => kind === 'violation')!;
    await perform(skill, one, ({ stdout, report }) => expect(JSON.parse(stdout)).toEqual(report), ['--json']);
  });

  test('a skip counts as exit 3 where it has to be strict', async () => {
    const one = cases.find(({ kind }) => kind === 'skipped')!;
    const strict = { ...one, env: { ...one.env, JARVAS_STRICT: '1' } };
    await perform(skill, strict, ({ exit }) => expect(exit).toBe(3));
  });

  test('--help names every argument; an unknown one is a usage error, and nothing is done', async () => {
    const { args } = JSON.parse(readFileSync(join(SKILLS, skill, 'skill.json'), 'utf8')) as {
      args: readonly { name: string }[];
    };
    const expected: Case['expect'] = { exit: 0 };
    await perform(
      skill,
      { name: '', kind: 'usage', args: ['--help'], expect: expected },
      ({ exit, stdout }) => {
        expect(exit).toBe(0);
        for (const { name } of args) expect(stdout).toMatch(new RegExp(`^  --${name}\\b.*  \\S`, 'm'));
      },
    );
    const wrong: Case = { name: '', kind: 'usage', args: ['--no-such-option'], expect: { exit: 2 } };
    await perform(skill, wrong, (outcome) => expectOutcome(skill, wrong, outcome));
  });
});

function expectOutcome(skill: string, { kind, expect: expected }: Case, outcome: Outcome): void {
  const { exit, stdout, stderr, report, fill, read } = outcome;
  const said = `${stdout}${stderr}`;
  expect(exit, said).toBe(expected.exit);
  if (kind === 'usage') {
    expect(stdout).toBe('');
    expect(report).toBeUndefined();
  } else {
    expect(Object.keys(report!)).toEqual(REPORT_KEYS);
    expect(report).toMatchObject({ skill, outcome: kind });
  }
  const lines = said.split('\n').slice(0, -1);
  for (const line of lines) expect(line).toMatch(kind === 'usage' ? /./ : /^(?:OK|WARN|FAIL|SKIP|ERROR): ./);
  for (const line of expected.lines ?? []) {
    const start = fill(line);
    expect(
      lines.some((one) => one.startsWith(start)),
      `${start}\nis not in\n${said}`,
    ).toBe(true);
  }
  for (const finding of expected.findings ?? []) {
    const filled = Object.fromEntries(Object.entries(finding).map(([key, value]) => [key, fill(value)]));
    expect(report!.findings, said).toContainEqual(expect.objectContaining(filled));
  }
  if (expected.report !== undefined) expect(report).toMatchObject(expected.report);
  const everything = `${said}${JSON.stringify(report)}`;
  for (const text of expected.absent ?? []) expect(everything).not.toContain([text].flat().join(''));
  for (const [path, text] of Object.entries(expected.files ?? {})) {
    expect(read(path), path).toBe(text === null ? null : fill(text));
  }
}
