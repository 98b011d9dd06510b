/** The cases of a skill, `tests/cases.json`: what they hold is told in skills/README.md. */
import { problemsOf } from '../../validate.ts';
import { OUTCOMES, type SkillOutcome } from './manifest.ts';
import { SkillProblem } from './problem.ts';

export const CASES = 'tests/cases.json';

/** More about a file than its text. */
export interface CaseFile {
  readonly text?: string | readonly string[];
  /** A file of tests/, byte by byte. */
  readonly from?: string;
  /** Days since it was changed. */
  readonly ageDays?: number;
  /** Octal. */
  readonly mode?: string;
  /** A symbolic link to this. */
  readonly link?: string;
}
/** Files by path, or the name of a folder of tests/. */
export type CaseTree = string | Readonly<Record<string, string | readonly string[] | CaseFile>>;

export interface Case {
  readonly name: string;
  readonly kind: SkillOutcome | 'usage';
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly root?: CaseTree;
  readonly files?: CaseTree;
  readonly tools?: CaseTree;
  /** A script of tests/ and its arguments, which runs beside the skill. */
  readonly beside?: readonly string[];
  readonly expect: {
    readonly exit: number;
    readonly lines?: readonly string[];
    readonly findings?: readonly Readonly<Record<string, string>>[];
    readonly report?: Readonly<Record<string, unknown>>;
    readonly absent?: readonly (string | readonly string[])[];
    readonly files?: Readonly<Record<string, string | null>>;
  };
}

const STRING = { type: 'string' };
const STRINGS = { type: 'array', items: STRING };
const TEXT = { anyOf: [STRING, STRINGS] };
const TREE = {
  anyOf: [
    STRING,
    {
      type: 'object',
      additionalProperties: {
        anyOf: [
          TEXT,
          {
            type: 'object',
            additionalProperties: false,
            properties: {
              text: TEXT,
              from: STRING,
              ageDays: { type: 'number' },
              mode: { type: 'string', pattern: '^[0-7]{3}$' },
              link: STRING,
            },
          },
        ],
      },
    },
  ],
};
const SCHEMA = {
  type: 'array',
  minItems: 1,
  maxItems: 500,
  items: {
    type: 'object',
    required: ['name', 'kind', 'expect'],
    additionalProperties: false,
    properties: {
      name: STRING,
      kind: { enum: [...OUTCOMES, 'usage'] },
      args: STRINGS,
      env: { type: 'object', additionalProperties: STRING },
      root: TREE,
      files: TREE,
      tools: TREE,
      beside: { ...STRINGS, minItems: 1 },
      expect: {
        type: 'object',
        required: ['exit'],
        additionalProperties: false,
        properties: {
          exit: { type: 'integer', minimum: 0, maximum: 255 },
          lines: STRINGS,
          findings: { type: 'array', items: { type: 'object', additionalProperties: STRING } },
          report: { type: 'object' },
          absent: { type: 'array', items: TEXT },
          files: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
        },
      },
    },
  },
};

/** @throws SkillProblem bad_cases */
export async function readCases(bytes: Uint8Array): Promise<readonly Case[]> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new SkillProblem('bad_cases', `${CASES} is no JSON in UTF-8`, CASES);
  }
  const [wrong] = await problemsOf(SCHEMA, value);
  if (wrong !== undefined)
    throw new SkillProblem('bad_cases', `${CASES}: ${wrong.field || 'the document'} ${wrong.problem}`, CASES);
  return value as readonly Case[];
}
