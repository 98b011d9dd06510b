/** Reads `ARP_AUTH_…`. What is empty counts as not set; a refusal names variable, value and what is accepted. */
import { ReeveError } from '../../model/errors.ts';
import type { Variables } from '../key-source.ts';
import { urlProblem } from './json-request.ts';

export function textOf(env: Variables, name: string): string | undefined {
  const text = env[name]?.trim() ?? '';
  return text === '' ? undefined : text;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function urlOf(name: string, text: string): URL {
  const problem = urlProblem(text);
  if (problem !== undefined)
    throw refusal(name, shown(text), `an https URL, or an http URL of a loopback address (${problem})`);
  return new URL(text);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function numberOf(
  env: Variables,
  name: string,
  range: { readonly least: number; readonly most: number; readonly otherwise: number },
): number {
  const text = textOf(env, name);
  if (text === undefined) return range.otherwise;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= range.least && value <= range.most) return value;
  throw refusal(name, text, `a number of seconds, ${range.least} to ${range.most}`);
}

/** The parts of a comma list, without blanks. @throws ReeveError E_INVALID_INPUT_SCHEMA: it has none. */
export function listOf(env: Variables, name: string): readonly string[] | undefined {
  const text = textOf(env, name);
  if (text === undefined) return undefined;
  const parts = text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
  if (parts.length === 0) throw refusal(name, text, 'a list with commas that is not empty');
  return parts;
}

export function refusal(variable: string, value: string, accepted: string): ReeveError {
  return new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable} is ${JSON.stringify(value)}; accepted is ${accepted}`,
    { variable, value, accepted },
  );
}

export function missing(variable: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${variable} is not set, ${problem}`, {
    variable,
    problem,
  });
}

/** A URL without what may be a password in it (I9). */
function shown(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@').slice(0, 300);
}
