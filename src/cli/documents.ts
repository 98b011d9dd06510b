/** JSON and YAML that a person gives to a command: in a file, or as words. */
import { extname, resolve } from 'node:path';
import { readTextFile } from '../doors/jobs/read-text.ts';
import { fieldErrors } from '../doors/arp/wire/validate.ts';
import { ReeveError } from '../model/errors.ts';
import type { CliContext } from './command.ts';

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: it cannot be read, or is neither JSON nor YAML */
export async function documentIn(ctx: CliContext, name: string, field: string): Promise<unknown> {
  const path = resolve(ctx.cwd, name);
  const text = await readTextFile({ path, what: 'the file', field });
  if (text === undefined) throw refusal(field, `names a file that does not exist: ${path}`);
  if (extname(path).toLowerCase() === '.json') return jsonIn(text, field, path);
  const { parseDocument } = await import('yaml');
  const doc = parseDocument(text, { version: '1.2', schema: 'core' });
  const [problem] = [...doc.errors, ...doc.warnings];
  if (problem !== undefined)
    throw refusal(field, `is no plain YAML: ${problem.message.split('\n')[0]} (${path})`);
  try {
    return doc.toJS();
  } catch (error) {
    throw refusal(field, `is no plain YAML: ${(error as Error).message} (${path})`);
  }
}

/** JSON, or with `@` the name of a file. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function jsonOrFile(ctx: CliContext, text: string, field: string): Promise<unknown> {
  return text.startsWith('@') ? documentIn(ctx, text.slice(1), field) : jsonIn(text, field);
}

const FORMS = 'write {"key": "text"}, @file, key=text or key:=json';

/**
 * An object of several parts: JSON or `@file`, `key=text`, `key:=json`. What comes later wins.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export async function objectOf(
  ctx: CliContext,
  parts: readonly string[],
  field: string,
): Promise<Readonly<Record<string, unknown>>> {
  const fields = new Map<string, unknown>();
  for (const part of parts) {
    const [, key, operator, text = ''] = /^([^\s"'@{}[\]=:]+)(:?=)(.*)$/s.exec(part) ?? [];
    if (key !== undefined) {
      fields.set(key, operator === ':=' ? jsonIn(text, `${field} ${key}`) : text);
      continue;
    }
    if (!/^\s*[{[@]/.test(part)) throw refusal(field, `is ${JSON.stringify(part.slice(0, 100))}; ${FORMS}`);
    const value = await jsonOrFile(ctx, part, field);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw refusal(field, `is no JSON object; ${FORMS}`);
    for (const [name, each] of Object.entries(value)) fields.set(name, each);
  }
  return Object.fromEntries(fields);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA with every problem and its place */
export async function requireShape(schema: object, value: unknown, what: string): Promise<void> {
  const errors = await fieldErrors(schema, value, []);
  const [first] = errors;
  if (first === undefined) return;
  const problems = errors.map(({ loc, msg }) => ({ field: loc.join('.') || what, problem: msg }));
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${what} is not valid: ${first.loc.join('.') || 'it'} ${first.msg}`,
    { field: what, problems },
  );
}

function jsonIn(text: string, field: string, path?: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const place = path === undefined ? '' : ` (${path})`;
    throw refusal(field, `is no JSON: ${(error as Error).message}${place}`);
  }
}

function refusal(field: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${field} ${problem}`, { field, problem });
}
