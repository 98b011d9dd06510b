/** Reads the policy language of ARP (contract arp §6). What it does not know it refuses: a misread Deny would let through. */
import { ReeveError } from '../../model/errors.ts';
import { glob } from './glob.ts';

export interface Statement {
  /** From 1, as it stands in the file. */
  readonly number: number;
  readonly sid?: string;
  readonly effect: 'allow' | 'deny';
  readonly actions: readonly Test[];
  readonly resources: readonly Test[];
  readonly conditions: readonly Condition[];
}

export type Test = (text: string) => boolean;

export interface Condition {
  readonly key: string;
  /** One of these must fit. */
  readonly tests: readonly Test[];
}

export interface Policy {
  readonly version?: string;
  readonly statements: readonly Statement[];
}

const FIELDS: ReadonlySet<string> = new Set([
  'Sid',
  'statement_id',
  'Effect',
  'Action',
  'Resource',
  'Condition',
]);
type Fields = Readonly<Record<string, unknown>>;

const OPERATORS: Readonly<Record<string, (expected: string) => Test>> = {
  StringEquals: (expected) => (actual) => actual === expected,
  StringLike: glob,
};

/** @throws ReeveError E_INVALID_INPUT_SCHEMA with the place in `details.field` */
export function parsePolicy(document: unknown): Policy {
  const policy = fieldsOf(document, '', 'the policy');
  const { Version: version } = policy;
  if (version !== undefined && typeof version !== 'string' && typeof version !== 'number')
    throw wrong('/Version', 'must be a text');
  if (!Object.hasOwn(policy, 'Statement')) throw wrong('/Statement', 'is missing');
  const listed = policy['Statement'];
  const statements = Array.isArray(listed)
    ? listed.map((item, at) => statementOf(item, at + 1, `/Statement/${at}`))
    : [statementOf(listed, 1, '/Statement')];
  return { ...(version === undefined ? {} : { version: String(version) }), statements };
}

function statementOf(value: unknown, number: number, at: string): Statement {
  const fields = fieldsOf(value, at, 'a statement');
  for (const key of Object.keys(fields))
    if (!FIELDS.has(key)) throw wrong(`${at}/${key}`, 'is no known field');
  const sid = fields['Sid'] ?? fields['statement_id'];
  if (sid !== undefined && typeof sid !== 'string') throw wrong(`${at}/Sid`, 'must be a text');
  return {
    number,
    ...(sid === undefined ? {} : { sid }),
    effect: effectOf(fields['Effect'], `${at}/Effect`),
    actions: patternsOf(fields['Action'], `${at}/Action`),
    resources: patternsOf(fields['Resource'], `${at}/Resource`),
    conditions: conditionsOf(fields['Condition'], `${at}/Condition`),
  };
}

function effectOf(value: unknown, at: string): 'allow' | 'deny' {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : '';
  if (word === 'allow' || word === 'deny') return word;
  throw wrong(at, 'must be Allow or Deny');
}

function patternsOf(value: unknown, at: string): readonly Test[] {
  const patterns: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (patterns.length === 0) throw wrong(at, 'must not be empty');
  return patterns.map((pattern) => {
    if (typeof pattern === 'string' && pattern !== '') return glob(pattern);
    throw wrong(at, 'must be a pattern, or a list of patterns');
  });
}

/** All of them must hold: across operators, and across the keys of one. */
function conditionsOf(value: unknown, at: string): readonly Condition[] {
  if (value === undefined) return [];
  return Object.entries(fieldsOf(value, at, 'a condition')).flatMap(([operator, operand]) => {
    const test = Object.hasOwn(OPERATORS, operator) ? OPERATORS[operator] : undefined;
    if (test === undefined) {
      const known = Object.keys(OPERATORS).join(', ');
      throw wrong(`${at}/${operator}`, `is no known operator; known are ${known}`);
    }
    return Object.entries(fieldsOf(operand, `${at}/${operator}`, 'an operand')).map(([key, expected]) => {
      const texts = textsOf(expected);
      if (texts === undefined) throw wrong(`${at}/${operator}/${key}`, 'must be a value or a list of values');
      return { key, tests: texts.map(test) };
    });
  });
}

/** Values as they are compared: nulls are skipped. Undefined: an object or a list in a list, which cannot be compared. */
export function textsOf(value: unknown): readonly string[] | undefined {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.some((item) => typeof item === 'object' && item !== null)) return undefined;
  return values.filter((item) => item !== null && item !== undefined).map(String);
}

function fieldsOf(value: unknown, at: string, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(at, `must be an object: ${what}`);
}

function wrong(field: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the policy is not valid: ${field || 'it'} ${problem}`, {
    field,
    problem,
  });
}
