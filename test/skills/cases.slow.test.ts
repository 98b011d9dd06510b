// J21, J22: every skill of ours is a package that CI would take, with all its cases, and what all skills share holds for each.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultOf } from '../../src/doors/agents/skills/perform.ts';
import { validateSkill } from '../../src/doors/agents/skills/validate.ts';
import { casesOf, perform, SKILLS, type Case } from './rig.ts';

const skills = readdirSync(SKILLS).filter((name) => existsSync(join(SKILLS, name, 'skill.json')));

describe.each(skills)('%s', (skill) => {
  test('J21 J22 is a good package, and all its cases go as they say', async () => {
    const { built, cases, problems } = await validateSkill(join(SKILLS, skill));
    expect(problems.map(({ reason, message }) => `${reason}: ${message}`)).toEqual([]);
    expect(cases).toBe(casesOf(skill).length);
    expect(built?.digest).toMatch(/^sha256:/);
  });

  test('--json prints the report and nothing else', async () => {
    const one = casesOf(skill).find(({ kind }) => kind === 'violation')!;
    await perform(skill, one, ({ stdout, report }) => expect(JSON.parse(stdout)).toEqual(report), ['--json']);
  });

  test('a skip counts as exit 3 where it has to be strict', async () => {
    const one = casesOf(skill).find(({ kind }) => kind === 'skipped')!;
    const strict = { ...one, env: { ...one.env, JARVAS_STRICT: '1' } };
    await perform(skill, strict, ({ exit }) => expect(exit).toBe(3));
  });

  test('--help names every argument; an unknown one is a usage error, and nothing is done', async () => {
    const { args } = JSON.parse(readFileSync(join(SKILLS, skill, 'skill.json'), 'utf8')) as {
      args: readonly { name: string }[];
    };
    const help: Case = { name: '', kind: 'usage', args: ['--help'], expect: { exit: 0 } };
    await perform(skill, help, ({ exit, stdout }) => {
      expect(exit).toBe(0);
      for (const { name } of args) expect(stdout).toMatch(new RegExp(`^  --${name}\\b.*  \\S`, 'm'));
    });
    const wrong: Case = { name: '', kind: 'usage', args: ['--no-such-option'], expect: { exit: 2 } };
    await perform(skill, wrong, (outcome) => {
      expect(outcome.exit).toBe(2);
      expect(faultOf(skill, wrong, outcome)).toBeUndefined();
    });
  });
});
