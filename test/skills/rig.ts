/**
 * Runs skills as agents do: the real program in a process of its own, in a fresh folder, with no more of the machine than a
 * case names. Validation of packages runs cases in the same way. The form of tests/cases.json is told in skills/README.md.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case } from '../../src/doors/agents/skills/cases.ts';
import {
  perform as performCase,
  type CaseOutcome as Outcome,
  type SkillReport as Report,
  type Subject,
} from '../../src/doors/agents/skills/perform.ts';

export type { Case, Outcome, Report };

export const SKILLS = fileURLToPath(new URL('../../skills', import.meta.url));

export function casesOf(skill: string): readonly Case[] {
  return JSON.parse(readFileSync(join(SKILLS, skill, 'tests/cases.json'), 'utf8')) as Case[];
}

/** Runs one case from beginning to end, in a folder that is gone afterwards. `look` sees it before. */
export function perform(
  skill: string,
  one: Case,
  look: (outcome: Outcome) => void,
  more: readonly string[] = [],
): Promise<void> {
  const folder = join(SKILLS, skill);
  const argv = [process.execPath, join(folder, 'check.mjs')];
  const subject: Subject = { name: skill, interpreter: 'node', argv, tests: join(folder, 'tests') };
  return performCase(subject, one, look, more);
}
