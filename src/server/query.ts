/** Reads a query by what the route declares: nothing is coerced that is not exactly of its kind, nothing is dropped. */
import type { QueryParameter, QueryValue } from '../doors/http.ts';
import { problemsOf, refuseProblems, type Problem } from '../doors/validate.ts';

type Declared = Readonly<Record<string, QueryParameter>>;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown, repeated or ill-formed parameters. */
export async function readQuery(
  declared: Declared = {},
  search: string,
): Promise<Readonly<Record<string, QueryValue>>> {
  const given = new URLSearchParams(search);
  if (given.size === 0) return {};
  const problems: Problem[] = [];
  const values: Record<string, QueryValue> = {};
  for (const name of new Set(given.keys())) {
    const spec = Object.hasOwn(declared, name) ? declared[name] : undefined;
    const texts = given.getAll(name);
    const value = spec === undefined ? undefined : valueOf(spec.schema.type, texts);
    if (spec === undefined) {
      const known = Object.keys(declared).join(', ') || 'none';
      problems.push({
        field: `/${name.slice(0, 100)}`,
        problem: `is no known parameter; known are ${known}`,
      });
    } else if (value === undefined) {
      const problem = texts.length > 1 ? 'may be given once' : `must be ${WORDS[spec.schema.type]}`;
      problems.push({ field: `/${name}`, problem, value: (texts[0] ?? '').slice(0, 100) });
    } else {
      values[name] = value;
      problems.push(...(await problemsOf(spec.schema, value, `/${name}`)));
    }
  }
  refuseProblems('the query is not valid', problems);
  return values;
}

const WORDS = {
  string: 'a text',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
} as const;

function valueOf(type: QueryParameter['schema']['type'], texts: readonly string[]): QueryValue | undefined {
  if (type === 'array') return texts;
  const [text = ''] = texts;
  if (texts.length > 1) return undefined;
  switch (type) {
    case 'string':
      return text;
    case 'integer':
      return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : undefined;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
  }
}
