// J21: every skill passes, finds, skips and gives up as its tests/cases.json says, and no defect of its original recurs.
// Here one case of each kind and one defect of each skill; all of them, in packages, are in cases.slow.test.ts.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultOf } from '../../src/doors/agents/skills/perform.ts';
import { casesOf, perform, SKILLS, type Case } from './rig.ts';

const skills = readdirSync(SKILLS).filter((name) => existsSync(join(SKILLS, name, 'skill.json')));
const KINDS = ['pass', 'violation', 'skipped', 'error'] as const;

test('J21 there are 24 skills, three of each pillar', () => {
  const pillars = skills.map((skill) => {
    const manifest = JSON.parse(readFileSync(join(SKILLS, skill, 'skill.json'), 'utf8')) as {
      pillar: string;
    };
    return manifest.pillar;
  });
  const counts = new Map(pillars.map((pillar) => [pillar, pillars.filter((each) => each === pillar).length]));
  expect([...counts.values()]).toEqual([3, 3, 3, 3, 3, 3, 3, 3]);
});

describe.each(skills)('%s', (skill) => {
  test.concurrent.each(sample(casesOf(skill)))('J21 $kind: $name', async (one) => {
    await perform(skill, one, (outcome) => {
      expect(outcome.exit, `${outcome.stdout}${outcome.stderr}`).toBe(one.expect.exit);
      expect(faultOf(skill, one, outcome)).toBeUndefined();
    });
  });

  test('has a case of every kind', () => {
    const kinds = new Set(casesOf(skill).map(({ kind }) => kind));
    for (const kind of KINDS) expect(kinds).toContain(kind);
  });
});

/** A defect where there is one of that kind, since such a case shows more. */
function sample(cases: readonly Case[]): readonly Case[] {
  const isDefect = ({ name }: Case): boolean => name.startsWith('defect');
  return KINDS.flatMap((kind) => {
    const ofKind = cases.filter((one) => one.kind === kind);
    return ofKind.find(isDefect) ?? ofKind.slice(0, 1);
  });
}
