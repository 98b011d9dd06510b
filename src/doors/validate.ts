/**
 * Checks documents against schemas. One Ajv for all; it is imported and a schema compiled when first needed, since most
 * commands need neither (start-up time).
 */
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { trimmedTime } from '../evidence/time.ts';
import { ReeveError } from '../model/errors.ts';

export interface Problem {
  /** JSON pointer. */
  readonly field: string;
  readonly problem: string;
  /** What stands there, when it is short. */
  readonly value?: boolean | number | string | null;
}

const PROBLEMS_MAX = 20;
const VALUE_CHARS_MAX = 100;
/** Most useful first: a misspelt field explains the one that is missing. */
const RANK = ['additionalProperties', 'required', 'type', 'const', 'enum'];

let ajv: Promise<Ajv2020> | undefined;
const compiled = new WeakMap<object, ValidateFunction>();

async function newAjv(): Promise<Ajv2020> {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  const instance = new Ajv2020({ allErrors: true, verbose: true, allowUnionTypes: true });
  instance.addFormat('date-time', { type: 'string', validate: (text) => trimmedTime(text) !== undefined });
  return instance;
}

async function validatorOf(schema: object): Promise<ValidateFunction> {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    ajv ??= newAjv();
    validator = (await ajv).compile(schema);
    compiled.set(schema, validator);
  }
  return validator;
}

/** @param at pointer of the value in its document.  @returns none when the value fits; best first. */
export async function problemsOf(schema: object, value: unknown, at = ''): Promise<readonly Problem[]> {
  const validator = await validatorOf(schema);
  if (validator(value)) return [];
  const errors = (validator.errors ?? []).toSorted((a, b) => rankOf(a) - rankOf(b));
  return errors.map((error) => problemOf(error, at));
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: the first problem, and at most 20 in `problems`. */
export function refuseProblems(what: string, problems: readonly Problem[]): void {
  const [first] = problems;
  if (first === undefined) return;
  const more = problems.length - 1;
  const others = more === 0 ? '' : ` (and ${more} more ${more === 1 ? 'problem' : 'problems'})`;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${what}: ${first.field || 'the document'} ${first.problem}${others}`,
    {
      ...first,
      problems: problems.slice(0, PROBLEMS_MAX),
      problem_count: problems.length,
    },
  );
}

function rankOf(error: ErrorObject): number {
  const rank = RANK.indexOf(error.keyword);
  return rank === -1 ? RANK.length : rank;
}

function problemOf(error: ErrorObject, at: string): Problem {
  const field = `${at}${error.instancePath}`;
  const { params, parentSchema, data } = error;
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys((parentSchema?.['properties'] as object | undefined) ?? {});
      return {
        field: `${field}/${pointerPart(String(params['additionalProperty']))}`,
        problem: `is no known field; known are ${known.join(', ')}`,
      };
    }
    case 'required':
      return { field: `${field}/${pointerPart(String(params['missingProperty']))}`, problem: 'is missing' };
    case 'const':
      return { field, problem: `must be ${JSON.stringify(params['allowedValue'])}`, ...valueOf(data) };
    case 'enum':
      return {
        field,
        problem: `must be one of ${(params['allowedValues'] as string[]).join(', ')}`,
        ...valueOf(data),
      };
    default:
      return { field, problem: error.message ?? `fails ${error.keyword}`, ...valueOf(data) };
  }
}

function valueOf(data: unknown): { value?: boolean | number | string | null } {
  if (typeof data === 'string') return data.length <= VALUE_CHARS_MAX ? { value: data } : {};
  return typeof data === 'boolean' || typeof data === 'number' || data === null ? { value: data } : {};
}

function pointerPart(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
