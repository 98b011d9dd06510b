/** Packages of skills on the wire; contract agents leaves open how they reach agents. */
import { COUNT, list, object, TEXT, TIME, type TypeOf } from '../../wire-schema.ts';
import { DIGEST, SEMVER, SKILL_NAME } from './common.ts';

export const PUBLISHED_SKILL = object(
  { name: SKILL_NAME, version: SEMVER, digest: DIGEST, size: COUNT, published_at: TIME, published_by: TEXT },
  {},
);
export type PublishedSkill = TypeOf<typeof PUBLISHED_SKILL>;
export const SKILL_LIST = object({ skills: list(PUBLISHED_SKILL) }, {});
