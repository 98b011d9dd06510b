/**
 * Checks values against the few words of JSON Schema that the schemas of a pack use. A pack has tens of thousands of
 * small documents; this is several times faster than a general validator, needs none to be loaded, and is tested
 * against one on random documents.
 */
import { trimmedTime } from './time.ts';

export interface Schema {
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly minLength?: number;
  /** Characters, not bytes. */
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: 'date-time';
  readonly minimum?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
}

/** What is wrong, and where as a JSON pointer; undefined when the value fits. */
export type Check = (value: unknown) => ShapeProblem | undefined;
export interface ShapeProblem {
  readonly field: string;
  readonly problem: string;
}

export function compile(schema: Schema): Check {
  if (schema.const !== undefined) return oneOf([schema.const]);
  if (schema.enum !== undefined) return oneOf(schema.enum);
  switch (schema.type) {
    case 'string':
      return text(schema);
    case 'integer':
      return integer(schema);
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? undefined : wrong('must be true or false'));
    case 'array':
      return list(schema);
    case 'object':
      return record(schema);
    default:
      return () => undefined;
  }
}

function wrong(problem: string): ShapeProblem {
  return { field: '', problem };
}

function within(key: string | number, { field, problem }: ShapeProblem): ShapeProblem {
  const part = String(key).replaceAll('~', '~0').replaceAll('/', '~1');
  return { field: `/${part}${field}`, problem };
}

function oneOf(words: readonly string[]): Check {
  const known = new Set<unknown>(words);
  return (value) => (known.has(value) ? undefined : wrong(`must be ${words.join(', ')}`));
}

function text({ minLength = 0, maxLength = Infinity, pattern, format }: Schema): Check {
  const expression = pattern === undefined ? undefined : new RegExp(pattern, 'u');
  return (value) => {
    if (typeof value !== 'string') return wrong('must be a text');
    if (value.length < minLength) return wrong('must not be empty');
    // A character is one or two units of the string: it is counted only where that can matter.
    if (value.length > maxLength && Array.from(value).length > maxLength)
      return wrong(`must not be longer than ${maxLength} characters`);
    if (expression?.test(value) === false) return wrong(`must match ${pattern}`);
    if (format === 'date-time' && trimmedTime(value) === undefined)
      return wrong('must be an RFC 3339 date-time');
    return undefined;
  };
}

function integer({ minimum = -Infinity }: Schema): Check {
  return (value) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) return wrong('must be a whole number');
    return value < minimum ? wrong(`must be at least ${minimum}`) : undefined;
  };
}

function list({ items = {} }: Schema): Check {
  const check = compile(items);
  return (value) => {
    if (!Array.isArray(value)) return wrong('must be a list');
    for (const [at, item] of value.entries()) {
      const problem = check(item);
      if (problem !== undefined) return within(at, problem);
    }
    return undefined;
  };
}

function record({ required = [], properties = {}, additionalProperties = true }: Schema): Check {
  const checks = new Map(Object.entries(properties).map(([key, schema]) => [key, compile(schema)]));
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return wrong('must be an object');
    for (const key of required) {
      if (!Object.hasOwn(value, key)) return within(key, wrong('is missing'));
    }
    for (const key of Object.keys(value)) {
      const check = checks.get(key);
      if (check === undefined && !additionalProperties) return within(key, wrong('is no known field'));
      const problem = check?.((value as Record<string, unknown>)[key]);
      if (problem !== undefined) return within(key, problem);
    }
    return undefined;
  };
}
